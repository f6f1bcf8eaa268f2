-- mark: news of the members of a found match.
-- KEYS:      as in the prelude, 7 match (hash)
-- ARGV:      1 queue, 2 match, 3 ms until the sweep is to name it or 0, then for each piece of news, from 4 on:
--            player, 'in' | 'read' | 'left', session version of the announcement or 0, reason
-- Returns:   'done' | 'already' (nothing new) | 'refused' (the match is not found) | 'absent', now, shift, 0, 0, match
-- Clock:     Redis TIME
-- Guarantee: a member leaves once; when the last one has left, the match is over, once
local id, next_ms = ARGV[2], tonumber(ARGV[3])
local m = hash(KEYS[7])
if not m then return answer('absent') end
if m.state ~= 'found' then return answer('refused', m) end

local rank = {asked = 0, ['in'] = 1, read = 2, left = 3}
local list, index, events = members(m), {}, {}
for i, x in ipairs(list) do index[x.player] = i end
for a = 4, #ARGV, 4 do
  local i, status = index[ARGV[a]], ARGV[a + 1]
  local x = i and list[i]
  if x and rank[status] > rank[x.status] then
    x.status = status
    if status == 'in' then x.v = tonumber(ARGV[a + 2]) end
    put_member(m, i, x)
    events[#events + 1] = status == 'left' and {x.player, x.sid, ARGV[a + 3]} or nil
    move(m)
    m.changed = '1'
  end
end
local changed = m.changed
m.changed = nil
if next_ms > 0 then look('m:' .. id, now + next_ms) end
if not changed then return answer('already', m) end

local playing = 0
for _, x in ipairs(list) do
  if x.status ~= 'left' then playing = playing + 1 end
end
for _, e in ipairs(events) do emit('match.left', e[1], e[2], {'match', id, 'reason', e[3]}) end
if #events > 0 then redis.call('HINCRBY', K_META, 'inMatch', -#events) end
if playing == 0 then match_over(m, id, 'everybody_left', 0) end
local ttl = math.max(num(m, 'endsAt') + shift() - now, 0) + S.backstop
if m.state == 'void' then ttl = S.keep_match end
save(KEYS[7], m, ttl)
return answer('done', m)
