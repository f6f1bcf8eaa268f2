-- Prelude of every script about a ticket or a match of one queue: names the keys, reads the clock, and holds what
-- several transitions share. A script decides first and writes last: one that fails half way is not rolled back.
--
-- KEYS of every such script, all of the queue's shard:
--   1 waiting (zset)   2 changes (stream)   3 meta (hash)   4 deadlines of matchmaking (zset)   5 outbox (stream)
--   6 clock (hash); what follows is in the header of the script.
-- ARGV[1] is the queue.
-- Periods arrive as the table S, generated beside this text, in ms. All times are Redis time in ms, but for
-- `endsAt` of a match, which is shifted: it is over when endsAt + shift <= now.

local K_WAITING, K_CHANGES, K_META, K_DEADLINES, K_OUTBOX, K_CLOCK =
  KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local queue = ARGV[1]

local function str(n) return string.format('%.0f', n) end

local now = clock_ms()

local function hash(key)
  local flat, map = redis.call('HGETALL', key), {}
  for i = 1, #flat, 2 do map[flat[i]] = flat[i + 1] end
  if #flat == 0 then return nil end
  return map
end

local function num(map, field) return tonumber(map[field] or '0') end

local function flatten(map)
  local flat = {}
  for field, value in pairs(map) do
    flat[#flat + 1] = field
    flat[#flat + 1] = value
  end
  return flat
end

-- save writes a whole record; fields that are gone from it stay in the key, so set them to '' instead.
local function save(key, map, ttl)
  redis.call('HSET', key, unpack(flatten(map)))
  redis.call('PEXPIRE', key, ttl)
end

local function move(map) map.v = str(math.max(num(map, 'v') + 1, now)) end

local function reachable(t)
  local reach = num(t, 'reachUntil')
  return reach == 0 or reach > now
end

-- look has the sweep name the member at the time given; look_early only if it would come later.
local function look(member, at) redis.call('ZADD', K_DEADLINES, str(at), member) end

local function look_early(member, at)
  local score = redis.call('ZSCORE', K_DEADLINES, member)
  if not score or tonumber(score) > at then look(member, at) end
end

local function ticket_member(id) return 't:' .. queue .. ':' .. id end

local function emit(kind, player, sid, extra)
  local event = {'type', kind, 'player', player, 'sid', sid, 'v', '0', 'prev', '0', 'at', str(now), 'queue', queue}
  for _, x in ipairs(extra) do event[#event + 1] = x end
  outbox_append(K_OUTBOX, event)
end

-- change tells whoever follows the queue what has become of a ticket.
local function change(id, t)
  local n = redis.call('HINCRBY', K_META, 'seq', 1)
  redis.call('PEXPIRE', K_META, S.backstop)
  local entry = {'n', str(n), 'id', id, 'v', t.v, 'state', t.state, 'player', t.player, 'sid', t.sid}
  if t.state == 'waiting' or t.state == 'held' then
    for _, field in ipairs({'queuedAt', 'reachUntil', 'reachV', 'after', 'rating', 'attributes', 'latencies'}) do
      entry[#entry + 1] = field
      entry[#entry + 1] = t[field] or ''
    end
  end
  redis.call('XADD', K_CHANGES, 'MAXLEN', '~', S.changes, '*', unpack(entry))
  redis.call('PEXPIRE', K_CHANGES, S.changes_ttl)
end

-- settle makes the state of a ticket fit its reach. It returns 'held', 'resumed' or nil.
local function settle(t)
  if t.state == 'waiting' and not reachable(t) then
    t.state = 'held'
    move(t)
    return 'held'
  elseif t.state == 'held' and reachable(t) then
    t.state = 'waiting'
    move(t)
    return 'resumed'
  end
end

-- recheck_at is when a ticket wants to be looked at again.
local function recheck_at(t)
  local reach = num(t, 'reachUntil')
  if t.state == 'waiting' and reach > 0 then return math.min(reach, now + S.recheck) end
  return now + S.recheck
end

-- bury leaves the tombstone of a ticket, "<until> <queuedAt>".
local function bury(key, queued_at)
  redis.call('SET', key, str(now + S.tombstone) .. ' ' .. queued_at, 'PX', S.tombstone)
end

-- buried returns the queuedAt of the tombstone, or nil.
local function buried(key)
  local value = redis.call('GET', key)
  if not value then return nil end
  local life, queued_at = string.match(value, '^(%d+) (%d+)$')
  if tonumber(life) <= now then return nil end
  return queued_at
end

-- remove takes a ticket out of the queue for good.
local function remove(id, t, key, gone_key)
  redis.call('DEL', key)
  redis.call('ZREM', K_WAITING, id)
  redis.call('ZREM', K_DEADLINES, ticket_member(id))
  bury(gone_key, t.queuedAt)
end

-- members lists who is in a match: {player, sid, ticket, status, v}.
local function members(m)
  local list = {}
  for i = 1, num(m, 'n') do
    local player, sid, ticket, status, v = string.match(m['p:' .. i], '^(%S+) (%S*) (%S+) (%S+) (%d+)$')
    list[i] = {player = player, sid = sid, ticket = ticket, status = status, v = tonumber(v)}
  end
  return list
end

local function put_member(m, i, x)
  m['p:' .. i] = x.player .. ' ' .. x.sid .. ' ' .. x.ticket .. ' ' .. x.status .. ' ' .. str(x.v)
end

local function shift() return tonumber(redis.call('HGET', K_CLOCK, 'shift:match') or '0') end

-- match_over ends a found match; the members who had not left are still counted.
local function match_over(m, id, reason, playing)
  m.state, m.reason = 'void', reason
  move(m)
  if playing > 0 then redis.call('HINCRBY', K_META, 'inMatch', -playing) end
  local list = members(m)
  emit('match.over', list[1].player, list[1].sid, {'match', id, 'reason', reason})
  look('m:' .. id, now + S.forming)
end

-- answer returns the outcome, the time, the shift of matches, two numbers and the record.
local function answer(outcome, map, a, b)
  local reply = {outcome, str(now), str(shift()), str(a or 0), str(b or 0)}
  for _, x in ipairs(flatten(map or {})) do reply[#reply + 1] = x end
  return reply
end
