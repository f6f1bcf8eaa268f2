-- enqueue: a ticket begins to wait.
-- KEYS:      as in the prelude, 7 ticket (hash), 8 its tombstone (string)
-- ARGV:      1 queue, 2 ticket, 3 player, 4 sid, 5 notAfter in ms or 0, 6 reachUntil in ms, 7 session version of that,
--            8 rating, 9 attributes, 10 latencies, 11 queuedAt in ms of a ticket that was lost or 0
-- Returns:   'done' | 'already' | 'late' (past notAfter) | 'over' (it has a tombstone, the record is its queuedAt),
--            now, shift, position from 1, average wait in ms, ticket
-- Clock:     Redis TIME
-- Guarantee: a ticket that was released before it came stays out; queuedAt is set once
local id, player, sid, notafter = ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5])
local wait = tonumber(redis.call('HGET', K_META, 'wait') or '0')

local over = buried(KEYS[8])
if over then return answer('over', {queuedAt = over}, 1, wait) end
local t = hash(KEYS[7])
if t and (t.sid == sid or t.state == 'matched') then
  return answer('already', t, (redis.call('ZRANK', K_WAITING, id) or 0) + 1, wait)
end
if notafter > 0 and now > notafter then return answer('late') end

local queued_at = ARGV[11] ~= '0' and ARGV[11] or str(now)
t = {player = player, sid = sid, queuedAt = queued_at, v = str(now), state = 'waiting', reachUntil = ARGV[6],
  reachV = ARGV[7], after = '0', rating = ARGV[8], attributes = ARGV[9], latencies = ARGV[10], match = '', leaving = ''}
if not reachable(t) then t.state = 'held' end
save(KEYS[7], t, S.backstop)
redis.call('ZADD', K_WAITING, queued_at, id)
local first = recheck_at(t)
if notafter > 0 then first = math.min(first, notafter + 1000) end
look(ticket_member(id), first)
change(id, t)
return answer('done', t, redis.call('ZRANK', K_WAITING, id) + 1, wait)
