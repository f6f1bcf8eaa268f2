// Package broker is an embedded MQTT broker for laptops, demonstrations and tests. It speaks MQTT 3.1.1 and 5 over
// TCP and WebSocket, and calls the HTTP hooks (authentication, authorization, event webhook) the way EMQX 5.8.9
// does: the same bodies and headers, the same reading of the answers, the same order and reasons of events, the
// same losses. It keeps everything in memory.
//
// The configuration it stands for is the shipped one: one HTTP authenticator, one HTTP authorizer, no
// authorization cache, no_match = deny, deny_action = ignore, and one HTTP action for the events.
//
// Known differences from EMQX: messages of QoS 0 are not kept for absent clients; what waited for one is sent with the
// DUP flag; a PUBACK comes before the message is routed and never says "no matching subscribers"; $queue, $exclusive
// and $delayed topics, form-encoded answers of the authenticator, and the pause after a hook outage in which EMQX
// refuses logins without asking do not exist here; connections of one client id that arrive together queue up instead
// of being refused (see Faults.Throttle); a session without expiry ends at a takeover, as in EMQX after 5.8.11.
package broker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"
)

// Takeover says in which order the hooks run when a second connection resumes the session of a live one.
type Takeover int

const (
	// Takeover58 is the order up to EMQX 5.8: disconnected(old), connected(new), CONNACK.
	Takeover58 Takeover = iota
	// Takeover59 is the order from EMQX 5.9 on: connected(new), CONNACK, disconnected(old). A clean start keeps
	// the older order there as well.
	Takeover59
)

// Config is everything a Broker needs. Zero durations and counts mean the defaults named beside them.
type Config struct {
	TCPAddr string // host:port of the MQTT listener, empty = none
	WSAddr  string // host:port of the MQTT over WebSocket listener (path /mqtt), empty = none
	APIAddr string // host:port of the REST interface, empty = none; see Broker.Handler

	APIKey    string // user name of the REST interface; without it every REST call is refused
	APISecret string // password of the REST interface

	AuthURL    string // HTTP authenticator, required
	AuthzURL   string // HTTP authorizer, empty = nothing beyond a login's own rules is allowed
	WebhookURL string // receiver of events, empty = no events
	HookSecret string // bearer token sent with every hook request, required

	Node     string   // node name in events and rows, default emqx@127.0.0.1
	RuleID   string   // metadata.rule_id of events, default holdfast
	Takeover Takeover // order of events at a takeover

	// SubscribedFilters are the topic filters whose subscription is reported as session.subscribed, default
	// player/+/session. A subscription that covers such a topic with a wildcard in its last level counts too.
	SubscribedFilters []string

	AuthTimeout   time.Duration // one try of an authentication or authorization call, default 5 s
	SessionExpiry time.Duration // how long an MQTT 3.1.1 session outlives its connection, default 2 h
	PoolSize      int           // connections to each hook, default 8

	RequestTTL     time.Duration // how long an undelivered event is kept, default 45 s
	ResumeInterval time.Duration // pause between deliveries while the receiver refuses, default 15 s
	Workers        int           // event queues; a connection always uses the same one, default 16
	Window         int           // requests in flight for each queue, default 100; 1 worker and window 1 keep order
	MaxQueued      int           // events waiting in each queue before the oldest is dropped, default 10000

	Logger *slog.Logger // default: discard
}

// String keeps the secrets out of logs.
func (c Config) String() string {
	return fmt.Sprintf("broker.Config{tcp %q, ws %q, api %q, node %q}", c.TCPAddr, c.WSAddr, c.APIAddr, c.Node)
}

// GoString keeps the secrets out of logs.
func (c Config) GoString() string { return c.String() }

func (c Config) withDefaults() Config {
	def := func(d *time.Duration, v time.Duration) {
		if *d <= 0 {
			*d = v
		}
	}
	count := func(n *int, v int) {
		if *n <= 0 {
			*n = v
		}
	}
	def(&c.AuthTimeout, 5*time.Second)
	def(&c.SessionExpiry, 2*time.Hour)
	def(&c.RequestTTL, 45*time.Second)
	def(&c.ResumeInterval, 15*time.Second)
	count(&c.PoolSize, 8)
	count(&c.Workers, 16)
	count(&c.Window, 100)
	count(&c.MaxQueued, 10_000)
	if c.Node == "" {
		c.Node = "emqx@127.0.0.1"
	}
	if c.RuleID == "" {
		c.RuleID = "holdfast"
	}
	if c.SubscribedFilters == nil {
		c.SubscribedFilters = []string{"player/+/session"}
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

func (c Config) validate() error {
	switch {
	case c.AuthURL == "":
		return errors.New("broker: AuthURL is missing")
	case c.HookSecret == "":
		return errors.New("broker: HookSecret is missing")
	case c.APIAddr != "" && (c.APIKey == "" || c.APISecret == ""):
		return errors.New("broker: APIAddr needs APIKey and APISecret")
	case c.Takeover != Takeover58 && c.Takeover != Takeover59:
		return fmt.Errorf("broker: unknown takeover order %d", c.Takeover)
	}
	return nil
}

// takeoverPatience is how long a new connection waits for the old one to step down, as in EMQX.
const takeoverPatience = 5 * time.Second

// Broker is one broker node. Make it with New.
type Broker struct {
	cfg       Config
	log       *slog.Logger
	server    *mqtt.Server
	publisher *mqtt.Client // the sender of wills and of messages that come in over REST
	hooks     *hookClient
	sender    *sender // nil without a webhook
	faults    *Faults
	clients   *registry

	connections atomic.Uint64 // numbers connections
	messages    atomic.Int64  // numbers messages

	life  context.Context // ends with Close
	end   context.CancelFunc
	gate  sync.RWMutex // read-held while a connection takes over a session, written by Vanish
	serve sync.WaitGroup

	mu        sync.Mutex
	started   bool
	closed    bool
	live      map[*conn]struct{}
	listeners []net.Listener
	servers   []*http.Server
	addr      addresses
}

type addresses struct{ tcp, ws, api string }

// New checks the configuration and returns a broker that is not yet listening.
func New(cfg Config) (*Broker, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	b := &Broker{
		cfg:     cfg,
		log:     cfg.Logger,
		server:  mqtt.New(serverOptions()),
		hooks:   newHookClient(cfg),
		faults:  newFaults(),
		clients: newRegistry(),
		live:    map[*conn]struct{}{},
	}
	b.life, b.end = context.WithCancel(context.Background())
	b.publisher = b.server.NewClient(nil, mqtt.LocalListener, "", true)
	b.publisher.Properties.ProtocolVersion = 5
	if err := b.server.AddHook(&hook{broker: b}, nil); err != nil {
		return nil, fmt.Errorf("broker: install hook: %w", err)
	}
	if cfg.WebhookURL != "" {
		b.sender = newSender(cfg, b.faults)
	}
	return b, nil
}

// serverOptions sets what EMQX's CONNACK announces. The library's own log is off: it prints packets, passwords
// included. The message expiry cap is off because the library would stamp it on every message.
func serverOptions() *mqtt.Options {
	caps := mqtt.NewDefaultServerCapabilities()
	caps.MaximumMessageExpiryInterval = 0
	caps.ReceiveMaximum = receiveMaximum
	caps.MaximumPacketSize = maximumPacketSize
	caps.Compatibilities.NoInheritedPropertiesOnAck = true
	return &mqtt.Options{
		Capabilities:             caps,
		Logger:                   slog.New(slog.DiscardHandler),
		ClientNetWriteBufferSize: 1, // never leave a packet in the buffer of a connection about to be closed
		SysTopicResendInterval:   3600,
	}
}

// Start opens the listeners. After an error nothing is left open. A broker starts once.
func (b *Broker) Start(ctx context.Context) error {
	b.mu.Lock()
	if b.started || b.closed {
		b.mu.Unlock()
		return errors.New("broker: already started or closed")
	}
	b.started = true
	b.mu.Unlock()
	if err := b.server.Serve(); err != nil {
		return fmt.Errorf("broker: start: %w", err)
	}
	if b.sender != nil {
		b.sender.start()
	}
	if err := b.listen(ctx); err != nil {
		return errors.Join(err, b.Close(ctx))
	}
	return nil
}

// Close stops the broker like a SIGTERM stops EMQX: connections are cut without DISCONNECT, without disconnected
// events and without wills. Events already queued are still offered once, until ctx ends. Closing twice, or before
// Start, is safe.
func (b *Broker) Close(ctx context.Context) error {
	b.mu.Lock()
	first, started := !b.closed, b.started
	b.closed = true
	listeners, servers := b.listeners, b.servers
	b.mu.Unlock()
	if !first {
		return nil
	}
	for _, s := range servers {
		_ = s.Close()
	}
	for _, l := range listeners {
		_ = l.Close()
	}
	b.end()
	for _, c := range b.connectionsNow() {
		c.silence()
	}
	b.serve.Wait()
	b.clients.clear()
	var err error
	if b.sender != nil {
		err = b.sender.close(ctx)
	}
	if started {
		err = errors.Join(err, b.server.Close())
	}
	b.hooks.close()
	return err
}

// TCPAddr is the address of the MQTT listener after Start, empty without one.
func (b *Broker) TCPAddr() string { return b.addresses().tcp }

// WSAddr is the address of the WebSocket listener after Start, empty without one.
func (b *Broker) WSAddr() string { return b.addresses().ws }

// APIAddr is the address of the REST interface after Start, empty without one.
func (b *Broker) APIAddr() string { return b.addresses().api }

func (b *Broker) addresses() addresses {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.addr
}

// Faults are the switches that make the event delivery misbehave.
func (b *Broker) Faults() *Faults { return b.faults }

// Flush waits until every event handed to the sender so far is delivered or dropped, or ctx ends.
func (b *Broker) Flush(ctx context.Context) error {
	if b.sender == nil {
		return nil
	}
	return b.sender.flush(ctx)
}

// Stats counts what became of events since New.
func (b *Broker) Stats() Stats {
	if b.sender == nil {
		return Stats{}
	}
	return b.sender.counts()
}

func (b *Broker) connectionsNow() []*conn {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := make([]*conn, 0, len(b.live))
	for c := range b.live {
		all = append(all, c)
	}
	return all
}
