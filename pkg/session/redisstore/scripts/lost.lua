-- lost: reconciliation found that the broker does not know an open connection. No tombstone: if the broker
-- lists it again, it may come back.
-- KEYS:      as in the prelude.
-- ARGV:      1 player, 2 connection id
-- Returns:   'none' (it was not open) | 'connected' (another one is) | 'grace', now, shift, '', record
-- Clock:     Redis TIME
-- Guarantee: G4 (nobody stays online for ever)
local id = ARGV[2]
if not rec or not rec['c:' .. id] then
  redis.call('SREM', K_OPEN, player .. '/' .. id)
  return answer('none')
end
drop_connection(id)
local list = connections()
if #list > 0 then
  next_lease(list)
else
  start_grace('lost')
end
commit()
return answer(#list > 0 and 'connected' or 'grace')
