-- ensure: finds the session of a player or makes one, and notes that the player called.
-- KEYS:      as in the prelude.
-- ARGV:      1 player, 2 rev of the token, 3 family of the token, 4 '1' when the caller will read the snapshot,
--            5-12 facts (see facts_from)
-- Returns:   'ok' | 'created' | 'revoked' | 'absent' (no record and no facts to make one), now, shift, '', record
-- Clock:     Redis TIME
-- Guarantee: G1 (a valid token is always enough), G8 (revocation wins over healing)
local stop, created = admit(ARGV[2], ARGV[3], facts_from(5))
if stop then return answer(stop) end
local healed = rec.healed
if ARGV[4] == '1' then
  put('read', rec.v)
  del('healed')
end
commit()
rec.healed = healed
return answer(created and 'created' or 'ok')
