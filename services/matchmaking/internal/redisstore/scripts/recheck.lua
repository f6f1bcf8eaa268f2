-- recheck: the sweep looks at a ticket: holds it when its player's reach is over, and plans the next look.
-- KEYS:      as in the prelude, 7 ticket (hash)
-- ARGV:      1 queue, 2 ticket
-- Returns:   'held' | 'resumed' | 'already' | 'absent', now, shift, 0, 0, ticket
-- Clock:     Redis TIME
-- Guarantee: a ticket without a record is in no list
local id = ARGV[2]
local t = hash(KEYS[7])
if not t then
  redis.call('ZREM', K_DEADLINES, ticket_member(id))
  redis.call('ZREM', K_WAITING, id)
  return answer('absent')
end
local settled = settle(t)
if settled then change(id, t) end
save(KEYS[7], t, S.backstop)
look(ticket_member(id), recheck_at(t))
return answer(settled or 'already', t)
