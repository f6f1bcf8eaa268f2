// Package testkit is what the tests of every module share: polling with a
// deadline, a leak check for goroutines, free ports, and the rule for programs
// that a machine may not have. The servers themselves are in the packages
// below it.
package testkit

import (
	"testing"

	"go.uber.org/goleak"
)

// Main runs the tests of a package, then stop in the order given, and fails
// the run if a goroutine is still alive after that. It does not return. Call
// it as the only line of TestMain.
func Main(m *testing.M, stop ...func()) {
	goleak.VerifyTestMain(run{tests: m, stop: stop})
}

type run struct {
	tests goleak.TestingM
	stop  []func()
}

// Run stops the servers before goleak looks, which it does as soon as Run is
// over.
func (r run) Run() int {
	code := r.tests.Run()
	for _, stop := range r.stop {
		stop()
	}
	return code
}
