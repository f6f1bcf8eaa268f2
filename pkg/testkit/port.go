package testkit

import (
	"testing"

	"github.com/holdfast-games/holdfast/pkg/testkit/internal/port"
)

// FreePort returns a TCP port of 127.0.0.1 that nothing listens on and that no
// other test binary is given until this test is over. It lies below the range
// from which the system picks ports for outgoing connections, so that it also
// stays free while a server on it is down.
func FreePort(tb testing.TB) int {
	tb.Helper()
	claim, err := port.New()
	if err != nil {
		tb.Fatalf("find a free port: %v", err)
	}
	tb.Cleanup(claim.Release)
	return claim.Number
}
