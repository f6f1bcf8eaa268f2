-- repeat: tells the player again about a place, unless it has read a snapshot that shows it.
-- KEYS:      as in the prelude.
-- ARGV:      1 player, 2 sid, 3 kind, 4 slot, 5 id, 6 session version the player must have read, 7 push type,
--            8 push body
-- Returns:   'repeated' | 'read' | 'gone', now, shift, '', record
-- Clock:     Redis TIME
-- Guarantee: nothing visible changes
local sid, field, id = ARGV[2], 'p:' .. ARGV[3] .. ':' .. ARGV[4], ARGV[5]
if not rec or rec.sid ~= sid then return answer('gone') end
local p = place(field)
if not p or p.id ~= id then return answer('gone') end
if num('read') >= tonumber(ARGV[6]) then return answer('read') end
emit('session.repeat', {'place', ARGV[3] .. ':' .. ARGV[4], 'id', id, 'push', ARGV[7], 'body', ARGV[8]})
commit()
return answer('repeated')
