-- beat: somebody whom deadlines depend on says that it is alive.
-- KEYS:      1 clock (hash)
-- ARGV:      1 who
-- Returns:   'ok'
-- Clock:     Redis TIME
-- Guarantee: G6 (an outage of the hook expires nobody)
redis.call('HSET', KEYS[1], 'beat:' .. ARGV[1], string.format('%.0f', clock_ms()))
return {'ok'}
