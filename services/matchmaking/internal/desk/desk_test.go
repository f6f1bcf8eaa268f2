package desk_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/holdfast-games/holdfast/pkg/session"
	"github.com/holdfast-games/holdfast/pkg/testkit"
	"github.com/holdfast-games/holdfast/pkg/testkit/redisserver"
	"github.com/holdfast-games/holdfast/services/matchmaking/internal/desk"
	"github.com/holdfast-games/holdfast/services/matchmaking/internal/queue"
	"github.com/holdfast-games/holdfast/services/matchmaking/internal/stewardtest"
)

var shared redisserver.Shared

func TestMain(m *testing.M) { testkit.Main(m, shared.Stop) }

func world(tb testing.TB) *stewardtest.World {
	tb.Helper()
	return stewardtest.New(tb, shared.Server(tb).URL())
}

// trips notes round trips by their first command.
type trips struct {
	mu   sync.Mutex
	sent []string
}

func (c *trips) note(what string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sent = append(c.sent, what)
}

func (c *trips) take() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	sent := c.sent
	c.sent = nil
	return sent
}

func (c *trips) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) { return next(ctx, network, addr) }
}

func (c *trips) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		c.note(cmd.Name())
		return next(ctx, cmd)
	}
}

func (c *trips) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		c.note(cmds[0].Name())
		return next(ctx, cmds)
	}
}

func TestAJoinTakesThreeRoundTrips(t *testing.T) {
	w := world(t)
	w.Connect("warm")
	w.Join("warm", "duel") // loads the scripts and opens a connection
	w.Connect("ann")
	var c trips
	w.Client.AddHook(&c)
	w.Join("ann", "duel")
	w.Expect("round trips of a join", c.take(), "[evalsha evalsha evalsha]")
	w.Join("ann", "duel")
	w.Expect("round trips of a repeated join", c.take(), "[evalsha evalsha evalsha]")
}

func TestJoiningAgainAnswersTheTicketOneHas(t *testing.T) {
	w := world(t)
	w.Connect("ann")
	first := w.Join("ann", "duel")
	j, err := w.Desk.Join(t.Context(), stewardtest.Claims("ann"), desk.Request{Queue: "duel"})
	w.Must(err)
	if !j.Already || j.Ticket.ID != first.ID || j.Ticket.QueuedAt != first.QueuedAt || j.Presence != session.Connected {
		t.Errorf("joined again: %+v; the ticket is %+v", j, first)
	}
	w.Settle()
	w.Expect("told once", w.Told("ann"), "[queued]")
}

func TestAJoinWithoutASessionMakesOne(t *testing.T) {
	w := world(t)
	j, err := w.Desk.Join(t.Context(), stewardtest.Claims("ann"), desk.Request{Queue: "duel"})
	w.Must(err)
	w.Expect("presence", j.Presence, session.Detached)
	w.Expect("ticket", len(w.Record("ann").Held(session.Ticket)), 1)
}

func TestRefusals(t *testing.T) {
	w := world(t)
	join := func(player, queueName string) error {
		_, err := w.Desk.Join(t.Context(), stewardtest.Claims(player), desk.Request{Queue: queueName})
		return err
	}
	if err := join("ann", "nowhere"); !errors.Is(err, queue.ErrUnknownQueue) {
		t.Errorf("unknown queue: %v", err)
	}
	w.Connect("ann")
	w.Connect("bob")
	w.Join("ann", "duel")
	w.Join("bob", "duel")
	w.Match("duel")
	w.Settle()
	if err := join("ann", "other"); !errors.Is(err, queue.ErrInMatch) {
		t.Errorf("in a match: %v", err)
	}
}

func TestAtMostFourQueues(t *testing.T) {
	w := world(t)
	w.Connect("ann")
	for n := range session.MaxTickets {
		ref := session.Reservation{Kind: session.Ticket, Slot: fmt.Sprint("q", n), ID: "x", Most: session.MaxTickets}
		_, err := w.Desk.Keeper.Reserve(t.Context(), stewardtest.Claims("ann"), ref)
		w.Must(err)
	}
	_, err := w.Desk.Join(t.Context(), stewardtest.Claims("ann"), desk.Request{Queue: "duel"})
	if !errors.Is(err, queue.ErrTooMany) {
		t.Errorf("the fifth queue: %v", err)
	}
}

func TestPlacesOfWhatWasLostDoNotStandInTheWay(t *testing.T) {
	w := world(t)
	w.Connect("ann")
	w.Connect("bob")
	w.Join("ann", "duel")
	w.Join("bob", "duel")
	made := w.Match("duel")
	w.Settle()
	w.Must(w.Client.Del(t.Context(), fmt.Sprintf("hf:{%02d}:match:%s", w.Shards.Of("duel"), made[0])).Err())
	w.Join("ann", "other")
	w.Expect("standing", w.Standing("other"), "[ann waiting]")
}

func TestARetryMeetsTheSameTicket(t *testing.T) {
	w := world(t)
	w.Connect("ann")
	join := func(key string) desk.Joined {
		j, err := w.Desk.Join(t.Context(), stewardtest.Claims("ann"), desk.Request{Queue: "duel", Key: key})
		w.Must(err)
		return j
	}
	first := join("one")
	w.Expect("first", first.Already, false)
	w.Expect("a retry", join("one").Ticket.ID, first.Ticket.ID)
	w.Must(w.Desk.Leave(t.Context(), stewardtest.Claims("ann"), "duel"))
	late := join("one")
	w.Expect("a retry after leaving", fmt.Sprint(late.Ticket.ID, late.Already), fmt.Sprint(first.Ticket.ID, true))
	w.Expect("it did not come back", w.Standing("duel"), "[]")
	w.Expect("nor in the session", len(w.Record("ann").Places), 0)
	next := join("two")
	if next.Ticket.ID == first.Ticket.ID || next.Already {
		t.Errorf("another key met the old ticket: %+v", next)
	}
	w.Connect("bob")
	w.Join("bob", "duel")
	w.Match("duel")
	w.Settle()
	w.Expect("a retry in the match", join("two").Ticket.ID, next.Ticket.ID)
}

func TestAJoinThatDiedHalfWayIsTakenUpByTheNext(t *testing.T) {
	w := world(t)
	w.Connect("ann")
	_, err := w.Desk.Keeper.Reserve(t.Context(), stewardtest.Claims("ann"), session.Reservation{
		Kind: session.Ticket, Slot: "duel", ID: fmt.Sprintf("%02d.dead", w.Shards.Of("duel")), Most: session.MaxTickets,
	})
	w.Must(err)
	w.Join("ann", "duel")
	w.Expect("standing", w.Standing("duel"), "[ann waiting]")
	w.Expect("confirmed", len(w.Record("ann").Held(session.Ticket)), 1)
}

func TestAJoinThatDiedBeforeItsConfirmBecomesReal(t *testing.T) {
	w := world(t)
	w.Connect("ann")
	hold, err := w.Desk.Keeper.Reserve(t.Context(), stewardtest.Claims("ann"), session.Reservation{
		Kind: session.Ticket, Slot: "duel", ID: fmt.Sprintf("%02d.dead", w.Shards.Of("duel")), Most: session.MaxTickets,
	})
	w.Must(err)
	_, err = w.Store.Enqueue(t.Context(), queue.Entry{NotAfter: hold.NotAfter, Ticket: queue.Ticket{
		ID: hold.ID, Queue: "duel", Player: "ann", SID: hold.Record.SID, ReachV: hold.Record.V,
	}})
	w.Must(err)
	w.Pass(12 * time.Second)
	w.Expect("confirmed", len(w.Record("ann").Held(session.Ticket)), 1)
	w.Expect("told", w.Told("ann"), "[queued]")
}

func TestLeaving(t *testing.T) {
	w := world(t)
	claims := stewardtest.Claims("ann")
	w.Must(w.Desk.Leave(t.Context(), claims, "duel"))
	w.Connect("ann")
	w.Join("ann", "duel")
	w.Join("ann", "other")
	w.Join("ann", "trio")
	w.Must(w.Desk.Leave(t.Context(), claims, "duel"))
	w.Expect("places", len(w.Record("ann").Places), 2)
	w.Must(w.Desk.LeaveAll(t.Context(), claims))
	w.Expect("places", len(w.Record("ann").Places), 0)
	w.Settle()
	told := map[string]int{}
	for _, push := range w.Told("ann") {
		told[push]++
	}
	w.Expect("told", told, "map[queue_cancelled:3 queued:3]")
	tickets, err := w.Desk.Tickets(t.Context(), claims)
	w.Must(err)
	w.Expect("tickets", len(tickets), 0)
}

func TestLeavingTooLateMeansPlaying(t *testing.T) {
	w := world(t)
	w.Connect("ann")
	w.Connect("bob")
	w.Join("ann", "duel")
	w.Join("bob", "duel")
	made := w.Match("duel")
	w.Must(w.Desk.Leave(t.Context(), stewardtest.Claims("ann"), "duel"))
	w.Settle()
	w.Expect("ann is in the match", w.InMatch("ann"), made[0])
	w.Expect("bob is in the match", w.InMatch("bob"), made[0])
}

// TestLeaveHoldAndCommitRace lets a leave, a disconnect and a commit race, on
// the clock of the machine: whatever comes first, both sides agree.
func TestLeaveHoldAndCommitRace(t *testing.T) {
	w := world(t)
	outcomes := map[string]int{}
	for n := range 200 {
		ann, bob := fmt.Sprint("ann", n), fmt.Sprint("bob", n)
		w.Connect(ann)
		w.Connect(bob)
		w.Join(ann, "duel")
		w.Join(bob, "duel")
		w.Settle()
		race(t, w, n, ann)
		w.Settle()
		w.Pass(time.Second)
		in, places := w.InMatch(ann), len(w.Record(ann).Held(session.Ticket))
		if in != w.InMatch(bob) {
			t.Fatalf("run %d: ann is in %q, bob in %q", n, in, w.InMatch(bob))
		}
		standing := fmt.Sprint(w.Standing("duel"))
		switch {
		case in != "" && places == 0 && standing == "[]":
			outcomes["match"]++
			w.Must(w.Desk.LeaveMatch(t.Context(), stewardtest.Claims(ann), in))
			w.Must(w.Desk.LeaveMatch(t.Context(), stewardtest.Claims(bob), in))
		case in == "" && places == 0 && standing == "["+bob+" waiting]":
			outcomes["left"]++
		default:
			t.Fatalf("run %d: in %q, %d tickets, standing %s", n, in, places, standing)
		}
		w.End(ann)
		w.End(bob)
		w.Settle()
		w.Expect("afterwards", w.Standing("duel"), "[]")
	}
	t.Logf("outcomes: %v", outcomes)
	if outcomes["match"] == 0 || outcomes["left"] == 0 {
		t.Errorf("one side won every race: %v", outcomes)
	}
}

// race starts a match and a leave at once; every other run also drops ann. In
// half of the runs the plan is made already, so that either side is quicker
// at times.
func race(t *testing.T, w *stewardtest.World, n int, ann string) {
	t.Helper()
	start := make(chan struct{})
	var wg sync.WaitGroup
	run := func(do func()) {
		wg.Go(func() {
			<-start
			do()
		})
	}
	if planned := w.Plan("duel"); n%4 < 2 {
		run(func() { w.Commit("duel", planned) })
	} else {
		run(func() { w.Match("duel") })
	}
	run(func() {
		if err := w.Desk.Leave(t.Context(), stewardtest.Claims(ann), "duel"); err != nil {
			t.Error(err)
		}
	})
	if n%2 == 0 {
		run(func() { w.Drop(ann) })
	}
	close(start)
	wg.Wait()
}

func BenchmarkJoin(b *testing.B) {
	w := world(b)
	players := make([]string, 1000)
	for n := range players {
		players[n] = fmt.Sprint("p", n)
		w.Connect(players[n])
	}
	w.Join(players[0], "duel")
	n := 0
	for b.Loop() {
		player := players[n%len(players)]
		n++
		w.Join(player, "duel")
		b.StopTimer()
		w.Must(w.Desk.LeaveAll(b.Context(), stewardtest.Claims(player)))
		b.StartTimer()
	}
}
