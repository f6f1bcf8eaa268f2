package relay

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"github.com/holdfast-games/holdfast/pkg/clock"
	"github.com/holdfast-games/holdfast/pkg/mqttkit"
	"github.com/holdfast-games/holdfast/pkg/outbox"
	"github.com/holdfast-games/holdfast/pkg/rediskit"
	"github.com/holdfast-games/holdfast/pkg/session"
	"github.com/holdfast-games/holdfast/pkg/session/redisstore"
	"github.com/holdfast-games/holdfast/pkg/shard"
	"github.com/holdfast-games/holdfast/pkg/testkit"
	"github.com/holdfast-games/holdfast/pkg/testkit/faultproxy"
	"github.com/holdfast-games/holdfast/proto/wire"
	"github.com/holdfast-games/holdfast/services/emqx-hook/internal/brokertest"
)

const (
	patience = 20 * time.Second
	players  = 40
)

// house is a Redis with an outbox, a broker, and the network in between.
type house struct {
	url    string
	client redis.UniversalClient
	store  *redisstore.Store
	shards shard.Map
	broker *brokertest.Broker
	net    *faultproxy.Proxy // between the relays and the broker
	sent   int
}

func newHouse(tb testing.TB, shards int) *house {
	tb.Helper()
	h := &house{url: shared.Server(tb).URL(), broker: brokertest.Start(tb)}
	h.client = open(tb, h.url)
	var err error
	if h.shards, err = shard.New(shards); err != nil {
		tb.Fatal(err)
	}
	if h.store, err = redisstore.New(h.client, h.shards, session.Defaults()); err != nil {
		tb.Fatal(err)
	}
	h.net = faultproxy.Start(tb, h.broker.Addr)
	return h
}

func open(tb testing.TB, url string) redis.UniversalClient {
	tb.Helper()
	client, err := rediskit.Open(url)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { client.Close() })
	return client
}

// instance starts a relay as the service does. stop ends it, and may be
// called twice.
func (h *house) instance(tb testing.TB) (stop func()) {
	tb.Helper()
	quiet := slog.New(slog.DiscardHandler)
	events := open(tb, h.url)
	publisher, err := mqttkit.Connect(context.Background(), mqttkit.Config{ //nolint:usetesting // closed below
		URL: "mqtt://" + h.net.Addr(), Username: "holdfast-relay", Password: "x",
	}, quiet)
	if err != nil {
		tb.Fatal(err)
	}
	r := New(Config{
		Records: h.store, Publisher: publisher, Clock: clock.System{}, Log: quiet, Registry: prometheus.NewRegistry(),
		NewReader: func(handle outbox.Handler) Reader {
			return outbox.NewReader(events, h.shards, outbox.Relay, Parallel, quiet, handle)
		},
	})
	ctx, cancel := context.WithCancel(tb.Context())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			tb.Errorf("relay: %v", err)
		}
		closing, cancel := context.WithTimeout(context.WithoutCancel(tb.Context()), patience)
		defer cancel()
		if err := publisher.Close(closing); err != nil {
			tb.Errorf("close the publisher: %v", err)
		}
	})
	tb.Cleanup(stop)
	return stop
}

var appendScript = rediskit.NewScript("test.append", outbox.Lua, "outbox_append(KEYS[1], ARGV)\nreturn {'ok'}")

// push appends n events that must each reach their player; every one names a
// ticket of its own.
func (h *house) push(tb testing.TB, n int) {
	tb.Helper()
	now, err := h.client.Time(tb.Context()).Result()
	if err != nil {
		tb.Fatal(err)
	}
	h.pushAt(tb, n, now)
}

func (h *house) pushAt(tb testing.TB, n int, at time.Time) {
	tb.Helper()
	calls := make([]rediskit.Call, n)
	for i := range calls {
		player := "player-" + strconv.Itoa(h.sent%players)
		body, err := json.Marshal(wire.MatchmakingPush{Type: wire.MatchmakingQueued, Queue: "q", TicketID: strconv.Itoa(h.sent)})
		if err != nil {
			tb.Fatal(err)
		}
		h.sent++
		calls[i] = rediskit.Call{Script: appendScript, Keys: []string{outbox.Key(h.shards.Of(player))}, Args: []any{
			"type", "session.repeat", "player", player, "sid", "life", "v", h.sent, "prev", h.sent - 1, "at", at.UnixMilli(),
			"push", string(wire.MatchmakingQueued), "body", string(body),
		}}
	}
	for _, r := range rediskit.RunBatch(tb.Context(), h.client, calls) {
		if r.Err != nil {
			tb.Fatal(r.Err)
		}
	}
}

// unread counts the events that the relays have not acknowledged, those they
// have not read included.
func (h *house) unread(tb testing.TB) int64 {
	tb.Helper()
	var n int64
	for _, s := range h.shards.All() {
		groups, err := h.client.XInfoGroups(tb.Context(), outbox.Key(s)).Result()
		if err != nil && !redis.HasErrorPrefix(err, "no such key") {
			tb.Fatal(err)
		}
		for _, g := range groups {
			if g.Name == outbox.Relay {
				n += g.Pending + g.Lag
			}
		}
	}
	return n
}

func (h *house) awaitRead(tb testing.TB) {
	tb.Helper()
	testkit.Eventually(tb, patience, func() error {
		if n := h.unread(tb); n > 0 {
			return fmt.Errorf("%d are not, the broker took %d", n, h.broker.Count())
		}
		return nil
	}, "every event to be acknowledged")
}

// tickets returns how often each ticket arrived, and complains about one that
// came, for the first time, after a later one of the same player.
func (h *house) tickets(tb testing.TB) map[int]int {
	tb.Helper()
	arrived := map[int]int{}
	for p := range players {
		last := -1
		for _, payload := range h.broker.Messages("player/player-" + strconv.Itoa(p) + "/matchmaking") {
			var push wire.MatchmakingPush
			if err := json.Unmarshal([]byte(payload), &push); err != nil {
				tb.Fatal(err)
			}
			n, err := strconv.Atoi(push.TicketID)
			if err != nil || push.V != int64(n+1) || push.Prev != int64(n) || push.SID != "life" || push.Timestamp.IsZero() {
				tb.Fatalf("a push that is not filled in: %s", payload)
			}
			if arrived[n]++; arrived[n] == 1 {
				if n < last {
					tb.Errorf("ticket %d came after %d", n, last)
				}
				last = n
			}
		}
	}
	return arrived
}

// complete checks that everything arrived, and returns the repeats.
func (h *house) complete(tb testing.TB) (repeats int) {
	tb.Helper()
	arrived := h.tickets(tb)
	for n := range h.sent {
		if arrived[n] == 0 {
			tb.Errorf("event %d of %d was lost", n, h.sent)
		}
		repeats += arrived[n] - 1
	}
	return repeats
}

func TestEventsReachTheirPlayers(t *testing.T) {
	h := newHouse(t, 8)
	h.instance(t)
	claims := session.Claims{Player: "ann", Family: "laptop", ExpiresAt: time.Now().Add(time.Hour)}
	if _, err := h.store.Ensure(t.Context(), claims, &session.Facts{Name: "Ann", Durable: true, Login: true}, false); err != nil {
		t.Fatal(err)
	}
	h.push(t, 100)
	h.awaitRead(t)
	if n := h.complete(t); n != 0 {
		t.Errorf("%d repeats in quiet times", n)
	}
	shots := h.broker.Messages("player/ann/session")
	var shot wire.SnapshotPush
	if len(shots) != 1 || json.Unmarshal([]byte(shots[0]), &shot) != nil || shot.Player.DisplayName != "Ann" || shot.V == 0 || shot.V != shot.Version {
		t.Errorf("snapshots %v", shots)
	}
	if _, _, err := h.store.End(t.Context(), "ann", session.Ending{Reason: "banned", Revoke: true}); err != nil {
		t.Fatal(err)
	}
	h.awaitRead(t)
	notes := h.broker.Messages("player/ann/notifications")
	var note wire.Notification
	if len(notes) != 1 || json.Unmarshal([]byte(notes[0]), &note) != nil || note.Type != wire.NotificationBanned || note.SID != shot.SID || note.V <= shot.V {
		t.Errorf("notifications %v", notes)
	}
}

// TestNothingIsLostWhenTheBrokerDies kills the broker in the middle of the
// stream, keeps it away while more happens, and brings it back empty.
func TestNothingIsLostWhenTheBrokerDies(t *testing.T) {
	h := newHouse(t, 8)
	h.instance(t)
	h.push(t, 3000)
	testkit.Eventually(t, patience, func() bool { return h.broker.Count() > 100 }, "the stream to flow")
	h.net.Cut()
	h.broker.Kill(t)
	before := h.unread(t)
	h.push(t, 500)
	if n := h.unread(t); before == 0 || n < 500 {
		t.Fatalf("%d unread before the broker died, %d after more: the test came too late", before, n)
	}
	h.awaitLeases(t, 0) // whoever has a connection may serve the shards now
	h.broker.Restart(t)
	h.net.Heal()
	h.awaitRead(t)
	t.Logf("%d events, %d unread when the broker died, %d repeats", h.sent, before, h.complete(t))
}

// awaitLeases waits until so many shards are leased by a relay.
func (h *house) awaitLeases(tb testing.TB, want int64) {
	tb.Helper()
	testkit.Eventually(tb, patience, func() error {
		var keys []string
		for _, n := range h.shards.All() {
			keys = append(keys, shard.Key(n, "reader:"+outbox.Relay))
		}
		if n, err := h.client.Exists(tb.Context(), keys...).Result(); err != nil || n != want {
			return fmt.Errorf("%d leases, want %d: %w", n, want, err)
		}
		return nil
	}, "the leases")
}

// TestAcknowledgedOnlyAfterTheBrokerTookIt freezes the way back from the
// broker: what it has not acknowledged stays pending.
func TestAcknowledgedOnlyAfterTheBrokerTookIt(t *testing.T) {
	h := newHouse(t, 8)
	h.instance(t)
	h.push(t, 10)
	h.awaitRead(t)
	h.net.Stall()
	h.push(t, players)
	testkit.Eventually(t, patience, func() bool { return h.pending(t) > 0 }, "the relay to publish")
	if n := h.unread(t); n != players {
		t.Errorf("%d unread while the broker is silent, want %d", n, players)
	}
	h.net.Heal()
	h.awaitRead(t)
	h.complete(t)
}

func (h *house) pending(tb testing.TB) (n int64) {
	tb.Helper()
	for _, s := range h.shards.All() {
		if p, err := h.client.XPending(tb.Context(), outbox.Key(s), outbox.Relay).Result(); err == nil {
			n += p.Count
		}
	}
	return n
}

// TestTwoInstances shares the work, and then takes one of them away in the
// middle of it.
func TestTwoInstances(t *testing.T) {
	h := newHouse(t, 16)
	first := h.instance(t)
	h.instance(t)
	h.awaitLeases(t, 16)
	h.push(t, 2000)
	h.awaitRead(t)
	if n := h.complete(t); n > 0 {
		t.Errorf("%d repeats while both were there", n)
	}
	h.push(t, 2000)
	testkit.Eventually(t, patience, func() bool { return h.broker.Count() > 2100 }, "the stream to flow")
	first()
	h.awaitRead(t)
	total := h.broker.Count()
	t.Logf("%d events, %d repeats", h.sent, h.complete(t))
	h.push(t, 1)
	h.awaitRead(t)
	if n := h.broker.Count() - total; n != 1 {
		t.Errorf("%d messages for one more event", n)
	}
}

func TestOldNewsIsDropped(t *testing.T) {
	h := newHouse(t, 8)
	now, err := h.client.Time(t.Context()).Result()
	if err != nil {
		t.Fatal(err)
	}
	h.pushAt(t, 100, now.Add(-MaxAge-time.Second))
	old := h.sent
	h.push(t, 1)
	h.instance(t)
	h.awaitRead(t)
	if arrived := h.tickets(t); len(arrived) != 1 || arrived[old] != 1 {
		t.Errorf("arrived: %v, want only %d", arrived, old)
	}
}

// TestABrokerThatHangsUp accepts connections and closes them at once: the
// relay tries at its leisure.
func TestABrokerThatHangsUp(t *testing.T) {
	h := newHouse(t, 8)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	accepted := make(chan struct{}, 1<<10)
	var done sync.WaitGroup
	done.Go(func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			c.Close()
			select {
			case accepted <- struct{}{}:
			default:
			}
		}
	})
	h.net = faultproxy.Start(t, listener.Addr().String())
	h.instance(t)
	h.push(t, 5)
	for range 3 {
		<-accepted
	}
	if n := h.unread(t); n != 5 {
		t.Errorf("%d unread, want 5", n)
	}
	if n := len(accepted); n > 10 {
		t.Errorf("%d more attempts meanwhile", n)
	}
	listener.Close()
	done.Wait()
}

// BenchmarkRelay measures events from Redis to the broker's acknowledgement,
// through a proxy, with one instance.
func BenchmarkRelay(b *testing.B) {
	h := newHouse(b, 64)
	h.instance(b)
	h.push(b, 1)
	h.awaitRead(b)
	b.ResetTimer()
	for left := b.N; left > 0; left -= 5000 {
		h.push(b, min(left, 5000))
	}
	h.awaitRead(b)
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
}
