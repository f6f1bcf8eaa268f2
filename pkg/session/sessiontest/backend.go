// Package sessiontest proves that a session.Store keeps the promises of the
// session protocol: Run holds one named test for each promise, Compare plays
// random histories on several stores that must answer alike, and Properties
// are what must hold in every history.
package sessiontest

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/holdfast-games/holdfast/pkg/outbox"
	"github.com/holdfast-games/holdfast/pkg/session"
	"github.com/holdfast-games/holdfast/pkg/session/memstore"
	"github.com/holdfast-games/holdfast/pkg/shard"
)

// World is the time and the source of ids that a store under test runs on. It
// is safe for concurrent use.
type World struct{ now, lives atomic.Int64 }

// NewWorld returns a world in which it is start, in whole ms. Redis keeps TTLs
// by its own clock: a start in the past would end keys at once.
func NewWorld(start time.Time) *World {
	w := &World{}
	w.now.Store(start.UnixMilli())
	return w
}

// Now returns the time in ms.
func (w *World) Now() int64 { return w.now.Load() }

// Advance lets d pass.
func (w *World) Advance(d time.Duration) { w.now.Add(d.Milliseconds()) }

// NewSID returns a new id of a life.
func (w *World) NewSID() string { return fmt.Sprintf("life-%d", w.lives.Add(1)) }

// Backend is a store under test, and what a test must see and move beside it.
type Backend struct {
	Label      string
	Store      session.Store
	World      *World
	Shards     shard.Map
	Events     func(testing.TB) []outbox.Event           // all so far, oldest first within a shard
	Wipe       func(testing.TB)                          // all data is lost
	Lose       func(tb testing.TB, player string)        // only the record of a player is lost
	Reconciled func(testing.TB)                          // a comparison with the broker is complete
	Open       func(testing.TB) []string                 // "<player>/<connection>", sorted
	Deadlines  func(testing.TB) map[string]int64         // of players, shifted ms
	Keys       func(testing.TB) map[string]time.Duration // TTL by key, -1 = none; nil for a store without keys
}

// Factory returns a new, empty backend that lives in world.
type Factory func(tb testing.TB, world *World, settings session.Settings) *Backend

// OnMap returns a factory of memstore backends.
func OnMap(shards shard.Map) Factory {
	return func(tb testing.TB, world *World, settings session.Settings) *Backend {
		tb.Helper()
		store, err := memstore.New(shards, settings, world.Now, world.NewSID)
		if err != nil {
			tb.Fatalf("new memstore: %v", err)
		}
		return &Backend{
			Label: "map", Store: store, World: world, Shards: shards,
			Events:     func(testing.TB) []outbox.Event { return store.Events() },
			Wipe:       func(testing.TB) { store.Wipe() },
			Lose:       func(_ testing.TB, player string) { store.Lose(player) },
			Reconciled: func(testing.TB) { store.Reconciled() },
			Open:       func(testing.TB) []string { return store.Open() },
			Deadlines:  func(testing.TB) map[string]int64 { return store.Deadlines() },
		}
	}
}

// OnRedis returns the backend of a store that keeps its keys, as
// docs/redis-keys.md names them, behind client.
func OnRedis(label string, store session.Store, client redis.UniversalClient, shards shard.Map, world *World) *Backend {
	r := &inRedis{client: client, shards: shards, world: world, last: map[int]string{}}
	return &Backend{
		Label: label, Store: store, World: world, Shards: shards, Events: r.events, Wipe: r.wipe, Lose: r.lose,
		Reconciled: r.reconciled, Open: r.open, Deadlines: r.deadlines, Keys: r.keys,
	}
}

type inRedis struct {
	client redis.UniversalClient
	shards shard.Map
	world  *World

	read []outbox.Event // so far
	last map[int]string // the entry read last, by shard
}

func (r *inRedis) events(tb testing.TB) []outbox.Event {
	tb.Helper()
	pipe := r.client.Pipeline()
	streams := make([]*redis.XMessageSliceCmd, r.shards.N())
	for _, n := range r.shards.All() {
		from := "-"
		if r.last[n] != "" {
			from = "(" + r.last[n]
		}
		streams[n] = pipe.XRange(tb.Context(), outbox.Key(n), from, "+")
	}
	if _, err := pipe.Exec(tb.Context()); err != nil {
		tb.Fatalf("read the outboxes: %v", err)
	}
	for n, stream := range streams {
		for _, m := range stream.Val() {
			r.read = append(r.read, event(tb, n, m.Values))
			r.last[n] = m.ID
		}
	}
	return r.read
}

func event(tb testing.TB, n int, values map[string]any) outbox.Event {
	tb.Helper()
	e := outbox.Event{Shard: n, Fields: map[string]string{}}
	for k, raw := range values {
		v, _ := raw.(string)
		e.Fields[k] = v
	}
	take := func(k string) string {
		v, ok := e.Fields[k]
		if !ok {
			tb.Errorf("event %v has no %q", values, k)
		}
		delete(e.Fields, k)
		return v
	}
	number := func(k string) int64 {
		v, err := strconv.ParseInt(take(k), 10, 64)
		if err != nil {
			tb.Errorf("event %v: %s: %v", values, k, err)
		}
		return v
	}
	e.Type, e.Player, e.SID = take("type"), take("player"), take("sid")
	e.V, e.Prev, e.At = number("v"), number("prev"), number("at")
	return e
}

func (r *inRedis) eachServer(tb testing.TB, do func(context.Context, *redis.Client) error) {
	tb.Helper()
	var err error
	switch c := r.client.(type) {
	case *redis.ClusterClient:
		err = c.ForEachMaster(tb.Context(), do)
	case *redis.Client:
		err = do(tb.Context(), c)
	default:
		err = fmt.Errorf("a %T is no client of these tests", c)
	}
	if err != nil {
		tb.Fatalf("ask every server: %v", err)
	}
}

func (r *inRedis) wipe(tb testing.TB) {
	tb.Helper()
	r.eachServer(tb, func(ctx context.Context, c *redis.Client) error { return c.FlushAll(ctx).Err() })
	r.read, r.last = nil, map[int]string{}
}

func (r *inRedis) lose(tb testing.TB, player string) {
	tb.Helper()
	if err := r.client.Del(tb.Context(), shard.Key(r.shards.Of(player), "session:"+player)).Err(); err != nil {
		tb.Fatalf("lose the record of %s: %v", player, err)
	}
}

func (r *inRedis) reconciled(tb testing.TB) {
	tb.Helper()
	for _, n := range r.shards.All() {
		if err := r.client.HSet(tb.Context(), shard.Key(n, "clock"), "reconciled", r.world.Now()).Err(); err != nil {
			tb.Fatalf("stamp a comparison with the broker: %v", err)
		}
	}
}

func (r *inRedis) open(tb testing.TB) []string {
	tb.Helper()
	var open []string
	for _, n := range r.shards.All() {
		members, err := r.client.SMembers(tb.Context(), shard.Key(n, "open")).Result()
		if err != nil {
			tb.Fatalf("read who is open: %v", err)
		}
		open = append(open, members...)
	}
	slices.Sort(open)
	return open
}

func (r *inRedis) deadlines(tb testing.TB) map[string]int64 {
	tb.Helper()
	deadlines := map[string]int64{}
	for _, n := range r.shards.All() {
		members, err := r.client.ZRangeWithScores(tb.Context(), shard.Key(n, "deadlines:session"), 0, -1).Result()
		if err != nil {
			tb.Fatalf("read the deadlines: %v", err)
		}
		for _, m := range members {
			deadlines[fmt.Sprint(m.Member)] = int64(m.Score)
		}
	}
	return deadlines
}

func (r *inRedis) keys(tb testing.TB) map[string]time.Duration {
	tb.Helper()
	perServer := make(chan map[string]time.Duration, 16)
	r.eachServer(tb, func(ctx context.Context, c *redis.Client) error {
		found := map[string]time.Duration{}
		names := c.Scan(ctx, 0, "*", 1000).Iterator()
		for names.Next(ctx) {
			ttl, err := c.PTTL(ctx, names.Val()).Result()
			if err != nil {
				return err
			}
			found[names.Val()] = ttl
		}
		perServer <- found
		return names.Err()
	})
	close(perServer)
	keys := map[string]time.Duration{}
	for found := range perServer {
		maps.Copy(keys, found)
	}
	return keys
}

// eventLog tells which events are new. The only order there is, is that
// within a shard.
type eventLog struct{ seen map[int]int }

// fresh returns what was not among all the last time, oldest first within a
// shard, and shard by shard.
func (l *eventLog) fresh(all []outbox.Event) []outbox.Event {
	var fresh []outbox.Event
	count := map[int]int{}
	for _, e := range all {
		if count[e.Shard]++; count[e.Shard] > l.seen[e.Shard] {
			fresh = append(fresh, e)
		}
	}
	l.seen = count
	slices.SortStableFunc(fresh, func(a, b outbox.Event) int { return cmp.Compare(a.Shard, b.Shard) })
	return fresh
}

// describe shows an event on one line, with its fields in order.
func describe(e outbox.Event) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s sid=%s v=%d prev=%d at=%d", e.Type, e.Player, e.SID, e.V, e.Prev, e.At)
	for _, k := range slices.Sorted(maps.Keys(e.Fields)) {
		fmt.Fprintf(&b, " %s=%q", k, e.Fields[k])
	}
	return b.String()
}
