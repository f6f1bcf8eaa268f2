-- finish: a found match has lasted as long as it may.
-- KEYS:      as in the prelude, 7 match (hash)
-- ARGV:      1 queue, 2 match, 3 reason
-- Returns:   'done' | 'early' (it is named again when it is due) | 'already' (over before) | 'refused' (never found)
--            | 'absent', now, shift, 0, 0, match
-- Clock:     Redis TIME, shifted
-- Guarantee: a match ends once; what an outage of ours took from it is given back
local id, reason = ARGV[2], ARGV[3]
local m = hash(KEYS[7])
if not m then return answer('absent') end
if m.state == 'void' then return answer('already', m) end
if m.state ~= 'found' then return answer('refused', m) end
local ends = num(m, 'endsAt') + shift()
if ends > now then
  look_early('m:' .. id, ends)
  return answer('early', m)
end
local playing = 0
for _, x in ipairs(members(m)) do
  if x.status ~= 'left' then playing = playing + 1 end
end
match_over(m, id, reason, playing)
save(KEYS[7], m, S.keep_match)
return answer('done', m)
