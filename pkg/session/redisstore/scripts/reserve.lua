-- reserve: takes a place for a player, pending until its owner confirms it.
-- KEYS:      as in the prelude.
-- ARGV:      1 player, 2 'token' | 'sid', 3 rev or sid, 4 family, 5-12 facts (see facts_from),
--            13 kind, 14 slot, 15 id, 16 most places of this kind, 17 kind that excludes this one or '',
--            18 place that must be held ("kind:slot") or '', 19 its id, 20 '1' when the player must be reachable,
--            21 copy
-- Returns:   'reserved' | 'already' | 'revoked' | 'absent' | 'gone' (another life of the session, or the place it
--            needs is not held) | 'unreachable' | 'taken' (the slot) | 'excluded' | 'too_many',
--            now, shift, id held and notAfter in ms joined by a space, record
-- Clock:     Redis TIME
-- Guarantee: G1 on the token path; one place of a kind and slot for a player
local by, kind, slot, id, most, excludes = ARGV[2], ARGV[13], ARGV[14], ARGV[15], tonumber(ARGV[16]), ARGV[17]
local needs, needs_id, must_reach, copy = ARGV[18], ARGV[19], ARGV[20] == '1', ARGV[21]
local created = false
if by == 'token' then
  local stop
  stop, created = admit(ARGV[3], ARGV[4], facts_from(5))
  if stop then return answer(stop) end
elseif not rec or rec.sid ~= ARGV[3] then
  return answer('gone')
end

local function refuse(outcome, extra)
  if by == 'token' then commit() end
  return answer(outcome, extra)
end
local field = 'p:' .. kind .. ':' .. slot
local p = place(field)
if p and p.notafter ~= 0 and p.notafter < now and p.id ~= id then p = nil end
if p and (p.id == id or by == 'token') then
  if p.notafter ~= 0 then
    p.notafter = now + S.reserve
    put_place(field, p)
  end
  commit()
  return answer('already', p.id .. ' ' .. str(p.notafter))
end
if needs ~= '' then
  local q = place('p:' .. needs)
  if not q or q.id ~= needs_id then return refuse('gone') end
end
if p then return refuse('taken', p.id) end
if must_reach and not reachable() then return refuse('unreachable') end
if excludes ~= '' and held(excludes) > 0 then return refuse('excluded') end
if held(kind) >= most then return refuse('too_many') end
local notafter = now + S.reserve
put_place(field, {id = id, v = 0, notafter = notafter, copy = copy})
commit()
return answer('reserved', id .. ' ' .. str(notafter))
