-- disconnected: the broker reports the end of one connection; only that one is over.
-- KEYS:      as in the prelude.
-- ARGV:      1 player, 2 connection id, 3 reason
-- Returns:   'repeat' | 'noted' (no record, or it belongs to a life before this one: the tombstone is all)
--            | 'connected' (something is open, or a successor is on its way) | 'grace', now, shift, '', record
-- Clock:     Redis TIME
-- Guarantee: G3 (a grace starts), G4 (a late or repeated event ends nobody else)
local id, reason = ARGV[2], ARGV[3]
local epoch, _, revoked_at = epoch_of(id), revocation('')
local replaced = reason == 'takenover' or reason == 'discarded'

local again = tombstone(id)
redis.call('ZADD', K_CLOSED, str(now), id)
redis.call('ZREMRANGEBYSCORE', K_CLOSED, '-inf', str(now - S.tombstone))
redis.call('ZREMRANGEBYRANK', K_CLOSED, 0, -1 - S.max_tombstones)
redis.call('PEXPIRE', K_CLOSED, S.tombstone)
redis.call('SREM', K_OPEN, player .. '/' .. id)
if not rec then return answer('noted') end
if not rec['c:' .. id] then
  if epoch <= revoked_at then return answer('noted') end
  if again then return answer('repeat') end
end

drop_connection(id)
local list = connections()
if #list > 0 then
  if #list == 1 and (list[1].epoch > epoch or replaced) then
    list[1].lease, list[1].full = t + S.online_lease, true
    put_connection(list[1])
  end
  next_lease(list)
  commit()
  return answer('connected')
end
if replaced then
  if rec.presence == 'connected' then
    put('deadline', str(t + S.handover))
  else
    put('deadline', str(math.max(num('deadline'), t + S.handover)))
  end
  commit()
  return answer(rec.presence == 'connected' and 'connected' or 'grace')
end
if rec.presence == 'grace' then
  put('deadline', str(math.max(num('deadline'), t + grace_for(reason))))
else
  start_grace(reason)
end
commit()
return answer('grace')
