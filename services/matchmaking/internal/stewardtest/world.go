// Package stewardtest is a small world to try matchmaking in: players, desk
// and steward on one Redis, on one clock, in one goroutine. Nothing happens
// unless a test says so.
package stewardtest

import (
	"fmt"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/holdfast-games/holdfast/pkg/clock"
	"github.com/holdfast-games/holdfast/pkg/outbox"
	"github.com/holdfast-games/holdfast/pkg/rediskit"
	"github.com/holdfast-games/holdfast/pkg/session"
	sessions "github.com/holdfast-games/holdfast/pkg/session/redisstore"
	"github.com/holdfast-games/holdfast/pkg/shard"
	"github.com/holdfast-games/holdfast/services/matchmaking/internal/desk"
	"github.com/holdfast-games/holdfast/services/matchmaking/internal/planner"
	"github.com/holdfast-games/holdfast/services/matchmaking/internal/queue"
	"github.com/holdfast-games/holdfast/services/matchmaking/internal/redisstore"
	"github.com/holdfast-games/holdfast/services/matchmaking/internal/rules"
	"github.com/holdfast-games/holdfast/services/matchmaking/internal/steward"
)

// Queues are the rules of the world.
const Queues = `queues:
  duel: {players: 2}
  other: {players: 2}
  trio: {players: 3, maxDuration: 10m}
`

// World is the small world.
type World struct {
	testing.TB

	Client   redis.UniversalClient
	Sessions *sessions.Store
	Store    *redisstore.Store
	Desk     *desk.Desk
	Steward  *steward.Steward
	Shards   shard.Map

	ms      atomic.Int64
	names   atomic.Int64
	lastRun map[int]string // by shard: the last event handled
	Pushed  []Push
}

// Push is what a player was told, as the relay would.
type Push struct{ Player, Type, Body string }

// New returns a world on an empty Redis.
func New(tb testing.TB, url string) *World {
	tb.Helper()
	client, err := rediskit.Open(url)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = client.Close() })
	w := &World{TB: tb, Client: client, lastRun: map[int]string{}}
	w.ms.Store(time.Now().UnixMilli())
	w.Shards, err = shard.New(8)
	w.Must(err)
	w.Sessions, err = sessions.New(client, w.Shards, session.Defaults(), sessions.WithTestClock(w.Now, w.name))
	w.Must(err)
	w.Store, err = redisstore.New(client, client, w.Shards, redisstore.WithTestClock(w.Now))
	w.Must(err)
	set, err := rules.Parse([]byte(Queues))
	w.Must(err)
	log := slog.New(slog.DiscardHandler)
	w.Desk = &desk.Desk{
		Keeper: session.NewKeeper(w.Sessions, nil, clock.System{}, log), Store: w.Store, Rules: set,
		Rater: queue.StartRating, Shards: w.Shards, Settings: session.Defaults(),
	}
	w.Steward = &steward.Steward{Sessions: w.Sessions, Store: w.Store, Rules: set, Settings: session.Defaults(), Log: log}
	return w
}

// Now returns the time of the world in ms.
func (w *World) Now() int64 { return w.ms.Load() }

func (w *World) name() string { return fmt.Sprintf("sid%d", w.names.Add(1)) }

// Must ends the test on an error.
func (w *World) Must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// Pass lets time go by, with the sweeps of matchmaking and what follows.
func (w *World) Pass(d time.Duration) {
	w.Helper()
	for d > 0 {
		step := min(d, 500*time.Millisecond)
		w.ms.Add(step.Milliseconds())
		d -= step
		w.Must(w.Steward.Sweep(w.Context()))
		w.Settle()
	}
}

// Claims returns what a token of the player says.
func Claims(player string) session.Claims {
	return session.Claims{Player: player, Family: "f", Name: player, ExpiresAt: time.Now().Add(time.Hour)}
}

// Connect makes the player reachable for good.
func (w *World) Connect(player string) {
	w.Helper()
	w.ms.Add(1)
	_, epoch, err := w.Desk.Keeper.Begin(w.Context(), Claims(player))
	w.Must(err)
	_, err = w.Sessions.Connected(w.Context(), player, connection(epoch), "node", nil)
	w.Must(err)
}

func connection(epoch int64) session.ConnectionID {
	return session.NewConnectionID(epoch, 1, "127.0.0.1:1")
}

// Drop ends the player's connections.
func (w *World) Drop(player string) {
	w.Helper()
	w.ms.Add(1)
	for _, c := range w.Record(player).Connections {
		_, err := w.Sessions.Disconnected(w.Context(), player, c.ID, "keepalive_timeout")
		w.Must(err)
	}
}

// End ends the player's session.
func (w *World) End(player string) {
	w.Helper()
	_, _, err := w.Sessions.End(w.Context(), player, session.Ending{Reason: "left"})
	w.Must(err)
}

// Record reads the session.
func (w *World) Record(player string) session.Record {
	w.Helper()
	res, err := w.Sessions.Get(w.Context(), player)
	w.Must(err)
	return res.Record
}

// Join queues a player who is connected.
func (w *World) Join(player, queueName string) queue.Ticket {
	w.Helper()
	w.ms.Add(1)
	j, err := w.Desk.Join(w.Context(), Claims(player), desk.Request{Queue: queueName})
	w.Must(err)
	return j.Ticket
}

// Match plans and commits once, as a matcher does, and returns the ids.
func (w *World) Match(queueName string) []string {
	w.Helper()
	return w.Commit(queueName, w.Plan(queueName))
}

// Plan returns the matches that can be made now.
func (w *World) Plan(queueName string) []queue.Proposal {
	w.Helper()
	feed, err := w.Store.Load(w.Context(), queueName)
	w.Must(err)
	q, _ := w.Steward.Rules.Queue(queueName)
	var proposals []queue.Proposal
	for _, tickets := range planner.Plan(q, feed.Tickets, w.Now()) {
		match := fmt.Sprintf("%02d.%s", w.Shards.Of(queueName), w.name())
		proposals = append(proposals, queue.Proposal{Match: match, Tickets: tickets})
	}
	return proposals
}

// Commit commits what was planned, and returns the ids of what came about.
func (w *World) Commit(queueName string, proposals []queue.Proposal) []string {
	w.Helper()
	out, err := w.Store.Commit(w.Context(), queueName, proposals)
	w.Must(err)
	var made []string
	for i, c := range out {
		if c.Outcome == queue.Done {
			made = append(made, proposals[i].Match)
		}
	}
	return made
}

// Settle handles all events, until there are none left.
func (w *World) Settle() {
	w.Helper()
	for w.handleOnce() {
	}
}

func (w *World) handleOnce() (handled bool) {
	w.Helper()
	ctx := w.Context()
	for _, n := range w.Shards.All() {
		from := "-"
		if w.lastRun[n] != "" {
			from = "(" + w.lastRun[n]
		}
		entries, err := w.Client.XRange(ctx, outbox.Key(n), from, "+").Result()
		w.Must(err)
		for _, entry := range entries {
			fields := map[string]string{}
			for k, v := range entry.Values {
				fields[k], _ = v.(string)
			}
			w.relay(fields)
			v, err := rediskit.ParseInt(fields["v"])
			w.Must(err)
			at, err := rediskit.ParseInt(fields["at"])
			w.Must(err)
			e := steward.EventFrom(fields["type"], fields["player"], fields["sid"], v, at, fields)
			w.Must(w.Steward.Handle(ctx, e))
			w.lastRun[n], handled = entry.ID, true
		}
	}
	return handled
}

// Forget loses all events that were not handled yet.
func (w *World) Forget() {
	w.Helper()
	for _, n := range w.Shards.All() {
		last, err := w.Client.XRevRangeN(w.Context(), outbox.Key(n), "+", "-", 1).Result()
		w.Must(err)
		if len(last) > 0 {
			w.lastRun[n] = last[0].ID
		}
	}
}

func (w *World) relay(fields map[string]string) {
	if fields["push"] != "" {
		w.Pushed = append(w.Pushed, Push{fields["player"], fields["push"], fields["body"]})
	}
}

// Told returns the types of what the player was pushed.
func (w *World) Told(player string) []string {
	var all []string
	for _, p := range w.Pushed {
		if p.Player == player {
			all = append(all, p.Type)
		}
	}
	return all
}

// Standing returns "player state" of a queue, oldest first.
func (w *World) Standing(queueName string) []string {
	w.Helper()
	feed, err := w.Store.Load(w.Context(), queueName)
	w.Must(err)
	all := []string{}
	for _, t := range feed.Tickets {
		all = append(all, t.Player+" "+string(t.State))
	}
	return all
}

// InMatch returns the id of the match that is real in the player's session.
func (w *World) InMatch(player string) string {
	w.Helper()
	for _, p := range w.Record(player).Held(session.Match) {
		return p.ID
	}
	return ""
}

// Expect compares what is printed of two values.
func (w *World) Expect(what string, got, want any) {
	w.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		w.Fatalf("%s: got %v, want %v", what, got, want)
	}
}
