// Package hook is what the broker calls: it lets clients in, tells them where
// they may publish and subscribe, and hears of connections that open and end.
//
// EMQX reads any status but 200 from the authenticator and the authorizer as
// "no opinion", so whatever is not a proven allow is a 200 that denies. The
// webhook is different: there the status decides whether the event comes again.
package hook

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/holdfast-games/holdfast/pkg/apperr"
	"github.com/holdfast-games/holdfast/pkg/httpkit"
	"github.com/holdfast-games/holdfast/pkg/jwtkit"
	"github.com/holdfast-games/holdfast/pkg/secret"
	"github.com/holdfast-games/holdfast/pkg/session"
	"github.com/holdfast-games/holdfast/proto/wire"
	"github.com/holdfast-games/holdfast/services/emqx-hook/internal/api"
)

// Service is the name under which the metrics of the HTTP edge appear.
const Service = "emqx-hook"

// budget bounds the work for one call: EMQX gives up on a login after 5 s,
// and whoever waits for it is a player.
const budget = 3 * time.Second

// Sessions is what the broker's calls change; *session.Keeper is one. Every
// method takes one round trip to Redis when the session exists.
type Sessions interface {
	Begin(ctx context.Context, c session.Claims) (session.Result, int64, error)
	Connected(ctx context.Context, player string, id session.ConnectionID, node string) (session.Result, error)
	Disconnected(ctx context.Context, player string, id session.ConnectionID, reason string) (session.Result, error)
	Announce(ctx context.Context, player string) (session.Result, error)
}

// Tokens verifies access tokens; *jwtkit.Verifier is one.
type Tokens interface {
	Verify(token string) (jwtkit.Claims, error)
}

// Config is what a Hook needs.
type Config struct {
	Secret            secret.Secret // of the broker; unset refuses every call
	PublisherUsername string
	PublisherPassword secret.Secret // unset refuses our own publisher
	Sessions          Sessions
	Tokens            Tokens
	Log               *slog.Logger
	Registry          prometheus.Registerer
}

// Hook answers the broker. It keeps nothing between calls.
type Hook struct {
	config  Config
	metrics metrics
}

var _ api.ServerInterface = (*Hook)(nil)

// New returns a hook.
func New(c Config) *Hook { return &Hook{config: c, metrics: newMetrics(c.Registry)} }

// Handler serves /emqx/* to callers who know the secret; others get 401.
func (h *Hook) Handler() http.Handler {
	refusal := apperr.New(apperr.Unauthenticated, string(wire.CodeHookUnauthorized), "the hook secret is missing or wrong")
	e := httpkit.New(Service, h.config.Log, h.config.Registry)
	e.Use(httpkit.RequireSecret(h.config.Secret, refusal))
	api.RegisterHandlers(e, h)
	return e
}

// guard runs f, and turns a panic in it into an error: in front of EMQX, a
// crash must not look like "no opinion".
func guard(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	return f()
}
