-- commit: turns tickets into a forming match, if each of them is as it was planned with.
-- KEYS:      as in the prelude, 7 match (hash), 8 and on the tickets (hash)
-- ARGV:      1 queue, 2 match, then for each ticket: id, version it was planned with
-- Returns:   'done' | 'refused', then the ids of the tickets that were not as planned
-- Clock:     Redis TIME
-- Guarantee: no ticket in two matches, no half match: all or nothing, with the event
local id, list, stale = ARGV[2], {}, {'refused'}
for i = 3, #ARGV, 2 do
  local key = KEYS[8 + (i - 3) / 2]
  local t = hash(key)
  if t and t.state == 'waiting' and t.v == ARGV[i + 1] and reachable(t) and num(t, 'after') <= now then
    list[#list + 1] = {id = ARGV[i], key = key, t = t}
  else
    stale[#stale + 1] = ARGV[i]
  end
end
if #stale > 1 then return stale end
if redis.call('EXISTS', KEYS[7]) == 1 then return {'done'} end

local m = {queue = queue, state = 'forming', v = str(now), createdAt = str(now), foundAt = '0', endsAt = '0',
  reason = '', n = str(#list)}
for i, x in ipairs(list) do
  put_member(m, i, {player = x.t.player, sid = x.t.sid, ticket = x.id, status = 'asked', v = 0})
  x.t.state, x.t.match, x.t.leaving = 'matched', id, ''
  move(x.t)
  save(x.key, x.t, S.backstop)
  redis.call('ZREM', K_WAITING, x.id)
  change(x.id, x.t)
end
save(KEYS[7], m, S.backstop)
look('m:' .. id, now + S.forming)
emit('match.forming', list[1].t.player, list[1].t.sid, {'match', id})
return {'done'}
