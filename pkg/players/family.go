package players

import (
	"time"

	"github.com/holdfast-games/holdfast/pkg/id"
)

// FirstCounter is the counter of a family's first refresh token.
const FirstCounter = 1

// EndReason says why a family ended. Callers may have reasons of their own.
type EndReason string

// The reasons that this package and its callers share.
const (
	Logout  EndReason = "logout"
	Banned  EndReason = "banned"
	Removed EndReason = "account_deleted" // set by Store.Delete
	Replay  EndReason = "token_reused"    // set by Store.RotateFamily
)

// NewFamily is a login: all the refresh tokens that follow from it.
type NewFamily struct {
	ID                string // unique for ever, see id.New
	PlayerID          string
	Rev               int64 // of the player, as read during this login
	CreatedAt         time.Time
	ExpiresAt         time.Time // unless a rotation moves it
	AbsoluteExpiresAt time.Time // no rotation moves past this
}

// Validate returns ErrInvalid for a family that could never be used.
func (f NewFamily) Validate() error {
	if !id.Valid(f.ID) || !id.Valid(f.PlayerID) ||
		!f.ExpiresAt.After(f.CreatedAt) || f.ExpiresAt.After(f.AbsoluteExpiresAt) {
		return ErrInvalid
	}
	return nil
}

// Family is the state of a login.
type Family struct {
	Counter           int64 // of the newest refresh token
	ExpiresAt         time.Time
	AbsoluteExpiresAt time.Time
	EndedAt           time.Time // zero while alive
	EndReason         EndReason
}

// Rotation asks for the next refresh token of a family.
type Rotation struct {
	FamilyID  string
	Presented int64 // counter of the token that the client sent
	Now       time.Time
	Sliding   time.Duration // life of the next token, within the absolute limit
}

// RotateResult answers a Rotation.
type RotateResult struct {
	Outcome Outcome

	// Counter and ExpiresAt are those of the token to hand out; zero unless
	// the outcome is granted.
	Counter   int64
	ExpiresAt time.Time

	// Player is whose family it is, as it was when the token was granted; zero
	// for UnknownFamily.
	Player Player

	// EndReason says why the family is over, for Ended and Reused.
	EndReason EndReason
}

// Outcome says what became of a refresh token that a client presented.
type Outcome int

// The outcomes. The zero value denies.
const (
	InvalidCounter Outcome = iota // a counter that was never handed out; nothing happens
	UnknownFamily                 // no such family, or purged long after its end
	Ended                         // logged out, revoked, or reused before
	Expired                       // not used for too long, or at its absolute limit
	Reused                        // an old token came back: somebody copied it, and the family has ended
	Repeated                      // the previous token: its answer was lost, so it gets the same answer again
	Rotated                       // the newest token: it gets the next
)

// Granted reports whether the client gets a token.
func (o Outcome) Granted() bool { return o == Rotated || o == Repeated }

// String returns the outcome in snake_case, for logs and metrics.
func (o Outcome) String() string {
	names := [...]string{"invalid_counter", "unknown_family", "ended", "expired", "reused", "repeated", "rotated"}
	if o < 0 || int(o) >= len(names) {
		return "invalid_counter"
	}
	return names[o]
}

// Judge says what presenting a counter to the family means now. It is the rule
// that every store applies; a store makes it atomic.
func (f Family) Judge(presented int64, now time.Time) Outcome {
	switch {
	case !f.EndedAt.IsZero():
		return Ended
	case !now.Before(f.ExpiresAt):
		return Expired
	case presented < FirstCounter || presented > f.Counter:
		return InvalidCounter
	case presented == f.Counter:
		return Rotated
	case presented == f.Counter-1:
		return Repeated
	default:
		return Reused
	}
}

// Slide returns when the family expires after a rotation now.
func (f Family) Slide(now time.Time, sliding time.Duration) time.Time {
	if next := now.Add(sliding); next.Before(f.AbsoluteExpiresAt) {
		return next
	}
	return f.AbsoluteExpiresAt
}
