// Package emqxhook is the broker's edge: it answers EMQX's login, access and
// event calls, publishes to players what the outbox says, and has the broker
// drop connections that must not go on.
package emqxhook

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/holdfast-games/holdfast/pkg/clock"
	"github.com/holdfast-games/holdfast/pkg/config"
	"github.com/holdfast-games/holdfast/pkg/mqttkit"
	"github.com/holdfast-games/holdfast/pkg/outbox"
	"github.com/holdfast-games/holdfast/pkg/platform"
	"github.com/holdfast-games/holdfast/pkg/secret"
	"github.com/holdfast-games/holdfast/pkg/service"
	"github.com/holdfast-games/holdfast/services/emqx-hook/internal/hook"
	"github.com/holdfast-games/holdfast/services/emqx-hook/internal/kicker"
	"github.com/holdfast-games/holdfast/services/emqx-hook/internal/relay"
)

// The secrets that everybody knows: fit for a laptop, refused in production.
// developmentHookSecret is public knowledge: it is good for a laptop, where
// nobody else can reach the hook.
const developmentHookSecret = "development-hook-secret"

// Config are the settings of the service.
type Config struct {
	Addr          string        `env:"ADDR" envDefault:"127.0.0.1:8105" doc:"where to listen"`
	HookSecret    secret.Secret `env:"HOOK_SECRET" envDefault:"development-hook-secret" doc:"what the broker presents on /emqx/*; the default is refused in production, and wherever others can connect"`
	MQTTURL       string        `env:"MQTT_URL" envDefault:"mqtt://127.0.0.1:1883" doc:"where to publish: mqtt://, mqtts://, ws:// or wss://"`
	MQTTUsername  string        `env:"MQTT_USERNAME" envDefault:"holdfast-relay" doc:"username of our own publisher, which the hook lets in as superuser"`
	MQTTPassword  secret.Secret `env:"MQTT_PASSWORD" doc:"its password; without one it is derived from the hook secret"`
	EMQXAPIURL    string        `env:"EMQX_API_URL" doc:"the broker's REST interface, such as http://emqx:18083; production needs it; without it no connection is ever dropped"`
	EMQXAPIKey    string        `env:"EMQX_API_KEY" doc:"key for that interface; it must be allowed to look clients up and kick them"`
	EMQXAPISecret secret.Secret `env:"EMQX_API_SECRET" doc:"secret of the key"`
	platform.Config
}

func (c Config) validate() error {
	switch {
	case !c.HookSecret.Set():
		return errors.New("HOLDFAST_HOOK_SECRET is empty")
	case c.MQTTUsername == "":
		return errors.New("HOLDFAST_MQTT_USERNAME is empty")
	case c.HookSecret.Equal(developmentHookSecret) && (c.Mode == platform.Production || !onlyThisMachine(c.Addr)):
		return errors.New("HOLDFAST_HOOK_SECRET must be set in production, and wherever HOLDFAST_ADDR can be reached from elsewhere")
	case c.Mode == platform.Production && c.EMQXAPIURL == "":
		return errors.New("HOLDFAST_EMQX_API_URL must be set in production: without it nobody can be thrown out")
	default:
		return nil
	}
}

// onlyThisMachine reports whether an address to listen on is a loopback one.
func onlyThisMachine(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	ip := net.ParseIP(host)
	return err == nil && (host == "localhost" || ip != nil && ip.IsLoopback())
}

// publisherPassword is the same in every instance that has the same secret.
func (c Config) publisherPassword() secret.Secret {
	if c.MQTTPassword.Set() {
		return c.MQTTPassword
	}
	mac := hmac.New(sha256.New, []byte(c.HookSecret.Reveal()))
	mac.Write([]byte("the publisher of holdfast"))
	return secret.Secret(hex.EncodeToString(mac.Sum(nil)))
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
	c.MQTTPassword = c.publisherPassword()
	p, err := platform.Open(ctx, c.Config, env)
	if err != nil {
		return nil, err
	}
	svc, err := assemble(ctx, c, p, env)
	if err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return svc, nil
}

func assemble(ctx context.Context, c Config, p *platform.Platform, env service.Env) (*service.Service, error) {
	kicks, err := newKicks(c, p, env)
	if err != nil {
		return nil, err
	}
	events, err := p.Blocking()
	if err != nil {
		return nil, err
	}
	// The connection outlives the signal to stop: what is being relayed then
	// still goes out.
	connection, disconnect := context.WithCancel(context.WithoutCancel(ctx))
	publisher, err := mqttkit.Connect(connection, mqttkit.Config{
		URL: c.MQTTURL, Username: c.MQTTUsername, Password: c.MQTTPassword,
	}, env.Log)
	if err != nil {
		disconnect()
		return nil, fmt.Errorf("HOLDFAST_MQTT_URL: %w", err)
	}
	pushes := relay.New(relay.Config{
		Records: p.Store, Publisher: publisher, Clock: clock.System{}, Log: env.Log, Registry: env.Registry,
		NewReader: func(h outbox.Handler) relay.Reader {
			return outbox.NewReader(events, p.Shards, outbox.Relay, relay.Parallel, env.Log, h)
		},
	})
	calls := hook.New(hook.Config{
		Secret: c.HookSecret, PublisherUsername: c.MQTTUsername, PublisherPassword: c.MQTTPassword,
		Sessions: p.Keeper, Tokens: p.Verifier, Log: env.Log, Registry: env.Registry,
	})
	return &service.Service{
		Name: hook.Service, Addr: c.Addr, Internal: calls.Handler(), Ready: p.Ready,
		Loops: []service.Loop{
			{Name: "relay", Run: pushes.Run},
			{Name: "kicker", Run: kicks.Run},
			{Name: "beat", Run: beat(p, env.Log)},
			{Name: "trim", Run: trim(p, env.Log)},
		},
		Close: func() error {
			stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), disconnectTimeout)
			defer cancel()
			err := publisher.Close(stop)
			disconnect()
			return errors.Join(err, p.Close())
		},
	}, nil
}

// disconnectTimeout is how long the broker may take to say goodbye.
const disconnectTimeout = 2 * time.Second

// newKicks wires the reader that has the broker drop connections.
func newKicks(c Config, p *platform.Platform, env service.Env) (*outbox.Reader, error) {
	k := kicker.Config{Clock: clock.System{}, Log: env.Log, Registry: env.Registry}
	if c.EMQXAPIURL == "" {
		env.Log.Warn("HOLDFAST_EMQX_API_URL is not set: connections of ended sessions are not dropped")
	} else {
		api, err := kicker.NewEMQX(c.EMQXAPIURL, c.EMQXAPIKey, c.EMQXAPISecret)
		if err != nil {
			return nil, fmt.Errorf("HOLDFAST_EMQX_API_URL, _KEY and _SECRET: %w", err)
		}
		k.Broker = api
	}
	events, err := p.Blocking()
	if err != nil {
		return nil, err
	}
	return outbox.NewReader(events, p.Shards, outbox.Broker, kicker.Parallel, env.Log, kicker.New(k).Handle), nil
}
