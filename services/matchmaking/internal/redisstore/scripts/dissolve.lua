-- dissolve: a session refused the match. Its tickets stay taken until restore.
-- KEYS:      as in the prelude, 7 match (hash)
-- ARGV:      1 queue, 2 match, 3 reason, then for each member its status, from 4 on
-- Returns:   'done' | 'already' (cancelled before) | 'refused' (it was found) | 'absent', now, shift, 0, 0, match
-- Clock:     Redis TIME
-- Guarantee: of this and found exactly one wins, once
local id, reason = ARGV[2], ARGV[3]
local m = hash(KEYS[7])
if not m then return answer('absent') end
if m.state ~= 'forming' then return answer(m.state == 'cancelled' and 'already' or 'refused', m) end
m.state, m.reason = 'cancelled', reason
move(m)
for i, x in ipairs(members(m)) do
  x.status = ARGV[3 + i] or x.status
  put_member(m, i, x)
end
save(KEYS[7], m, S.backstop)
look('m:' .. id, now + S.forming)
return answer('done', m)
