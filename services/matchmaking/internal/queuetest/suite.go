// Package queuetest proves the promises of a queue.Store, on any backend.
package queuetest

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-games/holdfast/pkg/shard"
	"github.com/holdfast-games/holdfast/services/matchmaking/internal/queue"
)

// Event is one entry of an outbox.
type Event struct {
	Type, Player, SID string
	Fields            map[string]string
}

func (e Event) String() string {
	var fields []string
	for k, v := range e.Fields {
		fields = append(fields, k+"="+v)
	}
	slices.Sort(fields)
	return strings.TrimSpace(fmt.Sprintf("%s %s/%s %s", e.Type, e.Player, e.SID, strings.Join(fields, " ")))
}

// Clock is the time of a backend, in ms. It moves only when told to.
type Clock struct{ ms int64 }

// NewClock returns a clock.
func NewClock() *Clock { return &Clock{ms: 1_800_000_000_000} }

// Now returns the time in ms.
func (c *Clock) Now() int64 { return c.ms }

// Advance moves the clock.
func (c *Clock) Advance(d time.Duration) { c.ms += d.Milliseconds() }

// Backend is an empty store to be tried.
type Backend struct {
	Store  queue.Store
	Clock  *Clock
	Events func(tb testing.TB) []Event // of all shards, in order within each
	Age    func(d time.Duration)       // lets TTLs pass as the clock moves; nil = they follow the machine's time
}

// NumShards is the number of shards a backend must have.
const NumShards = 4

// Shards returns the map that a backend must use.
func Shards(tb testing.TB) shard.Map {
	tb.Helper()
	m, err := shard.New(NumShards)
	if err != nil {
		tb.Fatal(err)
	}
	return m
}

// Run tries every promise on a fresh backend.
func Run(t *testing.T, open func(t *testing.T) Backend) {
	t.Helper()
	for _, c := range slices.Concat(ticketCases, poolCases, matchCases, deadlineCases) {
		t.Run(strings.ReplaceAll(c.name, " ", "_"), func(t *testing.T) {
			c.run(&trial{TB: t, Backend: open(t), shards: Shards(t)})
		})
	}
}

type testCase struct {
	name string
	run  func(t *trial)
}

// trial is one case on one backend.
type trial struct {
	testing.TB
	Backend
	shards  shard.Map
	matches int
}

const ranked = "mod:ranked"

func (t *trial) must(err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (t *trial) id(queueName, name string) string {
	return fmt.Sprintf("%02d.%s", t.shards.Of(queueName), name)
}

// entry asks for a ticket of a player, named after it, that can be reached.
func (t *trial) entry(player string) queue.Entry {
	return queue.Entry{NotAfter: t.Clock.Now() + 10_000, Ticket: queue.Ticket{
		ID: t.id(ranked, player), Queue: ranked, Player: player, SID: "sid-" + player, ReachV: 1, Rating: 600,
	}}
}

func (t *trial) enqueue(e queue.Entry) queue.Queued {
	t.Helper()
	q, err := t.Store.Enqueue(t.Context(), e)
	t.must(err)
	return q
}

// join enqueues a player and returns its ticket.
func (t *trial) join(player string) queue.Ticket {
	t.Helper()
	q := t.enqueue(t.entry(player))
	if q.Outcome != queue.Done {
		t.Fatalf("enqueue %s: %s", player, q.Outcome)
	}
	return q.Ticket
}

func (t *trial) release(r queue.Ref, tell bool) queue.Change {
	t.Helper()
	c, err := t.Store.Release(t.Context(), r, queue.ReasonLeft, tell)
	t.must(err)
	return c
}

func (t *trial) reach(r queue.Ref, v, until int64) queue.Change {
	t.Helper()
	c, err := t.Store.Reach(t.Context(), r, v, until)
	t.must(err)
	return c
}

// ticket reads a ticket; an empty Player means there is none.
func (t *trial) ticket(r queue.Ref) queue.Standing {
	t.Helper()
	s, err := t.Store.Standings(t.Context(), []queue.Ref{r})
	t.must(err)
	return s[0]
}

func (t *trial) load() queue.Feed {
	t.Helper()
	f, err := t.Store.Load(t.Context(), ranked)
	t.must(err)
	return f
}

// standing returns "player state" of all who stand in the queue.
func (t *trial) standing() string {
	t.Helper()
	var all []string
	for _, ticket := range t.load().Tickets {
		all = append(all, ticket.Player+" "+string(ticket.State))
	}
	return strings.Join(all, ", ")
}

func (t *trial) propose(tickets ...queue.Ticket) queue.Proposal {
	t.matches++
	return queue.Proposal{Match: t.id(ranked, fmt.Sprintf("match%d", t.matches)), Tickets: tickets}
}

func (t *trial) commit(p queue.Proposal) queue.Commitment {
	t.Helper()
	c, err := t.Store.Commit(t.Context(), ranked, []queue.Proposal{p})
	t.must(err)
	return c[0]
}

// form joins players and puts them into a forming match.
func (t *trial) form(players ...string) queue.Match {
	t.Helper()
	var tickets []queue.Ticket
	for _, p := range players {
		tickets = append(tickets, t.join(p))
	}
	p := t.propose(tickets...)
	if c := t.commit(p); c.Outcome != queue.Done {
		t.Fatalf("commit: %+v", c)
	}
	return t.match(p.Match)
}

// found makes a match of players, for an hour.
func (t *trial) found(players ...string) queue.Match {
	t.Helper()
	p, err := t.Store.Found(t.Context(), t.form(players...), time.Hour)
	t.must(err)
	return p.Match
}

func (t *trial) match(id string) queue.Match {
	t.Helper()
	m, err := t.Store.Match(t.Context(), id)
	t.must(err)
	return m
}

func (t *trial) mark(m queue.Match, marks ...queue.Mark) queue.Progress {
	t.Helper()
	p, err := t.Store.Mark(t.Context(), m, marks, 0)
	t.must(err)
	return p
}

func (t *trial) activity() queue.Activity {
	t.Helper()
	a, err := t.Store.Activities(t.Context(), []string{ranked})
	t.must(err)
	return a[0]
}

// sweep returns what is due, as "t:player" and "m:match", and the time given.
func (t *trial) sweep() (due []string, given int64) {
	t.Helper()
	passes, err := t.Store.Sweep(t.Context())
	t.must(err)
	for _, p := range passes {
		t.must(p.Err)
		given = max(given, p.GivenMS)
		for _, d := range p.Due {
			if d.Match != "" {
				due = append(due, "m:"+d.Match[3:])
			} else {
				due = append(due, "t:"+d.Ticket.Ticket[3:])
			}
		}
	}
	slices.Sort(due)
	return due, given
}

// pass lets time go by, with the sweeps that keep it from being an outage.
func (t *trial) pass(d time.Duration) {
	t.Helper()
	for d > 0 {
		step := min(d, 5*time.Second)
		t.Clock.Advance(step)
		if t.Age != nil {
			t.Age(step)
		}
		d -= step
		t.sweep()
	}
}

// events returns the events since the last call that asked for them by type.
func (t *trial) events(kind string) []string {
	t.Helper()
	var all []string
	for _, e := range t.Events(t) {
		if e.Type == kind {
			all = append(all, strings.TrimSpace(strings.TrimPrefix(e.String(), kind)))
		}
	}
	return all
}

func (t *trial) expect(what string, got, want any) {
	t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Fatalf("%s: got %v, want %v", what, got, want)
	}
}
