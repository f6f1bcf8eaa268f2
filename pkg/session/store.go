package session

import (
	"context"

	"github.com/holdfast-games/holdfast/pkg/apperr"
)

// Errors of the store. Everything else it returns is of kind Unavailable.
var (
	// ErrRevoked refuses a token or connection older than a revocation.
	ErrRevoked = apperr.New(apperr.Unauthenticated, "token_revoked", "this token has been revoked, please log in again")
	// ErrAbsent says that the call has to bring facts: there is no record to
	// find, or nobody has vouched for this login in this life of the session.
	// Keeper answers it by asking for the facts.
	ErrAbsent = apperr.New(apperr.Internal, "session_absent", "the session has to be rebuilt first")
)

// Outcome says what a transition did. Which ones a transition can have is in
// the header of its script.
type Outcome string

// The outcomes.
const (
	OK          Outcome = "ok"
	Created     Outcome = "created"
	Opened      Outcome = "opened"
	Repeat      Outcome = "repeat"
	Closed      Outcome = "closed"
	Refused     Outcome = "refused"
	Noted       Outcome = "noted"
	StillOpen   Outcome = "connected"
	InGrace     Outcome = "grace"
	None        Outcome = "none"
	Paused      Outcome = "paused"
	Early       Outcome = "early"
	LostRecord  Outcome = "lost_record"
	Expired     Outcome = "expired"
	Reserved    Outcome = "reserved"
	Already     Outcome = "already"
	Gone        Outcome = "gone"
	Unreachable Outcome = "unreachable"
	Taken       Outcome = "taken"
	Excluded    Outcome = "excluded"
	TooMany     Outcome = "too_many"
	Confirmed   Outcome = "confirmed"
	Stalled     Outcome = "stale"
	Released    Outcome = "released"
	Repeated    Outcome = "repeated"
	AlreadyRead Outcome = "read"
	Ended       Outcome = "ended"
	Announced   Outcome = "announced"
)

// Result is the outcome of a transition and the record after it; Record.SID
// is empty when there is none.
type Result struct {
	Outcome Outcome
	Record  Record
}

// Push is a message to the player that goes out with a visible change. Body
// is a JSON object to which the relay adds sid, v, prev and timestamp.
type Push struct {
	Type string
	Body string
}

// Reservation asks for a place.
type Reservation struct {
	Kind     Kind
	Slot     string
	ID       string
	Most     int    // places of this kind a player may hold
	Excludes Kind   // refuse while a place of this kind is held
	Copy     string // what the owner wants remembered
}

// MatchReservation asks for the match place of one life of a session, for a
// player who still holds the ticket and can be reached.
type MatchReservation struct {
	Player string
	SID    string
	Queue  string
	Ticket string
	Match  string
}

// Hold is the answer to a reservation: the id that is held, which is another
// one when the outcome is Already, and until when the owner may take it (ms,
// Redis time; 0 = it is confirmed).
type Hold struct {
	Outcome  Outcome
	ID       string
	NotAfter int64
	Record   Record
}

// PlaceRef names a place of one life of a session.
type PlaceRef struct {
	Player string
	SID    string // empty means whichever life, for Release only
	Kind   Kind
	Slot   string
	ID     string
}

// Due is what a pass over one shard found.
type Due struct {
	Shard   int
	Paused  bool  // the hook is away: nothing falls due
	GivenMS int64 // amnesty given by this very pass
	Members []string
	Err     error
}

// Store makes the transitions of the session protocol. Every method is atomic,
// takes one round trip, and may be called again with the same arguments after
// an error without harm. Errors are ErrRevoked, ErrAbsent or of kind
// Unavailable.
type Store interface {
	// Ensure finds the session or makes one from facts, and notes that the
	// player called. With read, the player is known to have read the snapshot
	// of the record returned. Durable facts vouch for the login, for as long as
	// this life of the session. Errors: ErrRevoked; ErrAbsent when facts is nil
	// and needed.
	Ensure(ctx context.Context, c Claims, facts *Facts, read bool) (Result, error)

	// Begin is Ensure for an authentication hook that says yes; the epoch it
	// returns is newer than every earlier one and than the last revocation.
	Begin(ctx context.Context, c Claims, facts *Facts) (Result, int64, error)

	// Connected opens a connection unless it has a tombstone (Closed), is
	// open already (Repeat) or is older than a revocation (Refused).
	Connected(ctx context.Context, player string, id ConnectionID, node string, facts *Facts) (Result, error)

	// Disconnected closes one connection and leaves a tombstone.
	Disconnected(ctx context.Context, player string, id ConnectionID, reason string) (Result, error)

	// Lost closes one connection without a tombstone.
	Lost(ctx context.Context, player string, id ConnectionID) (Result, error)

	// Due does what is due for each player, and nothing for one who is not.
	Due(ctx context.Context, players []string) ([]Result, error)

	// Sweep gives amnesty where it is owed and names who is due, at most
	// MaxDuePerPass players for each shard.
	Sweep(ctx context.Context, shards []int) ([]Due, error)

	// Beat says for every shard that who is alive ("hook").
	Beat(ctx context.Context, who string) error

	// Reserve takes a place with a token; ErrRevoked and ErrAbsent as Ensure.
	// Outcomes: Reserved, Already, Excluded, TooMany.
	Reserve(ctx context.Context, c Claims, facts *Facts, r Reservation) (Hold, error)

	// ReserveMatch takes the match place of several players, each for itself.
	// Outcomes: Reserved, Already, Gone, Unreachable, Taken.
	ReserveMatch(ctx context.Context, rs []MatchReservation) ([]Hold, error)

	// Confirm makes a place real, drops the player's places of kind drops
	// ("" = none), and pushes. Outcomes: Confirmed, Already, Gone.
	Confirm(ctx context.Context, p PlaceRef, v int64, copy string, drops Kind, push Push) (Result, error)

	// Note brings a newer copy of a confirmed place and pushes. Outcomes:
	// Noted, Stalled, Gone.
	Note(ctx context.Context, p PlaceRef, v int64, copy string, push Push) (Result, error)

	// Release frees a place and pushes. Outcomes: Released, Gone.
	Release(ctx context.Context, p PlaceRef, push Push) (Result, error)

	// Repeat pushes again unless the player has read session version v.
	// Outcomes: Repeated, AlreadyRead, Gone.
	Repeat(ctx context.Context, p PlaceRef, v int64, push Push) (Result, error)

	// End ends the session and fences every connection authenticated so far.
	// The int64 is the revocation generation after it.
	End(ctx context.Context, player string, e Ending) (Result, int64, error)

	// Announce asks the relay to push the snapshot.
	Announce(ctx context.Context, player string) (Result, error)

	// Get reads the record and changes nothing.
	Get(ctx context.Context, player string) (Result, error)
}

// Ending says how a session ends.
type Ending struct {
	Reason string
	Revoke bool   // every token of the player is refused from now on
	Family string // the login whose tokens are refused from now on, "" = none
	Rev    int64  // the durable revocation generation, with Revoke
}
