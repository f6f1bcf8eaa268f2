-- amnesty: runs before every sweep of a shard; makes up for time in which nobody could keep a deadline, then
-- names who is due.
-- KEYS:      1 clock (hash), 2 deadlines of the owner (zset)
-- ARGV:      1 owner, 2 members at most
-- Returns:   'ok' | 'paused' (the hook is away: nothing falls due), ms given by this run, then the due members
-- Clock:     Redis TIME, shifted
-- Guarantee: G6. `good:<owner>` is the last moment at which everybody who guards these deadlines was alive; the
--            gap since then is added to the shift once, whichever sweeper comes first; all up to now is given then.
local owner, limit = ARGV[1], tonumber(ARGV[2])
local function str(n) return string.format('%.0f', n) end
local now = clock_ms()
local f = redis.call('HMGET', KEYS[1], 'shift:' .. owner, 'good:' .. owner, 'beat:hook')
local shift, good, hook = tonumber(f[1] or '0'), tonumber(f[2] or str(now)), f[3]

local alive = now
if hook then
  alive = math.min(now, tonumber(hook))
  if now - alive > S.stale then return {'paused', '0'} end
end
local gap, given = now - good, 0
if gap > S.stale then
  given = math.min(gap, S.amnesty_max)
  shift = shift + given
  alive = now
  redis.call('HSET', KEYS[1], 'shift:' .. owner, str(shift))
end
redis.call('HSET', KEYS[1], 'good:' .. owner, str(math.max(alive, good)))
local reply = {'ok', str(given)}
local due = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', str(now - shift), 'LIMIT', 0, limit)
for _, member in ipairs(due) do reply[#reply + 1] = member end
return reply
