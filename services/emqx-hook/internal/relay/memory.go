package relay

import (
	"sync"
	"time"

	"github.com/holdfast-games/holdfast/pkg/clock"
)

// maxShown bounds the players whose last snapshot a relay remembers.
const maxShown = 16384

// shown remembers which version of its session each player was last shown by
// this process. Forgetting costs a snapshot too many, nothing else. It is safe
// for concurrent use.
type shown struct {
	mu   sync.Mutex
	last map[string]version
}

// version names a state of one life of a session.
type version struct {
	sid string
	v   int64
}

func newShown() *shown { return &shown{last: map[string]version{}} }

// covers reports whether the player was shown this state or a later one of
// the same life.
func (s *shown) covers(player, sid string, v int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	last, ok := s.last[player]
	return ok && last.sid == sid && last.v >= v
}

func (s *shown) remember(player, sid string, v int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, known := s.last[player]; !known && len(s.last) >= maxShown {
		clear(s.last)
	}
	s.last[player] = version{sid, v}
}

// maxDrift is how long the distance between our clock and that of Redis is
// trusted.
const maxDrift = 10 * time.Second

// redisClock tells the time of Redis, by which events are stamped, without
// asking it each time: answers of Redis that carry its time are observed on
// the way. It is safe for concurrent use.
type redisClock struct {
	clock clock.Clock

	mu     sync.Mutex
	offset int64     // ms, Redis ahead of us
	seen   time.Time // by our clock; zero = never
}

func newRedisClock(c clock.Clock) *redisClock { return &redisClock{clock: c} }

// lost reports whether Redis has to be asked before now means anything.
func (r *redisClock) lost() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.seen.IsZero() || r.clock.Now().Sub(r.seen) > maxDrift
}

// observe takes the time, in ms, that Redis has just told.
func (r *redisClock) observe(ms int64) {
	now := r.clock.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.offset, r.seen = ms-now.UnixMilli(), now
}

// now returns the time of Redis in ms.
func (r *redisClock) now() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.clock.Now().UnixMilli() + r.offset
}
