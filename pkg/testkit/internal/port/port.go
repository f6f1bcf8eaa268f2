// Package port hands out TCP ports of 127.0.0.1 for servers that tests start,
// without two test binaries ever getting the same one.
package port

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
)

const (
	// The range lies below the ports that systems use for outgoing connections
	// (from 32768 on Linux, from 49152 elsewhere): nobody takes a claimed port
	// by chance while its server restarts.
	first, count = 12000, 10000

	// BusOffset leads from a port to a second one that goes with it: Redis
	// Cluster talks to itself on its port + 10000. It lies outside the range,
	// so that it belongs to whoever holds the claim.
	BusOffset = 10000

	attempts = 200
)

var errNoneFree = errors.New("no free port found")

// Claim is a port that no other Claim on this machine has.
type Claim struct {
	Number int
	lock   lock
}

// New claims a port on which, and on whose bus port, nothing listens.
func New() (*Claim, error) {
	for range attempts {
		number := first + rand.IntN(count)
		held, err := acquire(number)
		if err != nil {
			continue
		}
		if bindable(number) && bindable(number+BusOffset) {
			return &Claim{Number: number, lock: held}, nil
		}
		held.release()
	}
	return nil, fmt.Errorf("%w in %d-%d after %d tries", errNoneFree, first, first+count-1, attempts)
}

// Addr returns "127.0.0.1:port".
func (c *Claim) Addr() string { return addr(c.Number) }

// Release gives the port back. The end of the process does so too.
func (c *Claim) Release() { c.lock.release() }

func addr(number int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(number)) }

func bindable(number int) bool {
	listener, err := net.Listen("tcp", addr(number))
	if err != nil {
		return false
	}
	return listener.Close() == nil
}
