-- announce: the player has just subscribed to its snapshot; asks the relay to push it.
-- KEYS:      as in the prelude.
-- ARGV:      1 player
-- Returns:   'announced' | 'none', now, shift, '', record
-- Clock:     Redis TIME
-- Guarantee: nothing visible changes
if not rec then return answer('none') end
emit('session.announce', {})
commit()
return answer('announced')
