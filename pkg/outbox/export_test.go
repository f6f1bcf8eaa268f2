package outbox

import "time"

// Hurry makes a reader renew and lose its leases ten times as fast.
func (r *Reader) Hurry() *Reader {
	r.pace = pace{lease: leaseTTL / 10, tick: leaseTick / 10, block: 50 * time.Millisecond}
	return r
}

// GiveUpAfter is the age at which an event that fails is given up.
const GiveUpAfter = giveUpAfter
