-- restore: the tickets of a cancelled match wait again, as if nothing had been; those that are over go.
-- KEYS:      as in the prelude, 7 match (hash), then for each member: ticket (hash), tombstone (string), from 8 on
-- ARGV:      1 queue, 2 match
-- Returns:   the ids of the tickets that are back
-- Clock:     Redis TIME
-- Guarantee: once; queuedAt stays
local id, back = ARGV[2], {}
local m = hash(KEYS[7])
if not m or m.state ~= 'cancelled' then return back end
for i, x in ipairs(members(m)) do
  local key, gone = KEYS[6 + 2 * i], KEYS[7 + 2 * i]
  local t = hash(key)
  if t and t.state == 'matched' and t.match == id then
    t.match = ''
    move(t)
    if x.status == 'gone' or t.leaving ~= '' then
      remove(x.ticket, t, key, gone)
      t.state = 'gone'
      if t.leaving ~= '' then
        emit('ticket.over', t.player, t.sid, {'ticket', x.ticket, 'reason', t.leaving})
      end
    else
      t.state = reachable(t) and 'waiting' or 'held'
      t.after = x.status == 'willing' and '0' or str(now + S.busy)
      save(key, t, S.backstop)
      redis.call('ZADD', K_WAITING, t.queuedAt, x.ticket)
      look_early(ticket_member(x.ticket), recheck_at(t))
      back[#back + 1] = x.ticket
    end
    change(x.ticket, t)
  end
end
redis.call('PEXPIRE', KEYS[7], S.keep_match)
redis.call('ZREM', K_DEADLINES, 'm:' .. id)
return back
