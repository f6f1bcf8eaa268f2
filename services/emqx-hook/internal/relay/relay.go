// Package relay tells players what happened to them: it reads the outbox and
// publishes to MQTT, with QoS 1, acknowledging an event to the outbox only
// after the broker has taken every message it causes. So a player may be told
// twice, and what is older than MaxAge is not told at all: the next snapshot
// shows it.
package relay

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/holdfast-games/holdfast/pkg/clock"
	"github.com/holdfast-games/holdfast/pkg/mqttkit"
	"github.com/holdfast-games/holdfast/pkg/outbox"
	"github.com/holdfast-games/holdfast/pkg/session"
	"github.com/holdfast-games/holdfast/proto/topic"
)

// MaxAge is the age beyond which an event is acknowledged without a message.
const MaxAge = time.Minute

// Parallel is how many players a relay serves at once.
const Parallel = 64

// Publisher publishes to the broker; *mqttkit.Publisher is one.
type Publisher interface {
	// Publish returns when the broker has taken the message. Errors:
	// mqttkit.ErrNotConnected at once when there is no connection.
	Publish(ctx context.Context, topic string, payload []byte, retain bool) error
	// Await waits for a connection.
	Await(ctx context.Context) error
}

// Records reads session records; session.Store is one.
type Records interface {
	Get(ctx context.Context, player string) (session.Result, error)
}

// Reader reads an outbox group until its context ends; *outbox.Reader is one.
type Reader interface {
	Run(ctx context.Context) error
}

// Config is what a Relay needs.
type Config struct {
	Records   Records
	Publisher Publisher
	NewReader func(outbox.Handler) Reader // of the group outbox.Relay
	Clock     clock.Clock
	Log       *slog.Logger
	Registry  prometheus.Registerer
}

// Relay publishes. What it remembers between events only saves work.
type Relay struct {
	config  Config
	metrics metrics
	shown   *shown
	redis   *redisClock
}

// New returns a relay.
func New(c Config) *Relay {
	return &Relay{config: c, metrics: newMetrics(c.Registry), shown: newShown(), redis: newRedisClock(c.Clock)}
}

// Run reads and publishes until ctx ends. While there is no broker connection
// it holds no shard: an instance that has one may serve them.
func (r *Relay) Run(ctx context.Context) error {
	for {
		if err := r.config.Publisher.Await(ctx); err != nil {
			if ctx.Err() != nil {
				return nil //nolint:nilerr // asked to stop
			}
			return fmt.Errorf("await the broker: %w", err)
		}
		if err := r.readWhileConnected(ctx); err != nil {
			return err
		}
		if !pause(ctx, reconnectPause/2+rand.N(reconnectPause)) {
			return nil
		}
	}
}

// reconnectPause keeps a broker that hangs up at once from making a busy loop.
const reconnectPause = 200 * time.Millisecond

// readWhileConnected reads until a message finds no connection, or ctx ends.
func (r *Relay) readWhileConnected(ctx context.Context) error {
	connected, disconnect := context.WithCancel(ctx)
	defer disconnect()
	reader := r.config.NewReader(func(ctx context.Context, e outbox.Event) error {
		err := r.Handle(ctx, e)
		if errors.Is(err, mqttkit.ErrNotConnected) {
			disconnect()
		}
		return err
	})
	if err := reader.Run(connected); err != nil {
		return fmt.Errorf("read the outbox: %w", err)
	}
	return nil
}

// Handle publishes what one event causes. An error means that not everything
// arrived: the event must come again.
func (r *Relay) Handle(ctx context.Context, e outbox.Event) error {
	messages, snapshot, err := plan(e)
	if err != nil {
		return err
	}
	snapshot = snapshot && !r.coalesced(e)
	if len(messages) == 0 && !snapshot {
		return nil
	}
	var now session.Result
	if snapshot || r.redis.lost() {
		if now, err = r.get(ctx, e.Player); err != nil {
			return err
		}
	}
	if age := r.redis.now() - e.At; age > MaxAge.Milliseconds() {
		r.metrics.skipped.WithLabelValues("stale").Inc()
		return nil
	}
	for _, m := range messages {
		if err := r.publish(ctx, e, m); err != nil {
			return err
		}
	}
	if snapshot {
		return r.publishSnapshot(ctx, e, now)
	}
	return nil
}

// coalesced reports whether the player was shown a snapshot at least as new
// as the event. Whoever has just subscribed is shown it again.
func (r *Relay) coalesced(e outbox.Event) bool {
	if e.Type == announce || !r.shown.covers(e.Player, e.SID, e.V) {
		return false
	}
	r.metrics.skipped.WithLabelValues("coalesced").Inc()
	return true
}

func (r *Relay) get(ctx context.Context, player string) (session.Result, error) {
	res, err := r.config.Records.Get(ctx, player)
	if err != nil {
		return session.Result{}, fmt.Errorf("read the session of %s: %w", player, err)
	}
	r.redis.observe(res.Record.Now)
	return res, nil
}

func (r *Relay) publishSnapshot(ctx context.Context, e outbox.Event, now session.Result) error {
	if now.Record.SID == "" {
		r.metrics.skipped.WithLabelValues("gone").Inc()
		return nil
	}
	payload, err := json.Marshal(session.Snapshot(now.Record).Push())
	if err != nil {
		return fmt.Errorf("%w: encode the snapshot of %s: %w", outbox.ErrDrop, e.Player, err)
	}
	if err := r.publish(ctx, e, message{topic.KindPlayerSession, payload}); err != nil {
		return err
	}
	r.shown.remember(e.Player, now.Record.SID, now.Record.V)
	return nil
}

func (r *Relay) publish(ctx context.Context, e outbox.Event, m message) error {
	to := topic.Topic{Kind: m.kind, Player: e.Player}.String()
	if err := r.config.Publisher.Publish(ctx, to, m.payload, false); err != nil {
		return fmt.Errorf("publish on %s: %w", to, err)
	}
	r.metrics.published.WithLabelValues(m.name()).Inc()
	r.metrics.delay.Observe(float64(max(r.redis.now()-e.At, 0)) / 1000)
	return nil
}

// pause waits for d, and reports false when ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
