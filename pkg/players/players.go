// Package players is the durable player record: who a player is, which
// identities lead to it, which generation of its tokens is good, and which
// logins (refresh families) are alive. It is what is left when Redis is wiped.
// This package holds the rules and does no I/O; the stores are below it.
package players

import (
	"strings"
	"time"
	"unicode/utf8"

	"github.com/holdfast-games/holdfast/pkg/apperr"
	"github.com/holdfast-games/holdfast/pkg/id"
)

// What stores answer, to be tested with errors.Is.
var (
	// ErrUnavailable: the database could not be asked. It says nothing about
	// the player; a write that failed so may still have happened.
	ErrUnavailable = apperr.New(apperr.Unavailable, "unavailable", "the player database is away, please retry")

	// ErrNotFound: there is no such player.
	ErrNotFound = apperr.New(apperr.NotFound, "player_not_found", "there is no such player")

	// ErrInvalid: an argument is malformed. Nothing was done.
	ErrInvalid = apperr.New(apperr.Invalid, "player_invalid", "a part of the player record is malformed")

	// ErrChanged: the player was revoked or deleted after the caller read it.
	ErrChanged = apperr.New(apperr.Conflict, "player_changed", "the player changed meanwhile, please retry")

	// ErrIdentityTaken: the identity leads to another player.
	ErrIdentityTaken = apperr.New(apperr.Conflict, "identity_taken", "this identity belongs to another player")

	// ErrLastIdentity: without this identity nobody could log in any more.
	ErrLastIdentity = apperr.New(apperr.Conflict, "identity_last", "the last identity of a player stays")
)

const maxText = 256 // bytes, of providers, subject hashes and display names

// Identity is what a provider calls a player: the only way in.
type Identity struct {
	Provider    string // "guest", "steam", an OpenID issuer's short name
	SubjectHash string // keyed hash of the provider's id, never the id itself
}

// Validate returns ErrInvalid for an identity that no login can have. An empty
// half would make one player of everybody.
func (i Identity) Validate() error {
	if !validText(i.Provider) || !validText(i.SubjectHash) || i.Provider == "" || i.SubjectHash == "" {
		return ErrInvalid
	}
	return nil
}

// NewPlayer is the player that an unknown identity becomes.
type NewPlayer struct {
	ID          string // unique for ever, see id.New
	DisplayName string
}

// Validate returns ErrInvalid for a player that cannot be stored.
func (p NewPlayer) Validate() error {
	if !id.Valid(p.ID) {
		return ErrInvalid
	}
	return ValidateDisplayName(p.DisplayName)
}

// ValidateDisplayName returns ErrInvalid for a name that cannot be stored. What
// makes a good name is the caller's business.
func ValidateDisplayName(name string) error {
	if !validText(name) {
		return ErrInvalid
	}
	return nil
}

// validText keeps out what one database takes and another refuses.
func validText(s string) bool {
	return len(s) <= maxText && utf8.ValidString(s) && !strings.ContainsRune(s, 0)
}

// Player is the durable record. Times are UTC in whole milliseconds.
type Player struct {
	ID          string
	DisplayName string // empty while deleted
	Provider    string // of the identity that the player was created with, or another one once that is unlinked

	// Rev is the generation of the player's tokens, from 0: one minted under a
	// lower Rev is revoked.
	Rev int64

	RevokedAt time.Time // of the last revocation, zero when there was none

	CreatedAt time.Time
	UpdatedAt time.Time
	DeletedAt time.Time // zero unless deleted
}

// Deleted reports whether the account was deleted and nobody has logged in
// since.
func (p Player) Deleted() bool { return !p.DeletedAt.IsZero() }

// Facts is what a service needs to rebuild a lost session from a token.
type Facts struct {
	DisplayName   string
	Provider      string
	Rev           int64
	EndedAt       time.Time // when a login of the player, or all of them, ended last
	FamilyRevoked bool      // the login the token comes from was ended, or never was
	Deleted       bool
}
