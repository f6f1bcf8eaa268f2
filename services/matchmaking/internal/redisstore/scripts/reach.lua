-- reach: news of until when the player of a ticket can be reached.
-- KEYS:      as in the prelude, 7 ticket (hash)
-- ARGV:      1 queue, 2 ticket, 3 sid, 4 session version the news is from, 5 ms, 0 = while connected
-- Returns:   'held' | 'resumed' | 'extended' | 'already' (older news, or nothing new) | 'absent',
--            now, shift, 0, 0, ticket
-- Clock:     Redis TIME
-- Guarantee: repeats and late news change nothing
local id, sid, v, until_ms = ARGV[2], ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])
local t = hash(KEYS[7])
if not t or t.sid ~= sid then return answer('absent') end
local known, current = num(t, 'reachV'), num(t, 'reachUntil')
local longer = current ~= 0 and (until_ms == 0 or until_ms > current)
local newer = v > known or (v == known and longer)
local outcome = 'already'
if newer then
  t.reachV = str(v)
  if until_ms ~= current then
    t.reachUntil = str(until_ms)
    outcome = 'extended'
  end
end
local settled = settle(t)
if not newer and not settled then return answer('already', t) end
save(KEYS[7], t, S.backstop)
look_early(ticket_member(id), recheck_at(t))
if t.state ~= 'matched' and (settled or outcome == 'extended') then change(id, t) end
return answer(settled or outcome, t)
