package login

import (
	"context"
	"errors"

	"github.com/holdfast-games/holdfast/pkg/jwtkit"
	"github.com/holdfast-games/holdfast/pkg/players"
	"github.com/holdfast-games/holdfast/pkg/session"
)

// ReasonLoggedOut is why a session ended whose player logged out.
const ReasonLoggedOut = "logged_out"

// LogOut ends the login of a verified access token, or, everywhere, all logins
// of its player. A token that was revoked before ends nothing more, and
// logging out again is a success. Errors are of kind Unavailable; then the
// same call finishes what this one began.
func (d *Desk) LogOut(ctx context.Context, token jwtkit.Claims, everywhere bool) error {
	facts, err := d.Players.Facts(ctx, token.Player, token.Family)
	if errors.Is(err, players.ErrNotFound) {
		facts, err = players.Facts{FamilyRevoked: true}, nil
	}
	if err != nil {
		return err
	}
	revoked := facts.Deleted || facts.FamilyRevoked || token.Rev < facts.Rev
	ending := session.Ending{
		Reason: ReasonLoggedOut, Family: token.Family, Revoke: token.Rev < facts.Rev, Rev: facts.Rev,
	}
	switch {
	case revoked: // nothing is left to write
	case everywhere || token.Family == "":
		ending.Revoke = true
		ending.Rev, err = d.Players.Revoke(ctx, token.Player, players.Logout, d.Clock.Now())
	default:
		err = d.Players.RevokeFamily(ctx, token.Family, players.Logout, d.Clock.Now())
	}
	if err != nil {
		return err
	}
	return d.end(ctx, session.ClaimsFrom(token), ending, !revoked)
}

// end makes every service refuse what the durable record refuses. Unless that
// is fresh, it was done before, and the session may be that of a newer login:
// it ends only if the session store has not heard of the end.
func (d *Desk) end(ctx context.Context, c session.Claims, e session.Ending, fresh bool) error {
	if !fresh {
		_, err := d.Sessions.Ensure(ctx, c, nil, false)
		if errors.Is(err, session.ErrRevoked) {
			return nil
		}
		if err != nil && !errors.Is(err, session.ErrAbsent) {
			return err
		}
	}
	_, _, err := d.Sessions.End(ctx, c.Player, e)
	return err
}
