// Package api is the HTTP edge of the auth service.
package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/holdfast-games/holdfast/pkg/apperr"
	"github.com/holdfast-games/holdfast/pkg/httpkit"
	"github.com/holdfast-games/holdfast/pkg/jwtkit"
	"github.com/holdfast-games/holdfast/pkg/players"
	"github.com/holdfast-games/holdfast/pkg/session"
	"github.com/holdfast-games/holdfast/proto/authapi"
	"github.com/holdfast-games/holdfast/proto/wire"
	"github.com/holdfast-games/holdfast/services/auth/internal/guest"
	"github.com/holdfast-games/holdfast/services/auth/internal/login"
)

const (
	// identitiesTimeout is how long /me waits for what it can do without.
	identitiesTimeout = time.Second

	keysCacheControl = "public, max-age=300"
)

// Server answers the calls of the auth service.
type Server struct {
	Desk     *login.Desk
	Guests   *guest.Guests
	Keeper   *session.Keeper
	Players  players.Store
	Verifier *jwtkit.Verifier
	Broker   Broker
	Timeout  time.Duration // of a whole call
}

// Broker is where clients are told to find the MQTT broker.
type Broker struct{ URL, WebSocketURL string }

// Register adds the routes.
func Register(e *echo.Echo, s Server) {
	e.Use(s.bounded)
	RegisterHandlers(e, &s)
}

// bounded makes sure that a client hears from us before it gives up.
func (s *Server) bounded(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		ctx, cancel := context.WithTimeout(c.Request().Context(), s.Timeout)
		defer cancel()
		c.SetRequest(c.Request().WithContext(ctx))
		return next(c)
	}
}

// LoginGuest logs in by device id.
func (s *Server) LoginGuest(c echo.Context) error {
	body, err := httpkit.Decode[authapi.GuestLoginRequest](c)
	if err != nil {
		return err
	}
	identity, err := s.Guests.Identity(body.DeviceID)
	if err != nil {
		return err
	}
	l, err := s.Desk.LogIn(c.Request().Context(), identity, body.DisplayName)
	if err != nil {
		return err
	}
	return httpkit.JSON(c, http.StatusOK, authapi.Login{
		Token: l.Access, TokenExpiresAt: wire.FromTime(l.ExpiresAt), RefreshToken: l.Tokens.Refresh,
		Player: authapi.LoginPlayer{
			ID: l.Player.ID, DisplayName: l.Player.DisplayName, Provider: identity.Provider, IsNew: l.IsNew,
		},
		Session: session.Snapshot(l.Session),
		MQTT: authapi.MQTTAccess{
			URL: s.Broker.URL, WsURL: s.Broker.WebSocketURL, ClientID: l.Player.ID, Username: l.Player.ID,
		},
	})
}

// RefreshTokens trades a refresh token for new tokens.
func (s *Server) RefreshTokens(c echo.Context) error {
	body, err := httpkit.Decode[authapi.RefreshRequest](c)
	if err != nil {
		return err
	}
	if body.RefreshToken == "" {
		return httpkit.InvalidField("refreshToken is missing")
	}
	t, err := s.Desk.Renew(c.Request().Context(), body.RefreshToken)
	if err != nil {
		return err
	}
	return httpkit.JSON(c, http.StatusOK, authapi.Tokens{
		Token: t.Access, TokenExpiresAt: wire.FromTime(t.ExpiresAt), RefreshToken: t.Refresh,
	})
}

// Logout ends the caller's login, or all of them.
func (s *Server) Logout(c echo.Context) error {
	token, err := httpkit.Caller(c.Request(), s.Verifier)
	if err != nil {
		return err
	}
	body, err := httpkit.DecodeOptional[authapi.LogoutRequest](c)
	if err != nil {
		return err
	}
	if err := s.Desk.LogOut(c.Request().Context(), token, body.Everywhere); err != nil {
		return err
	}
	return c.NoContent(http.StatusNoContent)
}

// GetMe answers with the caller, who has a session after it.
func (s *Server) GetMe(c echo.Context) error {
	token, err := httpkit.Caller(c.Request(), s.Verifier)
	if err != nil {
		return err
	}
	ctx := c.Request().Context()
	res, err := s.Keeper.Ensure(ctx, session.ClaimsFrom(token), true)
	if err != nil {
		return err
	}
	identities, err := s.identities(ctx, token.Player)
	if err != nil {
		return err
	}
	snapshot := session.Snapshot(res.Record)
	return httpkit.JSON(c, http.StatusOK, authapi.Me{Player: snapshot.Player, Identities: identities, Session: snapshot})
}

// identities returns none while the database is away: a valid token must do
// without it.
func (s *Server) identities(ctx context.Context, player string) ([]authapi.Identity, error) {
	ctx, cancel := context.WithTimeout(ctx, identitiesTimeout)
	defer cancel()
	p, err := s.Players.Get(ctx, player)
	if err != nil {
		return nil, unlessAway(err)
	}
	known, err := s.Players.Identities(ctx, player)
	if err != nil {
		return nil, unlessAway(err)
	}
	list := make([]authapi.Identity, 0, len(known))
	for _, i := range known {
		list = append(list, authapi.Identity{Provider: i.Provider, LinkedAt: wire.FromTime(p.CreatedAt)})
	}
	return list, nil
}

func unlessAway(err error) error {
	if errors.Is(err, players.ErrNotFound) || apperr.From(err).Kind == apperr.Unavailable {
		return nil
	}
	return err
}

// GetJWKS answers with the public keys of the access tokens.
func (s *Server) GetJWKS(c echo.Context) error {
	keys, err := s.Verifier.Keys()
	if err != nil {
		return err
	}
	set := authapi.JWKS{}
	for _, k := range keys {
		j, err := k.JWK()
		if err != nil {
			return err
		}
		set.Keys = append(set.Keys, authapi.JWK{
			Alg: j.Alg, Crv: j.Crv, E: j.E, Kid: j.Kid, Kty: j.Kty, N: j.N, Use: j.Use, X: j.X, Y: j.Y,
		})
	}
	body, err := json.Marshal(set)
	if err != nil {
		return fmt.Errorf("encode the keys: %w", err)
	}
	c.Response().Header().Set("Cache-Control", keysCacheControl)
	c.Response().Header().Set(echo.HeaderContentLength, strconv.Itoa(len(body)))
	return c.Blob(http.StatusOK, echo.MIMEApplicationJSON, body)
}
