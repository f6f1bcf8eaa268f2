-- due: does what is due for one player, if anything is.
-- KEYS:      as in the prelude.
-- ARGV:      1 player
-- Returns:   'paused' (somebody who must be alive for this to be fair is not) | 'early' | 'lost_record'
--            | 'connected' | 'grace' | 'expired', now, shift, '', record (as it was, when expired)
-- Clock:     Redis TIME, shifted
-- Guarantee: G5 (expiry once, with its consequences), G6 (never through our own absence)
local good, hook, reconciled = tonumber(clock[2] or '0'), clock[3], tonumber(clock[4] or '0')
if now - good > S.stale or (hook and now - tonumber(hook) > S.stale) then return answer('paused') end

if not rec then
  if not redis.call('ZSCORE', K_DEADLINES, player) then return answer('early') end
  emit('session.expired', {'reason', 'lost_record'})
  for _, member in ipairs(redis.call('SMEMBERS', K_OPEN)) do
    if string.sub(member, 1, #player + 1) == player .. '/' then redis.call('SREM', K_OPEN, member) end
  end
  redis.call('ZREM', K_DEADLINES, player)
  flush_events()
  return answer('lost_record')
end
if num('deadline') > t then
  redis.call('ZADD', K_DEADLINES, rec.deadline, player)
  return answer('early')
end

local list = {}
local blind = S.reconcile > 0 and now - reconciled > 2 * S.reconcile
for _, c in ipairs(connections()) do
  if c.full and S.reconcile > 0 then c.lease = math.max(c.lease, reconciled - shift + S.online_lease) end
  if blind then c.lease = math.max(c.lease, t + S.reconcile) end
  if c.lease > t then
    put_connection(c)
    list[#list + 1] = c
  else
    drop_connection(c.id)
  end
end
if #list > 0 then
  next_lease(list)
  commit()
  return answer('connected')
end
if rec.presence == 'connected' then
  start_grace('lost')
  commit()
  return answer('grace')
end

move()
local extra = {'reason', rec.presence}
for _, x in ipairs(places()) do extra[#extra + 1] = x end
emit('session.expired', extra)
redis.call('DEL', K_SESSION)
redis.call('ZREM', K_DEADLINES, player)
flush_events()
return answer('expired')
