// Package rules holds the rules of the queues: who may meet whom, how many
// make a match, and how long it may last.
package rules

import (
	"regexp"
	"slices"
	"time"
)

// Queue is the rules of one queue.
type Queue struct {
	Name        string
	Min, Max    int           // players of a match
	FillTime    time.Duration // once the first has waited this long, Min are enough
	Rating      *Window       // nil = ratings do not matter; only where Min = Max = 2
	Equal       []string      // attributes that must be equal
	MaxDuration time.Duration // a match ends by itself after this
}

// Window is how far the ratings of two players may be apart. That of a pair
// is the smaller of their two.
type Window struct {
	Start int64
	Grow  int64 // more for each Every of waiting, in proportion
	Every time.Duration
	Cap   int64
}

// At returns the window of a player who has waited for ms.
func (w Window) At(ms int64) int64 {
	if ms <= 0 || w.Grow == 0 {
		return w.Start
	}
	return min(w.Cap, w.Start+w.Grow*ms/w.Every.Milliseconds())
}

// Guess estimates the wait, in ms, where there is no history.
func (q Queue) Guess() int64 { return q.FillTime.Milliseconds() }

// Set is the rules of all queues. The zero value has none.
type Set struct{ queues map[string]Queue }

// Queue returns the rules of a queue.
func (s Set) Queue(name string) (Queue, bool) {
	q, ok := s.queues[name]
	return q, ok
}

// Names returns the names of all queues, sorted.
func (s Set) Names() []string {
	names := make([]string, 0, len(s.queues))
	for name := range s.queues {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

var nameForm = regexp.MustCompile(`^[A-Za-z0-9_-]+(:[A-Za-z0-9_-]+)*$`)

// maxName is the longest name of a queue.
const maxName = 128

// ValidName reports whether a queue may be called that: 1 to 128 letters,
// digits, '-' and '_', with single ':' between them.
func ValidName(name string) bool { return len(name) <= maxName && nameForm.MatchString(name) }
