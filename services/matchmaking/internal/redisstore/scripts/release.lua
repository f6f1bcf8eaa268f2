-- release: a ticket leaves the queue without a match.
-- KEYS:      as in the prelude, 7 ticket (hash), 8 its tombstone (string)
-- ARGV:      1 queue, 2 ticket, 3 sid or '' for any, 4 reason, 5 '1' when its session may still hold it
-- Returns:   'done' | 'absent' (no such ticket, or one of another life) | 'matched' (a match has it; it goes if the
--            match does not come about), now, shift, 0, 0, ticket as it was
-- Clock:     Redis TIME
-- Guarantee: of this and commit exactly one wins; a release that comes first leaves a tombstone
local id, sid, reason, tell = ARGV[2], ARGV[3], ARGV[4], ARGV[5] == '1'
local t = hash(KEYS[7])
if not t then
  bury(KEYS[8], buried(KEYS[8]) or '0')
  return answer('absent')
end
if sid ~= '' and t.sid ~= sid then return answer('absent') end
if t.state == 'matched' then
  if t.leaving == '' then
    t.leaving = reason
    redis.call('HSET', KEYS[7], 'leaving', reason)
  end
  return answer('matched', t)
end
remove(id, t, KEYS[7], KEYS[8])
t.state = 'gone'
move(t)
change(id, t)
if tell then emit('ticket.over', t.player, t.sid, {'ticket', id, 'reason', reason}) end
return answer('done', t)
