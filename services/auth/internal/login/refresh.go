package login

import (
	"context"

	"github.com/holdfast-games/holdfast/pkg/apperr"
	"github.com/holdfast-games/holdfast/pkg/players"
	"github.com/holdfast-games/holdfast/pkg/session"
	"github.com/holdfast-games/holdfast/proto/wire"
	"github.com/holdfast-games/holdfast/services/auth/internal/refreshtoken"
)

// The ways in which a refresh token of ours is refused.
var (
	ErrRefreshExpired = apperr.New(apperr.Unauthenticated, string(wire.CodeRefreshExpired),
		"the refresh token has expired, please log in again")
	ErrRefreshReused = apperr.New(apperr.Unauthenticated, string(wire.CodeRefreshReused),
		"an outdated refresh token was used, so this login was ended for safety, please log in again")
	ErrRefreshRevoked = apperr.New(apperr.Unauthenticated, string(wire.CodeRefreshRevoked),
		"this login was ended, please log in again")
)

// ReasonReused is why a session ended whose refresh token was used twice.
const ReasonReused = "refresh_reused"

// Renew trades a refresh token for new tokens. The token before the newest is
// good as well, since the answer to it may have been lost; one before that
// ends the login. Errors: refreshtoken.ErrInvalid, the ErrRefresh ones, or of
// kind Unavailable.
func (d *Desk) Renew(ctx context.Context, presented string) (Tokens, error) {
	t, err := d.Refresh.Decode(presented)
	if err != nil {
		return Tokens{}, err
	}
	r, err := d.Players.RotateFamily(ctx, players.Rotation{
		FamilyID: t.Family, Presented: t.Counter, Now: d.Clock.Now(), Sliding: d.RefreshTTL,
	})
	switch {
	case err != nil:
		return Tokens{}, err
	case r.Outcome.Granted():
		tokens, _, err := d.tokens(r.Player, r.Player.Provider, t.Family, r.Counter)
		return tokens, err
	case r.Outcome == players.Expired:
		return Tokens{}, ErrRefreshExpired
	case r.Outcome == players.Reused, r.Outcome == players.Ended && r.EndReason == players.Replay:
		return Tokens{}, d.endReused(ctx, t, r)
	case r.Outcome == players.Ended:
		return Tokens{}, ErrRefreshRevoked
	default:
		return Tokens{}, refreshtoken.ErrInvalid
	}
}

func (d *Desk) endReused(ctx context.Context, t refreshtoken.Token, r players.RotateResult) error {
	fresh := r.Outcome == players.Reused
	if fresh {
		d.Log.WarnContext(ctx, "an outdated refresh token came back, its login was ended",
			"player", r.Player.ID, "family", t.Family, "counter", t.Counter)
	}
	claims := session.Claims{Player: r.Player.ID, Rev: r.Player.Rev, Family: t.Family}
	if err := d.end(ctx, claims, session.Ending{Reason: ReasonReused, Family: t.Family}, fresh); err != nil {
		return err
	}
	return ErrRefreshReused
}
