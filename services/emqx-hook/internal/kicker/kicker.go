// Package kicker has the broker drop connections that must not go on: those of
// a session that was ended, and those that turned up with a login older than
// that. It looks before it kicks: whoever logged in since stays.
package kicker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/holdfast-games/holdfast/pkg/clock"
	"github.com/holdfast-games/holdfast/pkg/id"
	"github.com/holdfast-games/holdfast/pkg/outbox"
	"github.com/holdfast-games/holdfast/pkg/session"
	"github.com/holdfast-games/holdfast/pkg/telemetry"
)

// Parallel is how many players a kicker serves at once.
const Parallel = 8

// MaxAge is how long an event waits for a broker that does not answer. It is
// tried at least once whatever its age.
const MaxAge = time.Minute

// Errors of a Broker. All others mean that trying again may help.
var (
	// ErrUnknownClient says that the broker has no such client.
	ErrUnknownClient = errors.New("the broker knows no such client")
	// ErrRefused says that the broker refuses the call itself, because of the
	// key, the address or the request: no repetition mends it.
	ErrRefused = errors.New("the broker refuses the call")
)

// Client is what the broker says about one client.
type Client struct {
	Epoch int64 // of its login at our hook; 0 when it has none
}

// Broker is the broker's own interface; *EMQX is one.
type Broker interface {
	// Client looks a client up. Errors: ErrUnknownClient, ErrRefused.
	Client(ctx context.Context, clientID string) (Client, error)
	// Kick drops a client and its broker session. Errors: ErrUnknownClient,
	// ErrRefused.
	Kick(ctx context.Context, clientID string) error
}

// Config is what a Kicker needs.
type Config struct {
	Broker   Broker // nil = there is no interface: events are acknowledged and counted
	Clock    clock.Clock
	Log      *slog.Logger
	Registry prometheus.Registerer
}

// Kicker handles the events of the group outbox.Broker.
type Kicker struct {
	config Config
	kicks  *prometheus.CounterVec
}

// What became of an event, as a label of metrics.
const (
	kicked   = "kicked"
	gone     = "gone"     // not connected any more
	newer    = "newer"    // it is a login that may stay
	disabled = "disabled" // no interface to the broker
	dropped  = "dropped"  // given up
)

// New returns a kicker.
func New(c Config) *Kicker {
	return &Kicker{config: c, kicks: telemetry.Once(c.Registry, prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "holdfast_kicks_total",
		Help: "Connections to be dropped and what became of it: kicked, gone, newer, disabled, dropped.",
	}, []string{"result"}))}
}

// Handle does what one event asks for. An error means: again; ErrDrop means
// that nothing helps.
func (k *Kicker) Handle(ctx context.Context, e outbox.Event) error {
	t, ok, err := targetOf(e)
	if err != nil || !ok {
		return err
	}
	if k.config.Broker == nil {
		k.kicks.WithLabelValues(disabled).Inc()
		return nil
	}
	result, err := k.drop(ctx, t)
	if err == nil {
		k.kicks.WithLabelValues(result).Inc()
		return nil
	}
	age := k.config.Clock.Now().UnixMilli() - e.At
	if errors.Is(err, ErrRefused) || age > MaxAge.Milliseconds() {
		k.kicks.WithLabelValues(dropped).Inc()
		k.config.Log.ErrorContext(ctx, "a connection that should be dropped goes on", "player", e.Player, "error", err)
		return fmt.Errorf("%w: %w", outbox.ErrDrop, err)
	}
	return err
}

// lookAgain is when to look a second time for a client that must be there.
const lookAgain = 100 * time.Millisecond

// target is whom to drop.
type target struct {
	player string
	meant  func(epoch int64) bool // whether a login of this epoch is meant
	fresh  bool                   // it has just connected: the broker may not list it yet
}

// targetOf reads an event; ok is false when it asks for nothing. Errors are
// ErrDrop.
func targetOf(e outbox.Event) (t target, ok bool, err error) {
	if !id.Valid(e.Player) {
		return target{}, false, nil
	}
	switch e.Type {
	case "broker.kick":
		epoch := session.ConnectionID(e.Fields["connection"]).Epoch()
		if epoch == 0 {
			return target{}, false, fmt.Errorf("%w: event %s names no connection", outbox.ErrDrop, e.ID)
		}
		return target{e.Player, func(n int64) bool { return n == epoch }, true}, true, nil
	case "session.ended":
		before, err := strconv.ParseInt(e.Fields["before"], 10, 64)
		if err != nil || before < 1 {
			return target{}, false, fmt.Errorf("%w: event %s names no epoch", outbox.ErrDrop, e.ID)
		}
		return target{e.Player, func(n int64) bool { return n <= before }, false}, true, nil
	default:
		return target{}, false, nil
	}
}

// drop looks, and kicks if the client it sees is the one that is meant.
func (k *Kicker) drop(ctx context.Context, t target) (result string, err error) {
	c, err := k.look(ctx, t)
	switch {
	case errors.Is(err, ErrUnknownClient):
		return gone, nil
	case err != nil:
		return "", fmt.Errorf("look up client %s: %w", t.player, err)
	case c.Epoch == 0 || !t.meant(c.Epoch):
		return newer, nil
	}
	err = k.config.Broker.Kick(ctx, t.player)
	switch {
	case errors.Is(err, ErrUnknownClient):
		return gone, nil
	case err != nil:
		return "", fmt.Errorf("kick client %s: %w", t.player, err)
	default:
		return kicked, nil
	}
}

// look looks a client up. One that has just connected is looked for again,
// twice: EMQX reports a connection before it lists it.
func (k *Kicker) look(ctx context.Context, t target) (Client, error) {
	c, err := k.config.Broker.Client(ctx, t.player)
	if !t.fresh {
		return c, err
	}
	for _, wait := range []time.Duration{lookAgain, 4 * lookAgain} {
		if !errors.Is(err, ErrUnknownClient) {
			return c, err
		}
		select {
		case <-ctx.Done():
			return Client{}, ctx.Err()
		case <-time.After(wait):
		}
		c, err = k.config.Broker.Client(ctx, t.player)
	}
	return c, err
}
