-- end: the session is over because somebody said so.
-- KEYS:      as in the prelude.
-- ARGV:      1 player, 2 reason, 3 '1' to revoke every token, 4 family to log out or '', 5 durable rev or 0
-- Returns:   'ended' | 'none' (there was no session), now, shift, rev, record as it was
-- Clock:     Redis TIME
-- Guarantee: G8. Connections with an epoch up to now are refused from here on, and the broker is told to drop them.
local reason, revoke, family, durable_rev = ARGV[2], ARGV[3] == '1', ARGV[4], tonumber(ARGV[5])
local r = hash(K_REVOKED) or {}
local rev, at = tonumber(r.rev or '0'), tonumber(r.at or '0')
local had = rec
if revoke then rev = math.max(rev + 1, durable_rev) end
at = math.max(now, at, rec and num('epoch') or 0)

local set = {'rev', str(rev), 'at', str(at), 'until', str(now + S.revoked_ttl)}
if family ~= '' then
  set[#set + 1] = 'fam:' .. family
  set[#set + 1] = str(now)
end
for field, when in pairs(r) do
  if string.sub(field, 1, 4) == 'fam:' and tonumber(when) < now - S.revoked_ttl then
    redis.call('HDEL', K_REVOKED, field)
  end
end
redis.call('HSET', K_REVOKED, unpack(set))
redis.call('PEXPIRE', K_REVOKED, S.revoked_ttl)
if rec then
  for _, c in ipairs(connections()) do redis.call('SREM', K_OPEN, player .. '/' .. c.id) end
  move()
end
local extra = {'reason', reason, 'before', str(at)}
if rec then
  for _, x in ipairs(places()) do extra[#extra + 1] = x end
end
emit('session.ended', extra)
redis.call('DEL', K_SESSION)
redis.call('ZREM', K_DEADLINES, player)
flush_events()
return answer(had and 'ended' or 'none', str(rev))
