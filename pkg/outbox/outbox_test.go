package outbox_test

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/holdfast-games/holdfast/pkg/outbox"
	"github.com/holdfast-games/holdfast/pkg/rediskit"
	"github.com/holdfast-games/holdfast/pkg/shard"
	"github.com/holdfast-games/holdfast/pkg/testkit"
	"github.com/holdfast-games/holdfast/pkg/testkit/redisserver"
)

const patience = 20 * time.Second

var shared redisserver.Shared

func TestMain(m *testing.M) { testkit.Main(m, shared.Stop) }

// openers make a client of an empty Redis of each kind that we claim to run on.
var openers = map[string]func(*testing.T) *site{
	"miniredis": func(t *testing.T) *site {
		t.Helper()
		fake := miniredis.RunT(t)
		return &site{client: redis.NewClient(&redis.Options{Addr: fake.Addr()}), fake: fake}
	},
	"redis": func(t *testing.T) *site {
		t.Helper()
		return &site{client: redis.NewClient(&redis.Options{Addr: redisserver.Start(t).Addr()})}
	},
	"cluster": func(t *testing.T) *site {
		t.Helper()
		oneAtATime.Lock()
		t.Cleanup(oneAtATime.Unlock)
		// Each reader blocks a connection for each shard.
		return &site{client: redis.NewClusterClient(&redis.ClusterOptions{Addrs: shared.Cluster(t).Addrs(), PoolSize: 64})}
	},
}

var oneAtATime sync.Mutex // on the cluster

// onEach runs a test on everything, at the same time: most of it is waiting.
func onEach(t *testing.T, test func(*site)) {
	t.Helper()
	on(t, slices.Sorted(maps.Keys(openers)), test)
}

// onServers runs a test where one command reads all shards.
func onServers(t *testing.T, test func(*site)) {
	t.Helper()
	on(t, []string{"miniredis", "redis"}, test)
}

func on(t *testing.T, kinds []string, test func(*site)) {
	t.Helper()
	t.Parallel()
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			s := openers[kind](t)
			s.T = t
			t.Cleanup(func() { _ = s.client.Close() })
			var err error
			if s.shards, err = shard.New(8); err != nil {
				t.Fatal(err)
			}
			test(s)
		})
	}
}

// site is an empty Redis.
type site struct {
	*testing.T

	client redis.UniversalClient
	fake   *miniredis.Miniredis // nil on real servers
	shards shard.Map
}

// appendScript appends as stores do.
var appendScript = rediskit.NewScript("test.append", outbox.Lua, "outbox_append(KEYS[1], ARGV) return {}")

// append appends the events numbered from to to-1 of a player.
func (s *site) append(t *testing.T, player string, from, to int) {
	t.Helper()
	for v := from; v < to; v++ {
		_, err := appendScript.Run(t.Context(), s.client, []string{outbox.Key(s.shards.Of(player))},
			"type", "test.event", "player", player, "sid", "sid-"+player, "v", v, "prev", v-1, "at", 1000+v,
			"ticket:ranked", "t1", "drop:ticket:casual", "t2", "lobby:", "AB12CD")
		if err != nil {
			t.Fatalf("append: %v", err)
		}
	}
}

// reader returns a reader that is in a hurry. Its leases are so short that it
// may lose one on a busy machine; then the next reader repeats what it did not
// acknowledge.
func (s *site) reader(group string, handle outbox.Handler) *outbox.Reader {
	return s.calmReader(group, handle).Hurry()
}

func (s *site) calmReader(group string, handle outbox.Handler) *outbox.Reader {
	return outbox.NewReader(s.client, s.shards, group, 4, slog.New(slog.DiscardHandler), handle)
}

// run runs a reader until stop is called, at the latest when the test ends.
func run(t *testing.T, r *outbox.Reader) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("the reader ended with %v", err)
		}
	})
	t.Cleanup(stop)
	return stop
}

// pending returns how many entries a group has read and not acknowledged.
func (s *site) pending(t *testing.T, group string) int64 {
	t.Helper()
	sum := int64(0)
	for _, n := range s.shards.All() {
		p, err := s.client.XPending(t.Context(), outbox.Key(n), group).Result()
		if redis.HasErrorPrefix(err, "NOGROUP") {
			continue
		}
		if err != nil {
			t.Fatalf("pending of %s: %v", group, err)
		}
		sum += p.Count
	}
	return sum
}

// awaitLeases waits until the leases of a dead reader have ended.
func (s *site) awaitLeases(t *testing.T, group string) {
	t.Helper()
	testkit.Eventually(t, patience, func() bool {
		if s.fake != nil {
			s.fake.FastForward(time.Second) // its TTLs do not run by themselves
		}
		left := int64(0)
		for _, n := range s.shards.All() {
			left += s.client.Exists(t.Context(), shard.Key(n, "reader:"+group)).Val()
		}
		return left == 0
	}, "the end of the leases")
}

// flush empties every server, as a Redis that lost its data.
func (s *site) flush(t *testing.T) {
	t.Helper()
	flush := func(ctx context.Context, c *redis.Client) error { return c.FlushAll(ctx).Err() }
	var err error
	switch c := s.client.(type) {
	case *redis.ClusterClient:
		err = c.ForEachMaster(t.Context(), flush)
	case *redis.Client:
		err = flush(t.Context(), c)
	}
	if err != nil {
		t.Fatalf("flush: %v", err)
	}
}

// inbox collects what a handler was given: versions by player.
type inbox struct {
	mu       sync.Mutex
	versions map[string][]int64
	events   []outbox.Event
}

func (b *inbox) handle(_ context.Context, e outbox.Event) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.versions == nil {
		b.versions = map[string][]int64{}
	}
	b.versions[e.Player] = append(b.versions[e.Player], e.V)
	b.events = append(b.events, e)
	return nil
}

func (b *inbox) of(player string) []int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.versions[player])
}

// await waits until a player has the versions from to to-1, each for the first
// time after those before it.
func (b *inbox) await(t *testing.T, player string, from, to int) {
	t.Helper()
	var want []int64
	for v := from; v < to; v++ {
		want = append(want, int64(v))
	}
	testkit.Eventually(t, patience, func() error {
		if got := b.of(player); !slices.Equal(firsts(got), want) {
			return fmt.Errorf("%s has %v", player, got)
		}
		return nil
	}, fmt.Sprintf("events %d to %d of %s", from, to-1, player))
}

// firsts leaves repetitions out.
func firsts(versions []int64) []int64 {
	var first []int64
	for _, v := range versions {
		if !slices.Contains(first, v) {
			first = append(first, v)
		}
	}
	return first
}

// crowd returns n players.
func crowd(n int) []string {
	players := make([]string, n)
	for i := range players {
		players[i] = "player-" + strconv.Itoa(i)
	}
	return players
}
