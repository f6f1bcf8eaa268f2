package players

import (
	"context"
	"time"
)

// Store keeps players. Every method is one atomic step, safe for concurrent
// use from any number of handles and processes on one database. It returns
// ErrUnavailable when the database cannot be asked in time, and the context's
// own error when the caller gave up; a write may still have happened then.
// Times are cut to milliseconds.
//
// playerstest.Run holds every implementation to these comments.
type Store interface {
	// FindOrCreate returns the player that the identity leads to, and makes it
	// from create if there is none: the same identity is the same player for
	// ever, however many logins race. A deleted player comes back, under the
	// new display name and with its revocations in force.
	// ErrInvalid: malformed identity or player.
	FindOrCreate(ctx context.Context, identity Identity, create NewPlayer, now time.Time) (p Player, created bool, err error)

	// Get returns a player, deleted ones too. ErrNotFound: unknown.
	Get(ctx context.Context, playerID string) (Player, error)

	// Facts returns, by one query, what is needed to judge a token and to
	// rebuild a session. A family that is unknown or another player's counts
	// as revoked; one that has expired does not, since the access token has an
	// expiry of its own. An empty familyID asks about no family.
	// ErrNotFound: unknown player.
	Facts(ctx context.Context, playerID, familyID string) (Facts, error)

	// Rename sets the display name.
	// ErrNotFound: unknown or deleted. ErrInvalid: malformed name.
	Rename(ctx context.Context, playerID, displayName string, now time.Time) error

	// Identities returns all identities of a player, ordered by provider and
	// hash. ErrNotFound: unknown player.
	Identities(ctx context.Context, playerID string) ([]Identity, error)

	// Link lets an identity lead to the player; already says that it did.
	// ErrIdentityTaken: it leads to another player. ErrNotFound: unknown or
	// deleted player. ErrInvalid: malformed identity.
	Link(ctx context.Context, playerID string, identity Identity, now time.Time) (already bool, err error)

	// Unlink removes the player's identities of one provider; already says
	// that there were none. ErrLastIdentity: there are no others. ErrNotFound:
	// unknown or deleted player.
	Unlink(ctx context.Context, playerID, provider string, now time.Time) (already bool, err error)

	// CreateFamily begins a login at FirstCounter. ErrChanged: the player is
	// deleted, or its Rev is no longer the one given, so that no login slips
	// past a revocation; read the player again. ErrNotFound: unknown player.
	// ErrInvalid: malformed family, or an id that is in use.
	CreateFamily(ctx context.Context, family NewFamily) error

	// RotateFamily judges a refresh token and moves the family on (see
	// Family.Judge). Of any number of concurrent calls with one token, one is
	// Rotated and the others Repeated, with the same counter and expiry.
	// Refusals are outcomes, not errors.
	RotateFamily(ctx context.Context, rotation Rotation) (RotateResult, error)

	// RevokeFamily ends one login. Ending what is ended or unknown is a
	// success: Facts calls both revoked. The first reason stays.
	RevokeFamily(ctx context.Context, familyID string, reason EndReason, now time.Time) error

	// Revoke ends every login of a player and returns its new Rev, by which
	// all tokens minted before are refused. RevokedAt becomes now, unless it is
	// later already. ErrNotFound: unknown player.
	Revoke(ctx context.Context, playerID string, reason EndReason, now time.Time) (rev int64, err error)

	// Delete marks the account as deleted, clears its display name, revokes as
	// Revoke does and returns the new Rev. Identities stay, so that bans do.
	// Deleting twice changes nothing. ErrNotFound: unknown player.
	Delete(ctx context.Context, playerID string, now time.Time) (rev int64, err error)

	// PurgeExpired removes up to limit families that ended or expired before
	// the given time, and returns how many: fewer than limit means that no more
	// are left, except what another caller is removing. Pass a time at least
	// one access token's life ago.
	PurgeExpired(ctx context.Context, before time.Time, limit int) (removed int, err error)

	// Ping returns nil when the store can answer.
	Ping(ctx context.Context) error

	// Close ends the handle. Closing twice is safe.
	Close() error
}
