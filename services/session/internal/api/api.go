// Package api is the HTTP edge of the session service.
package api

import (
	"context"
	"net/http"
	"time"
	"unicode/utf8"

	"github.com/labstack/echo/v4"

	"github.com/holdfast-games/holdfast/pkg/apperr"
	"github.com/holdfast-games/holdfast/pkg/httpkit"
	"github.com/holdfast-games/holdfast/pkg/id"
	"github.com/holdfast-games/holdfast/pkg/jwtkit"
	"github.com/holdfast-games/holdfast/pkg/secret"
	"github.com/holdfast-games/holdfast/pkg/session"
	"github.com/holdfast-games/holdfast/proto/sessionapi"
	"github.com/holdfast-games/holdfast/proto/wire"
	"github.com/holdfast-games/holdfast/services/session/internal/watch"
)

const (
	maxWait   = 30 * time.Second
	lookEvery = 5 * time.Second // a waiting poll looks for itself, which also keeps the player reachable
	maxReason = 200             // characters
)

var errNoSession = apperr.New(apperr.NotFound, string(wire.CodeNoSession), "this player has no session now")

// Server answers the calls of the session service.
type Server struct {
	Keeper       *session.Keeper
	Verifier     *jwtkit.Verifier
	Changes      *watch.Changes
	Drain        <-chan struct{}
	ServiceToken secret.Secret
}

// Register adds the routes.
func Register(e *echo.Echo, s Server) {
	w := ServerInterfaceWrapper{Handler: &s}
	e.GET("/api/session", w.GetSession)
	e.DELETE("/api/session", w.EndSession)
	internal := e.Group("/internal/sessions", httpkit.RequireService(s.ServiceToken))
	internal.GET("/:player", w.GetPlayerSession)
	internal.POST("/:player/kick", w.KickPlayer)
}

func (s *Server) claims(c echo.Context) (session.Claims, error) {
	token, err := httpkit.Caller(c.Request(), s.Verifier)
	return session.ClaimsFrom(token), err
}

// GetSession answers with the caller's snapshot, at once or when there is
// something new.
func (s *Server) GetSession(c echo.Context, params sessionapi.GetSessionParams) error {
	claims, err := s.claims(c)
	if err != nil {
		return err
	}
	wait, err := waitOf(params)
	if err != nil {
		return err
	}
	var record session.Record
	if wait == 0 {
		res, err := s.Keeper.Ensure(c.Request().Context(), claims, true)
		if err != nil {
			return err
		}
		record = res.Record
	} else if record, err = s.await(c.Request().Context(), claims, *params.Version, wait); err != nil {
		return err
	}
	return httpkit.JSON(c, http.StatusOK, session.Snapshot(record))
}

func waitOf(p sessionapi.GetSessionParams) (time.Duration, error) {
	if p.Version != nil && *p.Version < 0 {
		return 0, httpkit.InvalidField("version must not be negative")
	}
	if p.Wait == nil {
		return 0, nil
	}
	wait := time.Duration(*p.Wait) * time.Second
	if wait < 0 || wait > maxWait {
		return 0, httpkit.InvalidField("wait must be between 0 and 30 seconds")
	}
	if p.Version == nil {
		return 0, nil
	}
	return wait, nil
}

// await returns the record once its version has passed version, or after
// wait, or when the process is about to stop.
func (s *Server) await(ctx context.Context, claims session.Claims, version int64, wait time.Duration) (session.Record, error) {
	woken, end := s.Changes.Subscribe(claims.Player)
	defer end()
	over := time.NewTimer(wait)
	defer over.Stop()
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	for last := false; ; {
		res, err := s.Keeper.Ensure(ctx, claims, true)
		if err != nil || last || res.Record.V > version {
			return res.Record, err
		}
		select {
		case <-ctx.Done(): // the client left, which is no failure
			return res.Record, nil
		case <-s.Drain:
			return res.Record, nil
		case <-over.C:
			last = true
		case <-look.C:
		case <-woken:
		}
	}
}

// EndSession ends the caller's session. The token is judged first: one that
// was revoked must not end a newer login's session.
func (s *Server) EndSession(c echo.Context) error {
	claims, err := s.claims(c)
	if err != nil {
		return err
	}
	ctx := c.Request().Context()
	if _, err := s.Keeper.Ensure(ctx, claims, false); err != nil {
		return err
	}
	if _, _, err := s.Keeper.End(ctx, claims.Player, session.Ending{Reason: "left"}); err != nil {
		return err
	}
	return c.NoContent(http.StatusNoContent)
}

// GetPlayerSession answers a game server.
func (s *Server) GetPlayerSession(c echo.Context, player string) error {
	if !id.Valid(player) {
		return httpkit.InvalidField("player is not a player id")
	}
	res, err := s.Keeper.Get(c.Request().Context(), player)
	if err != nil {
		return err
	}
	if res.Outcome == session.None {
		return errNoSession
	}
	return httpkit.JSON(c, http.StatusOK, session.Snapshot(res.Record))
}

// KickPlayer ends a session for a game server.
func (s *Server) KickPlayer(c echo.Context, player string) error {
	if !id.Valid(player) {
		return httpkit.InvalidField("player is not a player id")
	}
	body, err := httpkit.Decode[sessionapi.KickRequest](c)
	if err != nil {
		return err
	}
	if n := utf8.RuneCountInString(body.Reason); n < 1 || n > maxReason {
		return httpkit.InvalidField("reason must have 1 to 200 characters")
	}
	if _, _, err := s.Keeper.End(c.Request().Context(), player, session.Ending{Reason: body.Reason}); err != nil {
		return err
	}
	return c.NoContent(http.StatusNoContent)
}
