package redisstore_test

import (
	"context"
	"errors"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/holdfast-games/holdfast/pkg/apperr"
	"github.com/holdfast-games/holdfast/pkg/session"
	"github.com/holdfast-games/holdfast/pkg/session/redisstore"
	"github.com/holdfast-games/holdfast/pkg/shard"
)

// trips is a hook that notes every round trip and the commands in it.
type trips struct {
	mu    sync.Mutex
	trips [][]string
}

func (c *trips) take() [][]string {
	c.mu.Lock()
	defer c.mu.Unlock()
	taken := c.trips
	c.trips = nil
	return taken
}

func (c *trips) note(cmds ...redis.Cmder) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var names []string
	for _, cmd := range cmds {
		names = append(names, cmd.Name())
	}
	c.trips = append(c.trips, names)
}

func (c *trips) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) { return next(ctx, network, addr) }
}

func (c *trips) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		c.note(cmd)
		return next(ctx, cmd)
	}
}

func (c *trips) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		c.note(cmds...)
		return next(ctx, cmds)
	}
}

// calls is every method of session.Store, for a player who has a session.
func calls(ctx context.Context, s session.Store) map[string]func() error {
	id := session.NewConnectionID(1e15, 1, "10.0.0.1:7")
	ref := session.PlaceRef{Player: "ann", SID: "x", Kind: session.Ticket, Slot: "ranked", ID: "t1"}
	push := session.Push{Type: "told", Body: "{}"}
	return map[string]func() error{
		"Ensure":       func() error { _, err := s.Ensure(ctx, claims("ann"), facts("ann"), true); return err },
		"Begin":        func() error { _, _, err := s.Begin(ctx, claims("ann"), facts("ann")); return err },
		"Connected":    func() error { _, err := s.Connected(ctx, "ann", id, "n", facts("ann")); return err },
		"Disconnected": func() error { _, err := s.Disconnected(ctx, "ann", id, "normal"); return err },
		"Lost":         func() error { _, err := s.Lost(ctx, "ann", id); return err },
		"Due":          func() error { _, err := s.Due(ctx, []string{"ann", "bob", "cat"}); return err },
		"Sweep":        func() error { _, err := s.Sweep(ctx, []int{0, 1, 2, 3}); return err },
		"Beat":         func() error { return s.Beat(ctx, "hook") },
		"Reserve": func() error {
			_, err := s.Reserve(ctx, claims("ann"), facts("ann"), session.Reservation{Kind: session.Lobby, ID: "l", Most: 1})
			return err
		},
		"ReserveMatch": func() error {
			_, err := s.ReserveMatch(ctx, []session.MatchReservation{{Player: "ann", SID: "x"}, {Player: "bob", SID: "x"}})
			return err
		},
		"Confirm":  func() error { _, err := s.Confirm(ctx, ref, 1, "", "", push); return err },
		"Note":     func() error { _, err := s.Note(ctx, ref, 2, "", push); return err },
		"Release":  func() error { _, err := s.Release(ctx, ref, push); return err },
		"Repeat":   func() error { _, err := s.Repeat(ctx, ref, 1, push); return err },
		"End":      func() error { _, _, err := s.End(ctx, "bob", session.Ending{Reason: "kicked"}); return err },
		"Announce": func() error { _, err := s.Announce(ctx, "ann"); return err },
		"Get":      func() error { _, err := s.Get(ctx, "ann"); return err },
	}
}

// TestOneRoundTrip proves what session.Store promises, and that scripts go by
// their hashes once the server has them.
func TestOneRoundTrip(t *testing.T) {
	client := realClient(t)
	count := &trips{}
	client.AddHook(count)
	store, err := redisstore.New(client, newShards(t, 4), session.Defaults())
	if err != nil {
		t.Fatal(err)
	}
	for name, call := range calls(t.Context(), store) {
		t.Run(name, func(t *testing.T) {
			for range 2 { // the first time loads the script
				count.take()
				if err := call(); err != nil {
					t.Fatalf("%s: %v", name, err)
				}
			}
			got := count.take()
			if len(got) != 1 || slices.ContainsFunc(got[0], func(cmd string) bool { return cmd != "evalsha" }) {
				t.Errorf("%s sent %v, want one round trip of EVALSHA", name, got)
			}
		})
	}
}

func TestAwayIsUnavailable(t *testing.T) {
	client := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1", MaxRetries: -1, DialTimeout: time.Second})
	t.Cleanup(func() { _ = client.Close() })
	store, err := redisstore.New(client, newShards(t, 4), session.Defaults())
	if err != nil {
		t.Fatal(err)
	}
	for name, call := range calls(t.Context(), store) {
		if name == "Sweep" { // tells it for each shard
			continue
		}
		if err := call(); apperr.From(err).Kind != apperr.Unavailable {
			t.Errorf("%s: got %v, want a failure of kind Unavailable", name, err)
		}
	}
	passes, err := store.Sweep(t.Context(), []int{0, 1})
	if err != nil || len(passes) != 2 || passes[0].Err == nil || passes[1].Err == nil {
		t.Errorf("sweep: got %+v, %v, want a failure for each shard", passes, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := store.Get(ctx, "ann"); !errors.Is(err, context.Canceled) {
		t.Errorf("after the caller gave up: got %v", err)
	}
}

func TestRefusalRenewsTheKey(t *testing.T) {
	store, client, shards := newStore(t, session.Defaults())
	id := session.NewConnectionID(7, 7, "10.0.0.1:7")
	if _, _, err := store.End(t.Context(), "ann", session.Ending{Reason: "banned", Revoke: true}); err != nil {
		t.Fatal(err)
	}
	key := shard.Key(shards.Of("ann"), "revoked:ann")
	if err := client.Expire(t.Context(), key, time.Minute).Err(); err != nil {
		t.Fatal(err)
	}
	if res, err := store.Connected(t.Context(), "ann", id, "", nil); err != nil || res.Outcome != session.Refused {
		t.Fatalf("got %+v, %v", res, err)
	}
	ttl, err := client.PTTL(t.Context(), key).Result()
	if want := session.Defaults().RevokedTTL(); err != nil || ttl < want-time.Minute || ttl > want {
		t.Errorf("the key lives for %v, %v, want about %v", ttl, err, want)
	}
}

func TestCheckShards(t *testing.T) {
	client := realClient(t)
	for range 2 {
		if err := redisstore.CheckShards(t.Context(), client, newShards(t, 64)); err != nil {
			t.Errorf("the number it was set up with: %v", err)
		}
	}
	if err := redisstore.CheckShards(t.Context(), client, newShards(t, 32)); err == nil {
		t.Error("another number of shards was taken")
	}
}

func TestInvalidSettings(t *testing.T) {
	if _, err := redisstore.New(realClient(t), newShards(t, 4), session.Settings{}); err == nil {
		t.Error("settings without any duration were taken")
	}
}
