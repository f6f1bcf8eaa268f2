-- found: every session has taken the match; its tickets are over.
-- KEYS:      as in the prelude, 7 match (hash), then for each member: ticket (hash), tombstone (string), from 8 on
-- ARGV:      1 queue, 2 match, 3 ms it may last
-- Returns:   'done' | 'already' (found before) | 'refused' (it was cancelled) | 'absent', now, shift, 0, 0, match
-- Clock:     Redis TIME
-- Guarantee: of this and dissolve exactly one wins, once
local id, lasts = ARGV[2], tonumber(ARGV[3])
local m = hash(KEYS[7])
if not m then return answer('absent') end
if m.state ~= 'forming' then return answer(m.state == 'cancelled' and 'refused' or 'already', m) end

m.state, m.foundAt, m.endsAt = 'found', str(now), str(now - shift() + lasts)
move(m)
local wait = tonumber(redis.call('HGET', K_META, 'wait') or '-1')
local list = members(m)
for i, x in ipairs(list) do
  local key, gone = KEYS[6 + 2 * i], KEYS[7 + 2 * i]
  local t = hash(key)
  if t then
    local waited = math.max(now - num(t, 'queuedAt'), 0)
    wait = wait < 0 and waited or math.floor((wait * 4 + waited) / 5)
    remove(x.ticket, t, key, gone)
  end
end
redis.call('HSET', K_META, 'wait', str(math.max(wait, 0)))
redis.call('HINCRBY', K_META, 'inMatch', #list)
redis.call('PEXPIRE', K_META, S.backstop)
save(KEYS[7], m, lasts + S.backstop)
look('m:' .. id, now + S.forming)
emit('match.found', list[1].player, list[1].sid, {'match', id})
return answer('done', m)
