package standalone

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"time"

	"github.com/holdfast-games/holdfast/pkg/config"
	"github.com/holdfast-games/holdfast/pkg/secret"
	"github.com/holdfast-games/holdfast/services/standalone/internal/broker"
)

// The embedded broker, for tests that run it beside services of their own. It
// calls its hooks as EMQX does.
type (
	// Broker is one broker node.
	Broker = broker.Broker
	// BrokerConfig is everything a Broker needs.
	BrokerConfig = broker.Config
)

// The orders of events at a takeover.
const (
	Takeover58 = broker.Takeover58 // up to EMQX 5.8
	Takeover59 = broker.Takeover59 // from EMQX 5.9 on
)

// NewBroker checks the configuration and returns a broker that is not yet
// listening.
func NewBroker(c BrokerConfig) (*Broker, error) { return broker.New(c) }

// FaultConfig makes the embedded broker misbehave.
type FaultConfig struct {
	Takeover string        `env:"STANDALONE_TAKEOVER" envDefault:"5.8" doc:"order of a takeover's events, as of EMQX 5.8 or 5.9"`
	Drop     float64       `env:"STANDALONE_WEBHOOK_DROP" envDefault:"0" doc:"share of webhook events that are lost, 0 to 1"`
	Double   float64       `env:"STANDALONE_WEBHOOK_DOUBLE" envDefault:"0" doc:"share of webhook events that come twice, 0 to 1"`
	Reorder  float64       `env:"STANDALONE_WEBHOOK_REORDER" envDefault:"0" doc:"share of webhook events that come after the next one of their client, 0 to 1"`
	Delay    time.Duration `env:"STANDALONE_WEBHOOK_DELAY" envDefault:"0s" doc:"webhook events come up to this late"`
}

const (
	reorderWindow = 2 * time.Second
	closeTimeout  = 2 * time.Second
)

// startBroker starts the embedded broker, unless it is switched off, and tells
// the services where it is. It calls the hook at the internal address, which
// is bound but not yet served: early connections wait for it.
func (p *process) startBroker(ctx context.Context, internal net.Addr) error {
	c := &p.config
	if !c.HookSecret.Set() {
		c.HookSecret = secret.Secret(rand.Text())
	}
	if !c.MQTTPassword.Set() {
		c.MQTTPassword = secret.Secret(rand.Text())
	}
	p.vars = p.vars.With(map[string]string{
		"HOOK_SECRET": c.HookSecret.Reveal(), "MQTT_USERNAME": c.MQTTUsername, "MQTT_PASSWORD": c.MQTTPassword.Reveal(),
	})
	if c.MQTTAddr == "" {
		return nil
	}
	hook := "http://" + reachable(internal.String()) + "/emqx/"
	bc := BrokerConfig{
		TCPAddr: c.MQTTAddr, WSAddr: c.MQTTWSAddr, AuthURL: hook + "auth", AuthzURL: hook + "authz",
		WebhookURL: hook + "webhook", HookSecret: c.HookSecret.Reveal(), Logger: p.log.With("part", "broker"),
		APIAddr: "127.0.0.1:0", APIKey: "standalone", APISecret: rand.Text(),
	}
	if c.Faults.Takeover == "5.9" {
		bc.Takeover = Takeover59
	}
	b, err := broker.New(bc)
	if err != nil {
		return fmt.Errorf("embedded broker: %w", err)
	}
	c.Faults.apply(b)
	if err := b.Start(ctx); err != nil {
		return fmt.Errorf("embedded broker: %w", err)
	}
	p.closers = append(p.closers, func() error {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
		defer cancel()
		return b.Close(ctx)
	})
	p.tellServices(b, bc)
	return nil
}

// tellServices points the services to the embedded broker where the
// environment points nowhere.
func (p *process) tellServices(b *Broker, bc BrokerConfig) {
	c := &p.config
	c.MQTTAddr, c.MQTTWSAddr = b.TCPAddr(), b.WSAddr()
	found := map[string]string{
		"MQTT_URL":           "mqtt://" + reachable(b.TCPAddr()),
		"MQTT_PUBLIC_URL":    "mqtt://" + reachable(b.TCPAddr()),
		"MQTT_PUBLIC_WS_URL": "ws://" + reachable(b.WSAddr()) + "/mqtt",
	}
	if p.vars[envName("EMQX_API_URL")] == "" {
		found["EMQX_API_URL"] = "http://" + b.APIAddr() + "/api/v5"
		found["EMQX_API_KEY"], found["EMQX_API_SECRET"] = bc.APIKey, bc.APISecret
	}
	for name := range found {
		if p.vars[envName(name)] != "" && name != "EMQX_API_KEY" && name != "EMQX_API_SECRET" {
			delete(found, name)
		}
	}
	p.vars = p.vars.With(found)
}

func (f FaultConfig) apply(b *Broker) {
	b.Faults().Drop(f.Drop)
	b.Faults().Duplicate(f.Double)
	b.Faults().Reorder(f.Reorder, reorderWindow)
	b.Faults().Delay(0, f.Delay)
}

// reachable turns an address to listen on into one to connect to.
func reachable(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return addr
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port)
}

func envName(name string) string { return config.Prefix + name }
