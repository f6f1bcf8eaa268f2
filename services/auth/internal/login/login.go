// Package login holds the rules of logging in, refreshing and logging out. The
// durable record decides and is written first; the session store follows, so
// that every service refuses at once what was ended.
package login

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/holdfast-games/holdfast/pkg/apperr"
	"github.com/holdfast-games/holdfast/pkg/clock"
	"github.com/holdfast-games/holdfast/pkg/id"
	"github.com/holdfast-games/holdfast/pkg/jwtkit"
	"github.com/holdfast-games/holdfast/pkg/players"
	"github.com/holdfast-games/holdfast/pkg/session"
	"github.com/holdfast-games/holdfast/services/auth/internal/refreshtoken"
)

// Desk is where players check in and out. It keeps nothing in memory.
type Desk struct {
	Players  players.Store
	Sessions session.Store
	Signer   *jwtkit.Signer
	Refresh  *refreshtoken.Codec
	Clock    clock.Clock
	Log      *slog.Logger

	// RefreshTTL is how long a login lives without a refresh, LoginTTL how long
	// it lives at most.
	RefreshTTL, LoginTTL time.Duration
}

// Tokens are what a client holds of a login.
type Tokens struct {
	Access    string
	ExpiresAt time.Time // of Access
	Refresh   string
}

// Login is a player who has just logged in.
type Login struct {
	Tokens

	Player  players.Player
	IsNew   bool // this login made the player
	Session session.Record
}

// caughtUp ends logins whose tokens the session store refuses already.
const caughtUp players.EndReason = "caught_up"

// attempts bounds how often a login starts over because the player was
// revoked meanwhile.
const attempts = 8

var errContended = errors.New("the player was revoked again and again")

// LogIn begins a login of the player that the identity leads to, who is made
// if there is none, and gives it a session. A display name becomes the
// player's; "" keeps the one there is. Errors: ErrDisplayName, or of kind
// Unavailable.
func (d *Desk) LogIn(ctx context.Context, identity players.Identity, displayName string) (Login, error) {
	name, err := CleanName(displayName)
	if err != nil {
		return Login{}, err
	}
	isNew, ahead, refusedRev := false, false, int64(-1)
	for range attempts {
		l, err := d.enter(ctx, identity, name)
		isNew = isNew || l.IsNew
		switch {
		case err == nil:
			l.IsNew = isNew
			return l, nil
		case errors.Is(err, players.ErrChanged):
		case errors.Is(err, session.ErrRevoked):
			// A revocation came in between; or the session store knows of one
			// that the durable record has lost, which then has to catch up.
			if ahead = ahead || l.Player.Rev == refusedRev; ahead {
				if _, err := d.Players.Revoke(ctx, l.Player.ID, caughtUp, d.Clock.Now()); err != nil {
					return Login{}, err
				}
			}
			refusedRev = l.Player.Rev
		default:
			return Login{}, err
		}
	}
	return Login{}, apperr.Away("log in", errContended)
}

// enter is one attempt. It returns the player also with an error that comes
// after finding it.
func (d *Desk) enter(ctx context.Context, identity players.Identity, name string) (Login, error) {
	now := d.Clock.Now()
	l, err := d.player(ctx, identity, name, now)
	if err != nil {
		return l, err
	}
	family := players.NewFamily{
		ID: id.New(), PlayerID: l.Player.ID, Rev: l.Player.Rev, CreatedAt: now,
		ExpiresAt: now.Add(min(d.RefreshTTL, d.LoginTTL)), AbsoluteExpiresAt: now.Add(d.LoginTTL),
	}
	if err := d.Players.CreateFamily(ctx, family); err != nil {
		return l, err
	}
	var claims jwtkit.Claims
	if l.Tokens, claims, err = d.tokens(l.Player, identity.Provider, family.ID, players.FirstCounter); err != nil {
		return l, err
	}
	facts := session.Facts{
		Name: l.Player.DisplayName, Provider: l.Player.Provider, Rev: l.Player.Rev, RevokedAt: l.Player.RevokedAt,
		Durable: true, Login: true,
	}
	res, err := d.Sessions.Ensure(ctx, session.ClaimsFrom(claims), &facts, true)
	l.Session = res.Record
	return l, err
}

func (d *Desk) player(ctx context.Context, identity players.Identity, name string, now time.Time) (Login, error) {
	create := players.NewPlayer{ID: id.New(), DisplayName: cmp.Or(name, defaultName())}
	p, created, err := d.Players.FindOrCreate(ctx, identity, create, now)
	if err != nil {
		return Login{}, err
	}
	if name != "" && name != p.DisplayName {
		err = d.Players.Rename(ctx, p.ID, name, now)
		p.DisplayName = name
	}
	if errors.Is(err, players.ErrNotFound) { // deleted since
		err = players.ErrChanged.With(err)
	}
	return Login{Player: p, IsNew: created}, err
}

// tokens mints the pair that a client holds of a login.
func (d *Desk) tokens(p players.Player, provider, family string, counter int64) (Tokens, jwtkit.Claims, error) {
	access, claims, err := d.Signer.Sign(jwtkit.Claims{
		Player: p.ID, Rev: p.Rev, Family: family, Name: p.DisplayName, Provider: provider,
	})
	if err != nil {
		return Tokens{}, jwtkit.Claims{}, err
	}
	refresh := d.Refresh.Encode(refreshtoken.Token{Family: family, Counter: counter})
	return Tokens{Access: access, ExpiresAt: claims.ExpiresAt, Refresh: refresh}, claims, nil
}
