package sweep_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/redis/go-redis/v9"

	"github.com/holdfast-games/holdfast/pkg/outbox"
	"github.com/holdfast-games/holdfast/pkg/rediskit"
	"github.com/holdfast-games/holdfast/pkg/session"
	"github.com/holdfast-games/holdfast/pkg/session/redisstore"
	"github.com/holdfast-games/holdfast/pkg/shard"
	"github.com/holdfast-games/holdfast/pkg/testkit"
	"github.com/holdfast-games/holdfast/pkg/testkit/redisserver"
	"github.com/holdfast-games/holdfast/services/session/internal/sweep"
)

const (
	// patience is how long tests wait for what takes no time.
	patience = 20 * time.Second
	interval = 500 * time.Millisecond
)

var shared redisserver.Shared

func TestMain(m *testing.M) { testkit.Main(m, shared.Stop) }

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

// redisHouse is a store whose sessions are due as soon as they are made.
type redisHouse struct {
	server *redisserver.Server
	client redis.UniversalClient
	shards shard.Map
	store  *redisstore.Store
}

func newRedisHouse(t *testing.T) *redisHouse {
	t.Helper()
	h := &redisHouse{server: shared.Server(t)}
	var err error
	if h.client, err = rediskit.Open(h.server.URL()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.client.Close() })
	if h.shards, err = shard.New(4); err != nil {
		t.Fatal(err)
	}
	settings := session.Defaults()
	settings.DetachedTTL, settings.HTTPLease = time.Millisecond, time.Millisecond
	if h.store, err = redisstore.New(h.client, h.shards, settings); err != nil {
		t.Fatal(err)
	}
	return h
}

func (h *redisHouse) create(t *testing.T, players int) {
	t.Helper()
	for n := range players {
		claims := session.Claims{Player: fmt.Sprintf("p%d", n)}
		if _, err := h.store.Ensure(t.Context(), claims, &session.Facts{Durable: true}, false); err != nil {
			t.Fatal(err)
		}
	}
}

// expired counts how often the outbox says that each player expired.
func (h *redisHouse) expired(t *testing.T) map[string]int {
	t.Helper()
	counts := map[string]int{}
	for _, n := range h.shards.All() {
		messages, err := h.client.XRange(t.Context(), outbox.Key(n), "-", "+").Result()
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range messages {
			if m.Values["type"] == "session.expired" {
				counts[m.Values["player"].(string)]++
			}
		}
	}
	return counts
}

func TestManySweepersExpireEachPlayerOnce(t *testing.T) {
	const players, sweepers = 300, 6
	h := newRedisHouse(t)
	registry := prometheus.NewRegistry()
	h.create(t, players)
	ctx, cancel := context.WithCancel(t.Context())
	var sweeping sync.WaitGroup
	for range sweepers {
		s := sweep.New(h.store, h.shards.All(), time.Millisecond, discard(), registry)
		sweeping.Go(func() { _ = s.Run(ctx) })
	}
	expired := func() float64 { return value(t, registry, "holdfast_session_due_total", "expired") }
	testkit.Eventually(t, patience, func() error {
		if got := expired(); got < players {
			return fmt.Errorf("%v of %d", got, players)
		}
		return nil
	}, "all to expire")
	cancel()
	sweeping.Wait()
	for player, n := range h.expired(t) {
		if n != 1 {
			t.Errorf("%s expired %d times", player, n)
		}
	}
	if got := expired(); got != players || len(h.expired(t)) != players {
		t.Errorf("the metric says that %v expired, want %d", got, players)
	}
}

func TestOutageOfRedisIsSurvived(t *testing.T) {
	h := newRedisHouse(t)
	registry := prometheus.NewRegistry()
	s := sweep.New(h.store, h.shards.All(), time.Millisecond, discard(), registry)
	h.server.Stop()
	if err := s.Pass(t.Context()); err == nil {
		t.Error("a pass without Redis is no error")
	}
	if got := value(t, registry, "holdfast_session_last_sweep_timestamp_seconds", ""); got != 0 {
		t.Errorf("a sweep that failed counts as the last complete one: %v", got)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	h.server.Restart(t)
	testkit.Eventually(t, patience, func() error { return rediskit.Ping(t.Context(), h.client) }, "Redis")
	h.create(t, 5)
	testkit.Eventually(t, patience, func() bool { return len(h.expired(t)) == 5 }, "all to expire")
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("run ended with %v", err)
	}
	if got := value(t, registry, "holdfast_session_last_sweep_timestamp_seconds", ""); got == 0 {
		t.Error("no complete sweep is known")
	}
}

// value returns a metric, or the one of its series with the outcome; 0 when
// there is none.
func value(t *testing.T, r *prometheus.Registry, name, outcome string) float64 {
	t.Helper()
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == name && (outcome == "" || m.GetLabel()[0].GetValue() == outcome) {
				return m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return 0
}

// script is a store that answers sweeps as told.
type script struct {
	session.Store
	passes  []session.Due
	err     error
	dueErr  error
	results []session.Result
	asked   []string
	swept   []time.Time
}

func (s *script) Sweep(context.Context, []int) ([]session.Due, error) {
	s.swept = append(s.swept, time.Now())
	return s.passes, s.err
}

func (s *script) Due(_ context.Context, players []string) ([]session.Result, error) {
	s.asked = append(s.asked, players...)
	return s.results, s.dueErr
}

func TestWhatAPassCounts(t *testing.T) {
	registry := prometheus.NewRegistry()
	var log bytes.Buffer
	store := &script{
		passes:  []session.Due{{Shard: 0, Members: []string{"a", "b"}, GivenMS: 1500}, {Shard: 1, Paused: true}, {Shard: 2, Members: []string{"c"}, GivenMS: 500}},
		results: []session.Result{{Outcome: session.Expired}, {Outcome: session.InGrace}, {Outcome: session.Expired}},
	}
	s := sweep.New(store, []int{0, 1, 2}, interval, slog.New(slog.NewTextHandler(&log, nil)), registry)
	if err := s.Pass(t.Context()); err != nil {
		t.Fatal(err)
	}
	const want = `
		# HELP holdfast_session_amnesty_seconds_total Time given back after outages of ours, summed over shards.
		# TYPE holdfast_session_amnesty_seconds_total counter
		holdfast_session_amnesty_seconds_total 2
		# HELP holdfast_session_due_total What the sweep did for players who were due.
		# TYPE holdfast_session_due_total counter
		holdfast_session_due_total{outcome="expired"} 2
		holdfast_session_due_total{outcome="grace"} 1
	`
	if err := testutil.GatherAndCompare(registry, strings.NewReader(want), "holdfast_session_amnesty_seconds_total", "holdfast_session_due_total"); err != nil {
		t.Error(err)
	}
	if got := strings.Join(store.asked, " "); got != "a b c" {
		t.Errorf("asked for %q", got)
	}
	if strings.Count(log.String(), "level=WARN") != 1 || !strings.Contains(log.String(), "ms=1500") {
		t.Errorf("want one line about the longest outage:\n%s", log.String())
	}
}

func TestNobodyDueIsNoCall(t *testing.T) {
	store := &script{passes: []session.Due{{Shard: 0}}, dueErr: errors.New("asked for nobody")}
	if err := sweep.New(store, []int{0}, interval, discard(), prometheus.NewRegistry()).Pass(t.Context()); err != nil {
		t.Error(err)
	}
}

// One shard that fails, as a master of a cluster that is gone, does not keep
// the others waiting.
func TestOneShardAwayDoesNotStopTheOthers(t *testing.T) {
	away := errors.New("away")
	registry := prometheus.NewRegistry()
	store := &script{
		passes:  []session.Due{{Shard: 0, Err: away, Members: []string{"x"}}, {Shard: 1, Members: []string{"a"}}},
		results: []session.Result{{Outcome: session.Expired}},
	}
	if err := sweep.New(store, []int{0, 1}, interval, discard(), registry).Pass(t.Context()); !errors.Is(err, away) {
		t.Errorf("pass: %v, want to hear of the shard", err)
	}
	if got := strings.Join(store.asked, " "); got != "a" {
		t.Errorf("asked for %q, want those of the shard that answered", got)
	}
	if got := value(t, registry, "holdfast_session_last_sweep_timestamp_seconds", ""); got != 0 {
		t.Error("half a sweep counts as a complete one")
	}
}

func TestFailedDueIsReported(t *testing.T) {
	away := errors.New("away")
	store := &script{passes: []session.Due{{Members: []string{"a"}}}, dueErr: away}
	if err := sweep.New(store, []int{0}, interval, discard(), prometheus.NewRegistry()).Pass(t.Context()); !errors.Is(err, away) {
		t.Errorf("pass: %v", err)
	}
}

func TestRunKeepsTheIntervalWithJitter(t *testing.T) {
	for name, err := range map[string]error{"fine": nil, "failing": errors.New("away")} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := &script{err: err}
				s := sweep.New(store, []int{0}, interval, discard(), prometheus.NewRegistry())
				ctx, cancel := context.WithTimeout(t.Context(), 200*interval)
				defer cancel()
				if err := s.Run(ctx); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("run ended with %v", err)
				}
				pauses := map[time.Duration]bool{}
				for i := 1; i < len(store.swept); i++ {
					pause := store.swept[i].Sub(store.swept[i-1])
					pauses[pause] = true
					if pause < interval/2 || pause >= 3*interval/2 {
						t.Errorf("a pause of %s", pause)
					}
				}
				if n := len(store.swept); n < 150 || n > 270 || len(pauses) < n/2 {
					t.Errorf("%d sweeps with %d different pauses in 200 intervals", n, len(pauses))
				}
			})
		})
	}
}
