package queue

import (
	"context"
	"errors"
	"time"

	"github.com/holdfast-games/holdfast/pkg/apperr"
	"github.com/holdfast-games/holdfast/proto/wire"
)

// Errors of matchmaking.
var (
	ErrUnknownQueue = apperr.New(apperr.NotFound, string(wire.CodeUnknownQueue), "no queue has this name")
	ErrUnknownMatch = apperr.New(apperr.NotFound, string(wire.CodeUnknownMatch), "no match has this id, or it ended long ago")
	ErrNotInMatch   = apperr.New(apperr.Forbidden, string(wire.CodeNotInMatch), "only the players of a match may do this")
	ErrInMatch      = apperr.New(apperr.Conflict, string(wire.CodeInMatch), "you are in a match, leave it first")
	ErrTooMany      = apperr.New(apperr.Conflict, string(wire.CodeTooManyQueues), "you already wait in as many queues as allowed")
)

// ErrHole says that changes of a queue were missed: load it again.
var ErrHole = errors.New("queue: changes were missed")

// Outcome says what a transition did.
type Outcome string

// The outcomes.
const (
	Done      Outcome = "done"
	Already   Outcome = "already" // nothing had to change
	Late      Outcome = "late"    // past notAfter
	Over      Outcome = "over"    // the ticket has a tombstone
	Absent    Outcome = "absent"  // no such ticket, or one of another life
	Committed Outcome = "matched" // a match has the ticket
	NowHeld   Outcome = "held"
	Resumed   Outcome = "resumed"
	Extended  Outcome = "extended" // reachable for longer, nothing visible
	Refused   Outcome = "refused"
	Early     Outcome = "early"
)

// Entry asks for a ticket.
type Entry struct {
	Ticket   Ticket // ID, Queue, Player, SID, ReachUntil, ReachV, Rating, Attributes, Latencies; QueuedAt of a ticket that was lost, or 0
	NotAfter int64  // ms, Redis time; refuse later than this, 0 = the place is confirmed
}

// Queued is the answer to an Entry. With Over, of the ticket only ID, Queue
// and QueuedAt are known.
type Queued struct {
	Outcome  Outcome // Done, Already, Late, Over
	Ticket   Ticket
	Position int64 // by waiting time, from 1
	Activity Activity
}

// Change is what a transition did to a ticket, and the ticket after it.
type Change struct {
	Outcome Outcome
	Ticket  Ticket
}

// Standing is a ticket and its place in the queue, from 1; 0 when it does not
// stand in it. Ticket.Player is empty when there is no such ticket.
type Standing struct {
	Ticket   Ticket
	Position int64
}

// Activity says how busy a queue is.
type Activity struct {
	Waiting int64 // tickets waiting or held
	InMatch int64 // players in a found match
	WaitMS  int64 // a running average of the time to a match, 0 = no history
}

// Tickets keeps the tickets of all queues. Every method takes one round trip,
// and all but the last two are atomic. Repeating a call is harmless. Errors
// are of kind Unavailable.
type Tickets interface {
	// Enqueue takes a ticket, unless it comes late or after its release. One
	// that cannot be reached is Held at once. A ticket that is there stays as
	// it is (Already), but one of an earlier life of the session is replaced.
	Enqueue(ctx context.Context, e Entry) (Queued, error)

	// Release removes a ticket and leaves a tombstone, also when there is no
	// such ticket (Absent); not one of another life. With tell, an event has
	// the place in the session released as well. A ticket in a forming match
	// stays (Committed), and goes if the match does not come about.
	Release(ctx context.Context, r Ref, reason string, tell bool) (Change, error)

	// Reach brings news, as of session version v, of until when the player
	// can be reached (0 = connected). Older news than what is known changes
	// nothing. Outcomes: NowHeld, Resumed, Extended, Already, Absent.
	Reach(ctx context.Context, r Ref, v, until int64) (Change, error)

	// Recheck holds a ticket whose player's reach is over, and names it to
	// the sweep again in RecheckInterval. Outcomes: NowHeld, Already, Absent.
	Recheck(ctx context.Context, r Ref) (Change, error)

	// Standings reads tickets.
	Standings(ctx context.Context, refs []Ref) ([]Standing, error)

	// Activities reads how busy queues are.
	Activities(ctx context.Context, queues []string) ([]Activity, error)
}

// Cursor is a place in the changes of a queue.
type Cursor struct {
	ID  string // of the stream entry last seen
	Seq int64  // of the change last seen
}

// Feed is what changed since a cursor: tickets as they are after each change,
// in order. A ticket that left the queue is neither Waiting nor Held.
type Feed struct {
	Tickets []Ticket
	Cursor  Cursor
}

// Proposal is a match to be made.
type Proposal struct {
	Match   string
	Tickets []Ticket // as planned with; the order of the members
}

// Commitment is the answer to a Proposal. With Refused, Stale names the
// tickets that were not as planned.
type Commitment struct {
	Outcome Outcome // Done, Refused
	Stale   []string
}

// Pool is what a matcher works on.
type Pool interface {
	// Lease takes, keeps or, with ttl 0, gives back the right to match a
	// queue. It spreads work and guards nothing. now is Redis time in ms.
	Lease(ctx context.Context, queue, instance string, ttl time.Duration) (held bool, now int64, err error)

	// Load reads all tickets that are Waiting or Held. What changes
	// meanwhile is in the Feed from its cursor on.
	Load(ctx context.Context, queue string) (Feed, error)

	// Follow returns the changes after the cursor, and waits for the first
	// one if need be: for about wait, 0 = not at all. Errors: ErrHole.
	Follow(ctx context.Context, queue string, from Cursor, wait time.Duration) (Feed, error)

	// Commit makes each proposal a forming match, all or nothing for each:
	// only if every ticket is still Matchable and as planned with. One round
	// trip for all.
	Commit(ctx context.Context, queue string, proposals []Proposal) ([]Commitment, error)
}

// Progress is what a transition did to a match, and the match after it.
type Progress struct {
	Outcome Outcome
	Match   Match
}

// Mark is news of a member.
type Mark struct {
	Player string
	Status Status // In, Read, Left
	V      int64  // with In, the session version of the announcement
	Reason string // with Left
}

// Matches keeps matches. Every method is atomic, and repeating a call is
// harmless. The Match argument names the match, its queue
// and its members, which never change. Errors are ErrUnknownMatch or of kind
// Unavailable.
type Matches interface {
	// Match reads a match.
	Match(ctx context.Context, id string) (Match, error)

	// Found announces a forming match: its tickets are over, its players in
	// a match, for at most lasts. Outcomes: Done, Already (found before),
	// Refused (cancelled).
	Found(ctx context.Context, m Match, lasts time.Duration) (Progress, error)

	// Dissolve cancels a forming match; verdicts says how it stands with each
	// member. Its tickets stay Matched until Restore. Outcomes: Done, Already
	// (cancelled before), Refused (found).
	Dissolve(ctx context.Context, m Match, reason string, verdicts []Status) (Progress, error)

	// Restore puts the tickets of a cancelled match back with their old
	// QueuedAt: Willing ones Waiting, or Held when they cannot be reached;
	// Gone and leaving ones go. It returns those that are back; a second call
	// returns none.
	Restore(ctx context.Context, m Match) ([]Ticket, error)

	// Mark brings news of members, and has the sweep name the match in next
	// (0 = as it was). A found match that everybody left is Void. Outcomes:
	// Done, Already (nothing new), Refused (not found).
	Mark(ctx context.Context, m Match, marks []Mark, next time.Duration) (Progress, error)

	// Finish ends a found match whose time is over. Outcomes: Done, Already
	// (Void before), Early, Refused.
	Finish(ctx context.Context, m Match, reason string) (Progress, error)

	// Settle says that there is nothing left to do for a match.
	Settle(ctx context.Context, id string) error
}

// Due is something to look at: a match, or a ticket.
type Due struct {
	Match  string
	Ticket Ref
}

// Sweep is what a pass over one shard found.
type Sweep struct {
	Shard   int
	GivenMS int64 // time this very pass gave back for an outage
	Due     []Due
	Err     error
}

// Deadlines says what is due.
type Deadlines interface {
	// Sweep names, for every shard, what is due, at most MaxDuePerPass, and
	// keeps it from other sweepers for SweepClaim. When nobody has swept for
	// longer than session.Stale, the gap is added to what remains of every
	// running match, once.
	Sweep(ctx context.Context) ([]Sweep, error)
}

// Store is all of it.
type Store interface {
	Tickets
	Pool
	Matches
	Deadlines
}

// Types of the events that the store appends to the outbox of a queue's
// shard, each with the change that caused it.
const (
	EventTicketOver   = "ticket.over"   // queue, ticket, reason: the session has to release its place
	EventMatchForming = "match.forming" // match, queue
	EventMatchFound   = "match.found"   // match, queue
	EventMatchLeft    = "match.left"    // match, queue, reason; player and sid are who left
	EventMatchOver    = "match.over"    // match, queue, reason
)
