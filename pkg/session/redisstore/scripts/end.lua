-- end: the session is over because somebody said so.
-- KEYS:      as in the prelude.
-- ARGV:      1 player, 2 reason, 3 '1' to revoke every token, 4 family to log out or '', 5 durable rev, or 0 to take the next one
-- Returns:   'ended' | 'none' (there was no session), now, shift, rev, record as it was
-- Clock:     Redis TIME
-- Guarantee: G8. Connections with an epoch up to now are refused from here on, and the broker is told to drop them.
local reason, revoke, family, durable_rev = ARGV[2], ARGV[3] == '1', ARGV[4], tonumber(ARGV[5])
local r = hash(K_REVOKED) or {}
local lapsed = tonumber(r['until'] or '0') < now
if lapsed then r = {} end
local rev, at = tonumber(r.rev or '0'), tonumber(r.at or '0')
if revoke then rev = durable_rev > 0 and math.max(rev, durable_rev) or rev + 1 end
at = math.max(now, at, rec and num('epoch') or 0)

local set = {'rev', str(rev), 'at', str(at), 'until', str(now + S.revoked_ttl)}
if family ~= '' then
  set[#set + 1] = 'fam:' .. family
  set[#set + 1] = str(now)
end
local extra = {'reason', reason, 'before', str(at)}
if rec then
  move()
  set[#set + 1] = 'v'
  set[#set + 1] = rec.v
  for _, x in ipairs(places()) do extra[#extra + 1] = x end
end
emit('session.ended', extra)

if lapsed then redis.call('DEL', K_REVOKED) end
for field, when in pairs(r) do
  if string.sub(field, 1, 4) == 'fam:' and tonumber(when) < now - S.revoked_ttl then
    redis.call('HDEL', K_REVOKED, field)
  end
end
redis.call('HSET', K_REVOKED, unpack(set))
redis.call('PEXPIRE', K_REVOKED, S.revoked_ttl)
for _, c in ipairs(rec and connections() or {}) do redis.call('SREM', K_OPEN, player .. '/' .. c.id) end
redis.call('DEL', K_SESSION)
redis.call('ZREM', K_DEADLINES, player)
flush_events()
return answer(rec and 'ended' or 'none', str(rev))
