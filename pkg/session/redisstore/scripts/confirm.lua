-- confirm: the owner has made the place real.
-- KEYS:      as in the prelude.
-- ARGV:      1 player, 2 sid, 3 kind, 4 slot, 5 id, 6 version of the owner's copy, 7 copy,
--            8 kind whose places this one replaces or '', 9 push type or '', 10 push body
-- Returns:   'confirmed' | 'already' | 'gone' (another life, or the place is not held),
--            now, shift, '', record; the event lists the places dropped as "drop:kind:slot", id
-- Clock:     Redis TIME
-- Guarantee: G5 (a place and what the player is told about it change together)
local sid, field, id = ARGV[2], 'p:' .. ARGV[3] .. ':' .. ARGV[4], ARGV[5]
if not rec or rec.sid ~= sid then return answer('gone') end
local p = place(field)
if not p or p.id ~= id then return answer('gone') end
if p.notafter == 0 then return answer('already') end

put_place(field, {id = id, v = tonumber(ARGV[6]), notafter = 0, copy = ARGV[7]})
local extra = {'place', ARGV[3] .. ':' .. ARGV[4], 'id', id, 'push', ARGV[9], 'body', ARGV[10]}
if ARGV[8] ~= '' then
  local flat = places()
  for i = 1, #flat, 2 do
    if string.sub(flat[i], 1, #ARGV[8] + 1) == ARGV[8] .. ':' then
      extra[#extra + 1] = 'drop:' .. flat[i]
      extra[#extra + 1] = flat[i + 1]
      del('p:' .. flat[i])
    end
  end
end
move()
emit('session.place', extra)
commit()
return answer('confirmed')
