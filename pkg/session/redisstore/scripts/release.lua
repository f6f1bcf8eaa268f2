-- release: a place is free again.
-- KEYS:      as in the prelude.
-- ARGV:      1 player, 2 sid or '' for any, 3 kind, 4 slot, 5 id, 6 push type or '', 7 push body
-- Returns:   'released' | 'gone' (not held, or another life), now, shift, '', record
-- Clock:     Redis TIME
-- Guarantee: repeats change nothing; a reservation that was never confirmed goes silently
local sid, field, id = ARGV[2], 'p:' .. ARGV[3] .. ':' .. ARGV[4], ARGV[5]
if not rec or (sid ~= '' and rec.sid ~= sid) then return answer('gone') end
local p = place(field)
if not p or p.id ~= id then return answer('gone') end
del(field)
if p.notafter == 0 then
  move()
  emit('session.place', {'place', ARGV[3] .. ':' .. ARGV[4], 'id', id, 'push', ARGV[6], 'body', ARGV[7]})
end
commit()
return answer('released')
