// Package auth is who players are, and the tokens that say so.
package auth

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"time"

	"github.com/holdfast-games/holdfast/pkg/clock"
	"github.com/holdfast-games/holdfast/pkg/config"
	"github.com/holdfast-games/holdfast/pkg/httpkit"
	"github.com/holdfast-games/holdfast/pkg/jwtkit"
	"github.com/holdfast-games/holdfast/pkg/platform"
	"github.com/holdfast-games/holdfast/pkg/secret"
	"github.com/holdfast-games/holdfast/pkg/service"
	"github.com/holdfast-games/holdfast/services/auth/internal/api"
	"github.com/holdfast-games/holdfast/services/auth/internal/guest"
	"github.com/holdfast-games/holdfast/services/auth/internal/login"
	"github.com/holdfast-games/holdfast/services/auth/internal/refreshtoken"
)

// Config are the settings of the service.
type Config struct {
	Addr            string        `env:"ADDR" envDefault:"127.0.0.1:8101" doc:"where to listen"`
	MQTTPublicURL   string        `env:"MQTT_PUBLIC_URL" envDefault:"mqtt://127.0.0.1:1883" doc:"where clients find the broker: mqtt:// or mqtts://"`
	MQTTPublicWSURL string        `env:"MQTT_PUBLIC_WS_URL" envDefault:"ws://127.0.0.1:8083/mqtt" doc:"where clients find it over WebSocket: ws:// or wss://"`
	RefreshTokenTTL time.Duration `env:"REFRESH_TOKEN_TTL" envDefault:"720h" doc:"a login that is not refreshed for this long is over"`
	LoginTTL        time.Duration `env:"LOGIN_TTL" envDefault:"2160h" doc:"a login is over after this long, however often it was refreshed"`
	RequestTimeout  time.Duration `env:"REQUEST_TIMEOUT" envDefault:"5s" doc:"how long a call may wait for Redis and the database before it is answered with 503"`
	platform.Config
}

func (c Config) validate() error {
	if min(c.RefreshTokenTTL, c.LoginTTL, c.RequestTimeout) < time.Millisecond {
		return errors.New("HOLDFAST_REFRESH_TOKEN_TTL, HOLDFAST_LOGIN_TTL and HOLDFAST_REQUEST_TIMEOUT must be at least 1ms")
	}
	for _, u := range []struct {
		name, value string
		schemes     []string
	}{
		{"MQTT_PUBLIC_URL", c.MQTTPublicURL, []string{"mqtt", "mqtts", "tcp", "ssl"}},
		{"MQTT_PUBLIC_WS_URL", c.MQTTPublicWSURL, []string{"ws", "wss"}},
	} {
		parsed, err := url.Parse(u.value)
		if err != nil || !slices.Contains(u.schemes, parsed.Scheme) || parsed.Host == "" {
			return fmt.Errorf("HOLDFAST_%s must be a URL with one of the schemes %v", u.name, u.schemes)
		}
	}
	return nil
}

// New wires the service.
func New(ctx context.Context, env service.Env) (*service.Service, error) {
	c, err := config.Parse[Config](env.Vars)
	if err != nil {
		return nil, err
	}
	if err := c.validate(); err != nil {
		return nil, err
	}
	keys, err := openKeys(c)
	if err != nil {
		return nil, err
	}
	p, err := platform.Open(ctx, c.Config, env)
	if err != nil {
		return nil, err
	}
	schema := &schema{migrate: p.MigratePlayers, log: env.Log}
	if err := schema.start(ctx); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	desk := &login.Desk{
		Players: p.Players, Sessions: p.Store, Signer: keys.signer, Refresh: refreshtoken.New(keys.refresh),
		Clock: clock.System{}, Log: env.Log, RefreshTTL: c.RefreshTokenTTL, LoginTTL: c.LoginTTL,
	}
	e := httpkit.New("auth", env.Log, env.Registry)
	api.Register(e, api.Server{
		Desk: desk, Guests: guest.New(keys.identity), Keeper: p.Keeper, Players: p.Players, Verifier: p.Verifier,
		Broker: api.Broker{URL: c.MQTTPublicURL, WebSocketURL: c.MQTTPublicWSURL}, Timeout: c.RequestTimeout,
	})
	purge := &purge{store: p.Players, keep: c.Session.RevokedTTL(), clock: clock.System{}, log: env.Log}
	return &service.Service{
		Name: "auth", Addr: c.Addr, Public: e, Close: p.Close,
		Ready: func(ctx context.Context) error {
			return errors.Join(p.Ready(ctx), p.Players.Ping(ctx), schema.ready())
		},
		Loops: []service.Loop{{Name: "schema", Run: schema.run}, {Name: "purge", Run: purge.run}},
	}, nil
}

// keys are what this service alone may have; whoever has them can be anybody.
type keys struct {
	signer            *jwtkit.Signer
	identity, refresh secret.Secret
}

// openKeys makes what is missing. Any number of instances may start at once on
// one folder.
func openKeys(c Config) (keys, error) {
	pairs, err := jwtkit.LoadOrCreate(c.JWTKeysDir)
	if err != nil {
		return keys{}, fmt.Errorf("HOLDFAST_JWT_KEYS_DIR: %w", err)
	}
	var k keys
	if k.signer, err = jwtkit.NewSigner(pairs, c.Session.AccessTokenTTL, clock.System{}); err != nil {
		return keys{}, fmt.Errorf("HOLDFAST_JWT_KEYS_DIR: %w", err)
	}
	if k.identity, err = secret.FileOrCreate(filepath.Join(c.JWTKeysDir, "identity.key")); err != nil {
		return keys{}, err
	}
	k.refresh, err = secret.FileOrCreate(filepath.Join(c.JWTKeysDir, "refresh.key"))
	return k, err
}
