-- connected: the broker reports a connection; it is open unless it is known to be over.
-- KEYS:      as in the prelude.
-- ARGV:      1 player, 2 connection id, 3 node, 4-11 facts (see facts_from)
-- Returns:   'opened' | 'repeat' | 'closed' (it has a tombstone) | 'refused' (older than a revocation)
--            | 'absent' (no record and no facts), now, shift, '', record. No login is vouched for by this
-- Clock:     Redis TIME
-- Guarantee: G1 (heals), G4 (order and repeats do not matter), G8
local id, facts = ARGV[2], facts_from(4)
local epoch = epoch_of(id)
local _, revoked_at = revocation('')

if epoch <= math.max(revoked_at, facts.revoked_at) then
  if epoch <= revoked_at and revoked_at > 0 then -- the broker still has it: remember for longer
    redis.call('HSET', K_REVOKED, 'until', str(now + S.revoked_ttl))
    redis.call('PEXPIRE', K_REVOKED, S.revoked_ttl)
  end
  if facts.profile == 'durable' then learn(facts) end
  emit('broker.kick', {'connection', id})
  flush_events()
  return answer('refused')
end
if tombstone(id) then return answer('closed') end
if rec and rec['c:' .. id] then return answer('repeat') end
if not rec then
  if not facts.known then return answer('absent') end
  if facts.profile == 'durable' then learn(facts) end
  create(facts.sid, facts.name, facts.provider, facts.profile, true)
end

local list = connections()
if #list >= S.max_connections then
  drop_connection(list[1].id)
  table.remove(list, 1)
end
local mine = {id = id, epoch = epoch, lease = t + S.online_lease, full = true, node = ARGV[3]}
for _, c in ipairs(list) do
  if c.epoch < epoch then
    c.lease, c.full = math.min(c.lease, t + S.handover), false
    put_connection(c)
  elseif c.epoch > epoch then
    mine.lease, mine.full = t + S.handover, false
  end
end
put_connection(mine)
list[#list + 1] = mine
next_lease(list)
if epoch > num('epoch') then put('epoch', str(epoch)) end
if rec.presence ~= 'connected' then
  local resumed = rec.presence == 'grace'
  put('presence', 'connected')
  put('since', str(now))
  put('reason', '')
  move()
  local extra = {'resumed', resumed and '1' or '0'}
  for _, x in ipairs(places()) do extra[#extra + 1] = x end
  emit('session.connected', extra)
end
redis.call('SADD', K_OPEN, player .. '/' .. id)
commit()
return answer('opened')
