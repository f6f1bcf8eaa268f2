-- begin: an authentication hook said yes; hands out the epoch of the connection that may follow.
-- KEYS:      as in the prelude.
-- ARGV:      1 player, 2 rev of the token, 3 family of the token, 4-11 facts (see facts_from)
-- Returns:   'ok' | 'created' | 'revoked' | 'absent', now, shift, epoch, record
-- Clock:     Redis TIME
-- Guarantee: G1; G4 (an epoch is newer than every earlier one and than the last revocation)
local facts = facts_from(4)
local stop, created = admit(ARGV[2], ARGV[3], facts)
if stop then return answer(stop) end
local _, revoked_at = revocation('')
local epoch = str(math.max(num('epoch') + 1, now, revoked_at + 1, facts.revoked_at + 1))
put('epoch', epoch)
commit()
return answer(created and 'created' or 'ok', epoch)
