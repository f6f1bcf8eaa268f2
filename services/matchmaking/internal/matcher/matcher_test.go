package matcher

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/holdfast-games/holdfast/pkg/clock"
	"github.com/holdfast-games/holdfast/pkg/shard"
	"github.com/holdfast-games/holdfast/pkg/testkit"
	"github.com/holdfast-games/holdfast/services/matchmaking/internal/memstore"
	"github.com/holdfast-games/holdfast/services/matchmaking/internal/queue"
	"github.com/holdfast-games/holdfast/services/matchmaking/internal/rules"
)

func TestMain(m *testing.M) { testkit.Main(m) }

func duel() rules.Queue { return rules.Queue{Name: "duel", Min: 2, Max: 2} }

func store(t *testing.T) *memstore.Store {
	t.Helper()
	shards, err := shard.New(1)
	if err != nil {
		t.Fatal(err)
	}
	return memstore.New(shards, func() int64 { return time.Now().UnixMilli() })
}

func join(t *testing.T, s queue.Store, player string) {
	t.Helper()
	_, err := s.Enqueue(t.Context(), queue.Entry{Ticket: queue.Ticket{ID: "00." + player, Queue: "duel", Player: player, SID: "s"}})
	if err != nil {
		t.Fatal(err)
	}
}

// start runs a matcher until stop is called, or the test is over.
func start(t *testing.T, s Store, name string) (stop func()) {
	t.Helper()
	var n atomic.Int64
	m := &Matcher{
		Store: s, Rules: duel(), Instance: name, NewMatch: func() string { return fmt.Sprintf("00.%s%d", name, n.Add(1)) },
		Clock: clock.System{}, Log: slog.New(slog.DiscardHandler),
	}
	ctx, cancel := context.WithCancel(t.Context())
	var done sync.WaitGroup
	done.Go(func() { _ = m.Run(ctx) })
	stop = func() {
		cancel()
		done.Wait()
	}
	t.Cleanup(stop)
	return stop
}

func forming(s *memstore.Store) int {
	n := 0
	for _, e := range s.Events() {
		if e.Type == queue.EventMatchForming {
			n++
		}
	}
	return n
}

func TestAMatcherFollowsTheQueue(t *testing.T) {
	s := store(t)
	join(t, s, "before")
	start(t, s, "a")
	for n := range 9 {
		join(t, s, fmt.Sprint("p", n))
	}
	testkit.Eventually(t, 5*time.Second, func() bool { return forming(s) == 5 }, "five matches")
}

func TestAnotherMatcherTakesOver(t *testing.T) {
	s := store(t)
	stop := start(t, s, "a")
	start(t, s, "b")
	join(t, s, "one")
	join(t, s, "two")
	testkit.Eventually(t, 5*time.Second, func() bool { return forming(s) == 1 }, "the first match")
	stop()
	join(t, s, "three")
	join(t, s, "four")
	testkit.Eventually(t, 5*time.Second, func() bool { return forming(s) == 2 }, "a match by the other one")
}

// blind is a store that loses changes: what it forgets to tell is a hole, or
// a picture that is wrong.
type blind struct {
	*memstore.Store
	hole atomic.Bool
	mute atomic.Bool
}

func (b *blind) Follow(ctx context.Context, name string, from queue.Cursor, wait time.Duration) (queue.Feed, error) {
	if b.hole.CompareAndSwap(true, false) {
		return queue.Feed{}, queue.ErrHole
	}
	feed, err := b.Store.Follow(ctx, name, from, wait)
	if b.mute.Load() {
		feed.Tickets = nil
	}
	return feed, err
}

func TestAMatcherLoadsAgainAfterAHole(t *testing.T) {
	b := &blind{Store: store(t)}
	b.mute.Store(true)
	start(t, b, "a")
	testkit.Eventually(t, 5*time.Second, func() bool {
		held, _, err := b.Lease(t.Context(), "duel", "probe", time.Millisecond)
		return err == nil && !held
	}, "the lease to be taken")
	join(t, b, "one")
	join(t, b, "two")
	b.mute.Store(false)
	b.hole.Store(true)
	testkit.Eventually(t, 5*time.Second, func() bool { return forming(b.Store) == 1 }, "the match")
}

func TestARefusedMatchIsPlannedAgainWithTheTruth(t *testing.T) {
	b := &blind{Store: store(t)}
	join(t, b, "one")
	join(t, b, "two")
	join(t, b, "three")
	stale := queue.Ref{Queue: "duel", Ticket: "00.one", SID: "s"}
	l := leader{m: &Matcher{
		Store: b, Rules: duel(), NewMatch: func() string { return "00.x" }, Clock: clock.System{},
	}, pool: newPool(), dirty: true}
	feed, err := b.Load(t.Context(), "duel")
	if err != nil {
		t.Fatal(err)
	}
	l.pool.apply(feed.Tickets)
	if _, err := b.Release(t.Context(), stale, "left", false); err != nil {
		t.Fatal(err)
	}
	if err := l.plan(t.Context()); err != nil {
		t.Fatal(err)
	}
	if forming(b.Store) != 0 || !l.dirty {
		t.Fatalf("a stale plan made %d matches, dirty %v", forming(b.Store), l.dirty)
	}
	l.planned = time.Time{}
	if err := l.plan(t.Context()); err != nil {
		t.Fatal(err)
	}
	if forming(b.Store) != 1 {
		t.Fatal("the two who are left did not meet")
	}
}

func TestNewsFromBeforeACommitDoesNotBringATicketBack(t *testing.T) {
	p := newPool()
	ticket := queue.Ticket{ID: "x", V: 5, State: queue.Waiting}
	p.apply([]queue.Ticket{ticket})
	p.drop([]queue.Ticket{ticket})
	p.apply([]queue.Ticket{{ID: "x", V: 4, State: queue.Waiting}, ticket})
	if len(p.sorted()) != 0 {
		t.Error("old news brought the ticket back")
	}
	p.apply([]queue.Ticket{{ID: "x", V: 6, State: queue.Matched}, {ID: "x", V: 7, State: queue.Waiting}})
	if len(p.sorted()) != 1 {
		t.Error("the ticket was restored, and is not in the pool")
	}
}

func TestThePoolStaysSorted(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := newPool()
		for v := range rapid.Int64Range(1, 60).Draw(t, "changes") {
			ticket := queue.Ticket{
				ID: rapid.StringMatching("[a-h]").Draw(t, "id"), V: v + 1, QueuedAt: rapid.Int64Range(0, 5).Draw(t, "at"),
				State: rapid.SampledFrom([]queue.State{queue.Waiting, queue.Held, queue.Matched}).Draw(t, "state"),
			}
			p.apply([]queue.Ticket{ticket})
			if rapid.Bool().Draw(t, "drop") {
				p.drop([]queue.Ticket{ticket})
			}
			if rapid.Bool().Draw(t, "look") && !slices.IsSortedFunc(p.sorted(), byAge) {
				t.Fatalf("not sorted: %v", p.sorted())
			}
		}
		got := map[string]int64{}
		for _, ticket := range p.sorted() {
			got[ticket.ID] = ticket.V
		}
		if len(got) != len(p.tickets) || len(p.sorted()) != len(p.tickets) {
			t.Fatalf("sorted has %v, the pool %v", got, p.tickets)
		}
		for id, ticket := range p.tickets {
			if got[id] != ticket.V {
				t.Fatalf("sorted has version %d of %s, the pool %d", got[id], id, ticket.V)
			}
		}
	})
}
