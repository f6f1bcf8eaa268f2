package testkit

import (
	"errors"
	"testing"
	"time"
)

const (
	firstPause   = time.Millisecond
	longestPause = 50 * time.Millisecond
)

var errNotYet = errors.New("not yet")

// Eventually calls probe until it returns nil (or true), and fails the test
// with what and the last error when it has not within timeout. It calls probe
// at least once, and a last time after the timeout. Call it from the test's
// own goroutine.
func Eventually[P func() error | func() bool](tb testing.TB, timeout time.Duration, probe P, what string) {
	tb.Helper()
	if err := poll(timeout, asErrorFunc(probe)); err != nil {
		tb.Fatalf("after %s still waiting for %s: %v", timeout, what, err)
	}
}

func poll(timeout time.Duration, probe func() error) error {
	deadline := time.Now().Add(timeout)
	pause := firstPause
	for {
		over := !time.Now().Before(deadline)
		err := probe()
		if err == nil || over {
			return err
		}
		time.Sleep(pause)
		pause = min(2*pause, longestPause)
	}
}

func asErrorFunc(probe any) func() error {
	if f, ok := probe.(func() error); ok {
		return f
	}
	holds, _ := probe.(func() bool)
	return func() error {
		if holds() {
			return nil
		}
		return errNotYet
	}
}
