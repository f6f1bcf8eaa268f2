-- get: reads the record and changes nothing, not even when the player was seen.
-- KEYS:      as in the prelude.
-- ARGV:      1 player
-- Returns:   'ok' | 'none', now, shift, '', record
-- Clock:     Redis TIME
-- Guarantee: read only
return answer(rec and 'ok' or 'none')
