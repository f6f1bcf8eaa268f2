-- note: brings the owner's newest small copy of a place into the record and tells the player.
-- KEYS:      as in the prelude.
-- ARGV:      1 player, 2 sid, 3 kind, 4 slot, 5 id, 6 version of the owner's copy, 7 copy, 8 push type or '',
--            9 push body
-- Returns:   'noted' | 'stale' (the copy is not newer) | 'gone', now, shift, '', record
-- Clock:     Redis TIME
-- Guarantee: repeats and late copies change nothing
local sid, field, id, v = ARGV[2], 'p:' .. ARGV[3] .. ':' .. ARGV[4], ARGV[5], tonumber(ARGV[6])
if not rec or rec.sid ~= sid then return answer('gone') end
local p = place(field)
if not p or p.id ~= id then return answer('gone') end
if v <= p.v or p.notafter ~= 0 then return answer('stale') end
put_place(field, {id = id, v = v, notafter = 0, copy = ARGV[7]})
move()
emit('session.place', {'place', ARGV[3] .. ':' .. ARGV[4], 'id', id, 'push', ARGV[8], 'body', ARGV[9]})
commit()
return answer('noted')
