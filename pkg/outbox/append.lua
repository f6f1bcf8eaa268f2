-- Prelude for every script that has consequences: outbox_append(key, fields) appends one event to the outbox of
-- the shard. All groups exist from the first append, so that none of them misses it. The stream has a hard limit,
-- so that a dead consumer cannot fill Redis.
local function outbox_append(key, fields)
  if redis.call('EXISTS', key) == 0 then
    for _, group in ipairs({'relay', 'broker', 'matchmaking'}) do
      redis.call('XGROUP', 'CREATE', key, group, '0', 'MKSTREAM')
    end
  end
  redis.call('XADD', key, 'MAXLEN', '~', '100000', '*', unpack(fields))
end
