package queuetest

import (
	"testing"
	"time"

	"github.com/holdfast-games/holdfast/services/matchmaking/internal/memstore"
)

// Model returns the model as a backend.
func Model(tb testing.TB) Backend {
	tb.Helper()
	c := NewClock()
	s := memstore.New(Shards(tb), c.Now)
	return Backend{Store: s, Clock: c, Age: func(time.Duration) {}, Events: func(testing.TB) []Event {
		var all []Event
		for _, e := range s.Events() {
			all = append(all, Event(e))
		}
		return all
	}}
}
