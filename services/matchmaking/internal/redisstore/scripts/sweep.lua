-- sweep: makes up for time in which nobody swept, then names what is due in one shard and keeps it for the caller.
-- KEYS:      1 clock (hash), 2 deadlines of matchmaking (zset)
-- ARGV:      1 members at most
-- Returns:   ms given by this run, then the due members: "m:<match>", "t:<queue>:<ticket>"
-- Clock:     Redis TIME. Members are scored in plain Redis time: most of them are looks that we owe to ourselves, and
--            the later the more urgent. Only `endsAt` of a match is a limit for players, and it is shifted.
-- Guarantee: G6: the gap since `good:match`, when somebody last swept, is added to `shift:match` once, whoever comes
--            first. The hook's beat is not asked: no deadline here runs out because a player cannot connect.
local function str(n) return string.format('%.0f', n) end
local now = clock_ms()
local f = redis.call('HMGET', KEYS[1], 'shift:match', 'good:match')
local good, given = tonumber(f[2] or str(now)), 0
if now - good > S.stale then
  given = math.min(now - good, S.amnesty_max)
  redis.call('HSET', KEYS[1], 'shift:match', str(tonumber(f[1] or '0') + given))
end
redis.call('HSET', KEYS[1], 'good:match', str(math.max(now, good)))
local reply = {str(given)}
local due = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', str(now), 'LIMIT', 0, tonumber(ARGV[1]))
for _, member in ipairs(due) do
  redis.call('ZADD', KEYS[2], str(now + S.claim), member)
  reply[#reply + 1] = member
end
return reply
