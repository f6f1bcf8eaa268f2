-- lease: takes, keeps or gives back the right to match a queue.
-- KEYS:      1 lease (string)
-- ARGV:      1 instance, 2 ms, 0 to give it back
-- Returns:   'held' | 'taken' (by another instance) | 'free', now
-- Clock:     TTL of the key; Redis TIME in the reply
-- Guarantee: none for correctness; it spreads work
local now = string.format('%.0f', clock_ms())
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return {'taken', now} end
if ARGV[2] == '0' then
  redis.call('DEL', KEYS[1])
  return {'free', now}
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return {'held', now}
