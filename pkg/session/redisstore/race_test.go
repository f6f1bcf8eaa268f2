package redisstore_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/holdfast-games/holdfast/pkg/outbox"
	"github.com/holdfast-games/holdfast/pkg/session"
	"github.com/holdfast-games/holdfast/pkg/session/redisstore"
	"github.com/holdfast-games/holdfast/pkg/shard"
)

// goroutines race in every test of this file.
const goroutines = 32

// race runs work in all goroutines at once and returns what each answered.
func race[T any](t *testing.T, work func(i int) (T, error)) []T {
	t.Helper()
	results := make([]T, goroutines)
	errs := make([]error, goroutines)
	start := make(chan struct{})
	var wg sync.WaitGroup
	for i := range goroutines {
		wg.Go(func() {
			<-start
			results[i], errs[i] = work(i)
		})
	}
	close(start)
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			t.Fatalf("a racing call failed: %v", err)
		}
	}
	return results
}

// newStore returns a store with the clock of a real Redis.
func newStore(tb testing.TB, settings session.Settings) (*redisstore.Store, *redis.Client, shard.Map) {
	tb.Helper()
	client, shards := realClient(tb), newShards(tb, shard.Default)
	store, err := redisstore.New(client, shards, settings)
	if err != nil {
		tb.Fatalf("new redisstore: %v", err)
	}
	return store, client, shards
}

func claims(player string) session.Claims {
	return session.Claims{Player: player, Family: "laptop", Name: player, Provider: "guest"}
}

func facts(player string) *session.Facts {
	return &session.Facts{Name: player, Provider: "guest", Durable: true}
}

// told counts the events of a type about a player.
func told(t *testing.T, client redis.UniversalClient, shards shard.Map, player, kind string) int {
	t.Helper()
	messages, err := client.XRange(t.Context(), outbox.Key(shards.Of(player)), "-", "+").Result()
	if err != nil {
		t.Fatalf("read the outbox: %v", err)
	}
	n := 0
	for _, m := range messages {
		if m.Values["type"] == kind && m.Values["player"] == player {
			n++
		}
	}
	return n
}

func TestRacingEnsureMakesOneSession(t *testing.T) {
	store, client, shards := newStore(t, session.Defaults())
	for round := range 10 {
		player := fmt.Sprintf("ann-%d", round)
		results := race(t, func(int) (session.Result, error) {
			return store.Ensure(t.Context(), claims(player), facts(player), true)
		})
		made := 0
		for _, r := range results {
			if r.Outcome == session.Created {
				made++
			}
			if r.Record.SID != results[0].Record.SID || r.Record.V != results[0].Record.V {
				t.Fatalf("two sessions: %+v and %+v", r.Record, results[0].Record)
			}
		}
		if n := told(t, client, shards, player, "session.created"); made != 1 || n != 1 {
			t.Fatalf("%d calls made a session, %d events tell of one", made, n)
		}
	}
}

func TestRacingBeginHandsOutEpochsOnce(t *testing.T) {
	store, _, _ := newStore(t, session.Defaults())
	for round := range 10 {
		player := fmt.Sprintf("ann-%d", round)
		epochs := race(t, func(int) (int64, error) {
			_, epoch, err := store.Begin(t.Context(), claims(player), facts(player))
			return epoch, err
		})
		seen := map[int64]bool{}
		for _, e := range epochs {
			if seen[e] {
				t.Fatalf("epoch %d was handed out twice", e)
			}
			seen[e] = true
		}
	}
}

func TestRacingReserveHasOneWinner(t *testing.T) {
	store, _, _ := newStore(t, session.Defaults())
	for round := range 10 {
		player := fmt.Sprintf("ann-%d", round)
		holds := race(t, func(i int) (session.Hold, error) {
			return store.Reserve(t.Context(), claims(player), facts(player), session.Reservation{
				Kind: session.Ticket, Slot: "ranked", ID: fmt.Sprintf("t%d", i), Most: session.MaxTickets,
			})
		})
		won := 0
		for _, h := range holds {
			if h.Outcome == session.Reserved {
				won++
			}
			if h.ID != holds[0].ID {
				t.Fatalf("two tickets in one queue: %s and %s", h.ID, holds[0].ID)
			}
		}
		if won != 1 {
			t.Fatalf("%d reservations won", won)
		}
	}
}

func TestRacingTakeoversLeaveTheWinner(t *testing.T) {
	store, _, _ := newStore(t, session.Defaults())
	for round := range 10 {
		player := fmt.Sprintf("ann-%d", round)
		ids := make([]session.ConnectionID, 6)
		for i := range ids {
			_, epoch, err := store.Begin(t.Context(), claims(player), facts(player))
			if err != nil {
				t.Fatalf("begin: %v", err)
			}
			ids[i] = session.NewConnectionID(epoch, epoch, fmt.Sprintf("10.0.0.1:%d", i))
		}
		winner := round % len(ids)
		race(t, func(i int) (session.Result, error) { // every event several times, in whatever order
			n := i % len(ids)
			if i%2 == 0 || n == winner {
				return store.Connected(t.Context(), player, ids[n], "", facts(player))
			}
			return store.Disconnected(t.Context(), player, ids[n], "takenover")
		})
		for n, id := range ids {
			if _, err := store.Connected(t.Context(), player, id, "", nil); err != nil {
				t.Fatalf("connected: %v", err)
			}
			if n == winner {
				continue
			}
			if _, err := store.Disconnected(t.Context(), player, id, "takenover"); err != nil {
				t.Fatalf("disconnected: %v", err)
			}
		}
		res, err := store.Get(t.Context(), player)
		if err != nil || len(res.Record.Connections) != 1 || res.Record.Connections[0].ID != ids[winner] {
			t.Fatalf("open: %+v, %v, want %s alone", res.Record.Connections, err, ids[winner])
		}
	}
}

func TestRacingSweepersExpireOnce(t *testing.T) {
	settings := session.Defaults()
	settings.DetachedTTL = time.Millisecond
	store, client, shards := newStore(t, settings)
	players := make([]string, 50)
	for i := range players {
		players[i] = fmt.Sprintf("ann-%d", i)
		if _, err := store.Ensure(t.Context(), claims(players[i]), facts(players[i]), false); err != nil {
			t.Fatalf("ensure: %v", err)
		}
	}
	expired := race(t, func(int) (int, error) {
		n := 0
		for range 3 {
			passes, err := store.Sweep(t.Context(), shards.All())
			if err != nil {
				return n, err
			}
			var due []string
			for _, p := range passes {
				due = append(due, p.Members...)
			}
			results, err := store.Due(t.Context(), due)
			if err != nil {
				return n, err
			}
			for _, r := range results {
				if r.Outcome == session.Expired {
					n++
				}
			}
		}
		return n, nil
	})
	sum := 0
	for _, n := range expired {
		sum += n
	}
	if sum != len(players) {
		t.Errorf("%d expiries of %d players", sum, len(players))
	}
	for _, p := range players {
		if n := told(t, client, shards, p, "session.expired"); n != 1 {
			t.Errorf("%s: %d events tell of the expiry", p, n)
		}
	}
}
