// Package queue holds the nouns of matchmaking: tickets that wait, matches
// that form, found and end, and the promises of the store that keeps them.
package queue

import "context"

// State says where a ticket is in its life.
type State string

// The states of a ticket. One that is over has no record, only a tombstone.
const (
	Waiting State = "waiting" // may be matched
	Held    State = "held"    // its player cannot be reached; it keeps its place and is not matched
	Matched State = "matched" // part of a forming match
)

// Ticket is one player's wait in one queue. Times are Unix ms, Redis time.
type Ticket struct {
	ID         string
	Queue      string
	Player     string
	SID        string // the life of the session it belongs to
	QueuedAt   int64  // never changes while the ticket lives
	V          int64  // grows with every change of state
	State      State
	ReachUntil int64 // the player can be reached until then; 0 = while it is connected
	ReachV     int64 // session version that ReachUntil was learnt from
	After      int64 // not matched before; a match elsewhere is being put together
	Rating     int64
	Attributes map[string][]string
	Latencies  map[string]float64 // ms by region
	Match      string             // the forming match, when Matched
	Leaving    string             // why it goes when the forming match does not come about, "" = it stays
}

// Reachable reports whether the player can be reached at now.
func (t Ticket) Reachable(now int64) bool { return t.ReachUntil == 0 || t.ReachUntil > now }

// Matchable reports whether a match may take the ticket at now.
func (t Ticket) Matchable(now int64) bool {
	return t.State == Waiting && t.Reachable(now) && t.After <= now
}

// Older orders tickets by waiting time, and equal ones by id.
func (t Ticket) Older(than Ticket) bool {
	if t.QueuedAt != than.QueuedAt {
		return t.QueuedAt < than.QueuedAt
	}
	return t.ID < than.ID
}

// Ref names a ticket.
type Ref struct {
	Queue  string
	Ticket string
	SID    string // "" = of whichever life
}

// Ref returns the name of the ticket, of this life only.
func (t Ticket) Ref() Ref { return Ref{Queue: t.Queue, Ticket: t.ID, SID: t.SID} }

// Rater knows how good a player is.
type Rater interface {
	// Rating returns the player's rating for a queue.
	Rating(ctx context.Context, player, queue string) (int64, error)
}

// FixedRating is a Rater to whom everybody is equal.
type FixedRating int64

// StartRating is the rating of a player nobody has seen play.
const StartRating FixedRating = 600

// Rating implements Rater.
func (r FixedRating) Rating(context.Context, string, string) (int64, error) { return int64(r), nil }
