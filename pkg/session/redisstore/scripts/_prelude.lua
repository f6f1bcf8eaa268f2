-- Prelude of every session script: names the keys, reads the clock and the record, and holds what several
-- transitions share. A script that fails half way is not rolled back: everything that can refuse comes first, the
-- record and its events are written last, by commit(). What is written on the way stands by itself and may be
-- repeated: a tombstone, a member of the open set, a revocation that was learnt.
--
-- KEYS of every session script, all of one shard:
--   1 session record (hash)   2 closed connections (zset)   3 revoked (hash)   4 open connections (set)
--   5 deadlines of the session service (zset)   6 clock (hash)   7 outbox (stream)
-- ARGV[1] is the player.
-- Settings arrive as the table S, generated beside this text: durations in ms.
-- Deadlines and leases are stored in shifted time: t = now - shift. Everything else is Redis time in ms.

local K_SESSION, K_CLOSED, K_REVOKED, K_OPEN, K_DEADLINES, K_CLOCK, K_OUTBOX =
  KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6], KEYS[7]
local player = ARGV[1]

local function str(n) return string.format('%.0f', n) end

local now = clock_ms()
local clock = redis.call('HMGET', K_CLOCK, 'shift:session', 'good:session', 'beat:hook', 'reconciled')
local shift = tonumber(clock[1] or '0')
local t = now - shift

local function hash(key)
  local flat, map = redis.call('HGETALL', key), {}
  for i = 1, #flat, 2 do map[flat[i]] = flat[i + 1] end
  if #flat == 0 then return nil end
  return map
end

local rec = hash(K_SESSION)
local puts, dels, events = {}, {}, {}

local function num(field) return tonumber(rec[field] or '0') end

local function put(field, value)
  if rec[field] ~= value then
    rec[field], puts[field], dels[field] = value, true, nil
  end
end

local function del(field)
  if rec[field] ~= nil then
    rec[field], puts[field], dels[field] = nil, nil, true
  end
end

-- move makes a visible change: the version passes the last one and the clock.
local function move()
  put('prev', rec.v)
  put('v', str(math.max(num('v') + 1, now)))
end

local function emit(kind, extra)
  local event = {'type', kind, 'player', player, 'sid', rec and rec.sid or '', 'v', rec and rec.v or '0',
    'prev', rec and rec.prev or '0', 'at', str(now)}
  for _, x in ipairs(extra or {}) do event[#event + 1] = x end
  events[#events + 1] = event
end

local function flush_events()
  for _, event in ipairs(events) do outbox_append(K_OUTBOX, event) end
end

-- commit writes what put() and del() changed, the deadline, the life of the key, and the events.
local function commit()
  local set, rem = {}, {}
  for field in pairs(puts) do
    set[#set + 1] = field
    set[#set + 1] = rec[field]
  end
  for field in pairs(dels) do rem[#rem + 1] = field end
  if #rem > 0 then redis.call('HDEL', K_SESSION, unpack(rem)) end
  if #set > 0 then redis.call('HSET', K_SESSION, unpack(set)) end
  if puts.deadline then
    redis.call('ZADD', K_DEADLINES, rec.deadline, player)
    redis.call('PEXPIREAT', K_SESSION, str(num('deadline') + shift + S.backstop))
  end
  flush_events()
end

-- connections lists the open ones: {id, epoch, lease, full, node}.
local function connections()
  local list = {}
  for field, value in pairs(rec) do
    if string.sub(field, 1, 2) == 'c:' then
      local lease, full, node = string.match(value, '^(%d+) ([01]) (.*)$')
      local id = string.sub(field, 3)
      list[#list + 1] = {id = id, epoch = tonumber(string.match(id, '^(%d+)/')), lease = tonumber(lease),
        full = full == '1', node = node}
    end
  end
  table.sort(list, function(a, b)
    if a.epoch ~= b.epoch then return a.epoch < b.epoch end
    return a.id < b.id
  end)
  return list
end

local function put_connection(c)
  put('c:' .. c.id, str(c.lease) .. ' ' .. (c.full and '1' or '0') .. ' ' .. c.node)
end

local function drop_connection(id)
  del('c:' .. id)
  redis.call('SREM', K_OPEN, player .. '/' .. id)
end

-- next_lease sets the deadline to the first lease that ends.
local function next_lease(list)
  local first = list[1].lease
  for _, c in ipairs(list) do first = math.min(first, c.lease) end
  put('deadline', str(first))
end

-- place reads one place: {id, v, notafter (0 = real), copy}, or nil.
local function place(field)
  local value = rec[field]
  if not value then return nil end
  local id, v, notafter, copy = string.match(value, '^(%S+) (%d+) (%d+) (.*)$')
  return {id = id, v = tonumber(v), notafter = tonumber(notafter), copy = copy}
end

local function put_place(field, p)
  put(field, p.id .. ' ' .. str(p.v) .. ' ' .. str(p.notafter) .. ' ' .. p.copy)
end

-- held counts the places of a kind, the lapsed reservations left out.
local function held(kind)
  local n, prefix = 0, 'p:' .. kind .. ':'
  for field in pairs(rec) do
    if string.sub(field, 1, #prefix) == prefix then
      local p = place(field)
      if p.notafter == 0 or p.notafter >= now then n = n + 1 end
    end
  end
  return n
end

-- places lists what the player holds as pairs "kind:slot", id, in a fixed order, for events.
local function places()
  local fields, flat = {}, {}
  for field in pairs(rec) do
    if string.sub(field, 1, 2) == 'p:' then fields[#fields + 1] = field end
  end
  table.sort(fields)
  for _, field in ipairs(fields) do
    flat[#flat + 1] = string.sub(field, 3)
    flat[#flat + 1] = place(field).id
  end
  return flat
end

local function grace_for(reason)
  local grace = S.grace_idle
  if held('match') > 0 then
    grace = S.grace_match
  elseif held('lobby') > 0 then
    grace = S.grace_lobby
  elseif held('ticket') > 0 then
    grace = S.grace_queue
  end
  if reason == 'normal' then grace = math.min(grace, S.grace_normal) end
  return grace
end

-- start_grace ends the presence of a player without connections. from is shifted time, since is not.
local function start_grace(reason)
  put('presence', 'grace')
  put('since', str(now))
  put('from', str(t))
  put('reason', reason)
  put('deadline', str(t + grace_for(reason)))
  move()
  local extra = {'deadline', str(num('deadline') + shift), 'reason', reason}
  for _, x in ipairs(places()) do extra[#extra + 1] = x end
  emit('session.grace', extra)
end

-- create starts a new life, newer than the one that an end may just have closed. The caller has proved that the
-- player may have one.
local function create(sid, name, provider, profile, healed)
  local last_v = tonumber(redis.call('HGET', K_REVOKED, 'v') or '0')
  rec = {}
  put('sid', sid)
  put('v', str(math.max(now, last_v + 1)))
  put('prev', '0')
  put('presence', 'detached')
  put('epoch', '0')
  put('since', str(now))
  put('reason', '')
  put('seen', '0')
  put('name', name)
  put('provider', provider)
  put('profile', profile)
  put('deadline', str(t + S.detached_ttl))
  if healed then put('healed', '1') end
  emit('session.created', {})
end

-- called: it has called us since the drop. Who is detached has not dropped, and a call has made the session.
local function called(at) return rec.presence == 'detached' or at > num('since') end

-- reachable: connected, or it called us after the drop and lately.
local function reachable()
  if rec.presence == 'connected' then return true end
  return called(num('seen')) and now - num('seen') < S.http_reach
end

-- touch notes an authenticated call: whoever talks to us is alive. It is not a visible change.
local function touch()
  put('seen', str(math.max(now, num('seen'))))
  if rec.presence == 'connected' then return end
  local deadline = math.max(num('deadline'), t + S.http_lease)
  if rec.presence == 'grace' and held('match') > 0 then
    deadline = math.min(deadline, math.max(num('deadline'), num('from') + 2 * S.grace_match))
  end
  put('deadline', str(deadline))
  if held('ticket') > 0 and called(now) and now - num('reach') >= S.http_reach / 3 then
    put('reach', str(now))
    local extra = {'until', str(now + S.http_reach)}
    for _, x in ipairs(places()) do extra[#extra + 1] = x end
    emit('session.seen', extra)
  end
end

-- revocation returns the revision, the time, whether the family is logged out, and whether all this has lapsed.
local function revocation(family)
  local r = redis.call('HMGET', K_REVOKED, 'rev', 'at', 'until', 'fam:' .. family)
  if tonumber(r[3] or '0') < now then return 0, 0, false, true end
  return tonumber(r[1] or '0'), tonumber(r[2] or '0'), r[4] and true or false, false
end

local function refused(rev, family, durable_rev)
  local min_rev, _, logged_out = revocation(family)
  return logged_out or rev < math.max(min_rev, durable_rev)
end

-- epoch_of returns the epoch in a connection id, 0 when there is none.
local function epoch_of(id) return tonumber(string.match(id, '^(%d+)/') or '0') end

-- tombstone tells whether the connection is known to be over.
local function tombstone(id)
  local at = redis.call('ZSCORE', K_CLOSED, id)
  return at and tonumber(at) > now - S.tombstone
end

-- answer returns the outcome, the facts of this run and the record.
local function answer(outcome, extra)
  local reply = {outcome, str(now), str(shift), extra or ''}
  for field, value in pairs(rec or {}) do
    reply[#reply + 1] = field
    reply[#reply + 1] = value
  end
  return reply
end

-- learn brings what the durable record says of the last revocation back into Redis, which may have lost it.
local function learn(facts)
  local rev, at, _, lapsed = revocation('')
  local durable_rev = tonumber(facts.rev)
  if durable_rev <= rev and facts.revoked_at <= at then return end
  if lapsed then redis.call('DEL', K_REVOKED) end
  redis.call('HSET', K_REVOKED, 'rev', str(math.max(rev, durable_rev)), 'at', str(math.max(at, facts.revoked_at)),
    'until', str(now + S.revoked_ttl))
  redis.call('PEXPIRE', K_REVOKED, S.revoked_ttl)
end

-- verify notes that the durable record vouches for a login, in this life of the session.
local function verify(family)
  local verified = {}
  for field in pairs(rec) do
    if string.sub(field, 1, 2) == 'f:' then verified[#verified + 1] = field end
  end
  if not rec['f:' .. family] and #verified >= S.max_families then
    for _, field in ipairs(verified) do del(field) end
  end
  put('f:' .. family, '1')
end

-- admit is what every authenticated call does: refuse, find or make, and touch. It returns an outcome that
-- stops the call, or nil and whether the record was made. A login that the durable record has not vouched for in
-- this life of the session needs facts, so that a revocation survives the loss of Redis.
local function admit(rev, family, facts)
  local durable = facts.known and facts.profile == 'durable'
  if refused(tonumber(rev), family, tonumber(facts.rev)) then
    if durable then learn(facts) end
    return 'revoked'
  end
  if not facts.known and not (rec and rec['f:' .. family]) then return 'absent' end
  if durable then learn(facts) end
  if rec then
    if facts.known and facts.profile == 'durable' then
      put('profile', 'durable')
      put('provider', facts.provider)
      if rec.name ~= facts.name then
        put('name', facts.name)
        move()
        emit('session.profile', {})
      end
      verify(family)
    end
    touch()
    return nil, false
  end
  create(facts.sid, facts.name, facts.provider, facts.profile, facts.healed)
  put('seen', str(now))
  if durable then verify(family) end
  return nil, true
end

-- facts_from reads the eight facts that start at ARGV[i]: known, sid, name, provider, profile ('durable' |
-- 'token'), durable rev, durable time of the last revocation in ms, healed.
local function facts_from(i)
  return {known = ARGV[i] == '1', sid = ARGV[i + 1], name = ARGV[i + 2], provider = ARGV[i + 3],
    profile = ARGV[i + 4], rev = ARGV[i + 5], revoked_at = tonumber(ARGV[i + 6]), healed = ARGV[i + 7] == '1'}
end
