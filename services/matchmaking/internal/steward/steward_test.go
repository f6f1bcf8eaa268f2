package steward_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-games/holdfast/pkg/session"
	"github.com/holdfast-games/holdfast/pkg/testkit"
	"github.com/holdfast-games/holdfast/pkg/testkit/redisserver"
	"github.com/holdfast-games/holdfast/proto/wire"
	"github.com/holdfast-games/holdfast/services/matchmaking/internal/queue"
	"github.com/holdfast-games/holdfast/services/matchmaking/internal/stewardtest"
)

var shared redisserver.Shared

func TestMain(m *testing.M) { testkit.Main(m, shared.Stop) }

func world(t *testing.T) *stewardtest.World {
	t.Helper()
	return stewardtest.New(t, shared.Server(t).URL())
}

// crowd connects players and queues them.
func crowd(w *stewardtest.World, queueName string, players ...string) []queue.Ticket {
	w.Helper()
	var tickets []queue.Ticket
	for _, p := range players {
		w.Connect(p)
		tickets = append(tickets, w.Join(p, queueName))
	}
	w.Settle()
	return tickets
}

func TestAMatchIsFoundAndTold(t *testing.T) {
	w := world(t)
	crowd(w, "duel", "ann", "bob")
	made := w.Match("duel")
	w.Expect("nobody knows of a forming match", []string{w.InMatch("ann"), w.InMatch("bob")}, "[ ]")
	w.Settle()
	w.Expect("ann is in", w.InMatch("ann"), made[0])
	w.Expect("bob is in", w.InMatch("bob"), made[0])
	w.Expect("ann was told", w.Told("ann"), "[queued match_found]")
	w.Expect("no ticket is left", len(w.Record("ann").Held(session.Ticket)), 0)
	var push wire.MatchmakingPush
	w.Must(json.Unmarshal([]byte(w.Pushed[len(w.Pushed)-1].Body), &push))
	if push.MatchID != made[0] || push.Queue != "duel" || !slices.Equal(push.Players, []string{"ann", "bob"}) {
		t.Errorf("match_found says %+v", push)
	}
	snapshot := session.Snapshot(w.Record("ann"))
	if snapshot.Match == nil || snapshot.Match.State != wire.MatchFound || len(snapshot.Match.Players) != 2 {
		t.Errorf("the snapshot shows %+v", snapshot.Match)
	}
}

func TestMatchFoundIsRepeatedUntilRead(t *testing.T) {
	w := world(t)
	crowd(w, "duel", "ann", "bob")
	w.Match("duel")
	w.Settle()
	w.Pass(6 * time.Second)
	w.Expect("ann was told again", w.Told("ann"), "[queued match_found match_found]")
	_, err := w.Desk.Keeper.Ensure(t.Context(), stewardtest.Claims("ann"), true) // reads the snapshot
	w.Must(err)
	w.Pass(2 * time.Minute)
	w.Expect("ann has read it", w.Told("ann"), "[queued match_found match_found]")
	if n := len(w.Told("bob")); n < 10 || n > 15 {
		t.Errorf("bob, who never read it, was told %d times; want every 5 s for a minute", n)
	}
}

func TestADropHoldsATicketAndAReturnResumesIt(t *testing.T) {
	w := world(t)
	ticket := crowd(w, "duel", "ann")[0]
	w.Drop("ann")
	w.Settle()
	w.Expect("standing", w.Standing("duel"), "[ann held]")
	w.Expect("the snapshot", session.Snapshot(w.Record("ann")).Queue[0].Held, true)
	w.Connect("bob")
	w.Join("bob", "duel")
	w.Expect("nobody is matched with who is away", len(w.Match("duel")), 0)
	w.Connect("ann")
	w.Settle()
	w.Expect("standing", w.Standing("duel"), "[ann waiting bob waiting]")
	w.Expect("ann was told", w.Told("ann"), "[queued held resumed]")
	place, _ := w.Record("ann").Place(session.Ticket, "duel")
	if !strings.Contains(place.Copy, fmt.Sprint(ticket.QueuedAt)) {
		t.Errorf("queuedAt has changed: %s, was %d", place.Copy, ticket.QueuedAt)
	}
	w.Expect("ann is matched again", len(w.Match("duel")), 1)
}

func TestHTTPCallsKeepATicketGoing(t *testing.T) {
	w := world(t)
	crowd(w, "duel", "ann")
	w.Drop("ann")
	w.Settle()
	w.Pass(time.Second)
	poll := func() {
		_, err := w.Desk.Tickets(t.Context(), stewardtest.Claims("ann"))
		w.Must(err)
		w.Settle()
	}
	poll()
	w.Expect("a call resumes", w.Standing("duel"), "[ann waiting]")
	for range 6 {
		w.Pass(6 * time.Second)
		poll()
	}
	w.Expect("calls keep it", w.Standing("duel"), "[ann waiting]")
	w.Pass(16 * time.Second)
	w.Expect("silence holds it", w.Standing("duel"), "[ann held]")
	w.Expect("ann was told", w.Told("ann"), "[queued held resumed held]")
}

func TestTheInnocentWaitAgainWithTheirOldTime(t *testing.T) {
	w := world(t)
	tickets := crowd(w, "trio", "ann", "bob", "cat")
	w.Match("trio")
	w.Drop("bob") // nobody has heard of it when the sessions are asked
	w.Settle()
	w.Expect("standing", w.Standing("trio"), "[ann waiting bob held cat waiting]")
	feed, err := w.Store.Load(t.Context(), "trio")
	w.Must(err)
	for i, ticket := range feed.Tickets {
		w.Expect("queuedAt of "+ticket.Player, ticket.QueuedAt, tickets[i].QueuedAt)
	}
	w.Expect("ann noticed nothing", w.Told("ann"), "[queued]")
	w.Expect("bob was told", w.Told("bob"), "[queued held]")
	w.Expect("places", w.InMatch("ann")+w.InMatch("bob")+w.InMatch("cat"), "")
	w.Connect("bob")
	w.Settle()
	w.Pass(time.Second)
	w.Match("trio")
	w.Settle()
	if m := w.InMatch("bob"); m == "" || m != w.InMatch("ann") {
		t.Errorf("the next match took bob into %q and ann into %q", m, w.InMatch("ann"))
	}
}

func TestARefusalTellsThatSomebodyCannotBeReached(t *testing.T) {
	w := world(t)
	crowd(w, "duel", "ann", "bob")
	made := w.Match("duel")
	w.Drop("bob")
	w.Forget() // the event of the drop is late
	w.Must(w.Steward.Handle(t.Context(), eventForming(made[0])))
	w.Expect("standing", w.Standing("duel"), "[ann waiting bob held]")
}

func TestAPlayerOfSeveralQueuesWinsOnce(t *testing.T) {
	w := world(t)
	crowd(w, "duel", "ann", "bob")
	w.Join("ann", "other")
	crowd(w, "other", "cat")
	duel, other := w.Match("duel"), w.Match("other")
	w.Expect("both queues match ann", len(duel)+len(other), 2)
	w.Settle()
	w.Pass(2 * time.Second)
	won := w.InMatch("ann")
	if won == "" {
		t.Fatal("ann is in no match")
	}
	w.Expect("ann waits nowhere", len(w.Record("ann").Held(session.Ticket)), 0)
	if told := w.Told("ann"); !slices.Contains(told, "queue_cancelled") || strings.Count(fmt.Sprint(told), "match_found") != 1 {
		t.Errorf("ann was told %v", told)
	}
	for player, match := range map[string]string{"bob": duel[0], "cat": other[0]} {
		queueName := map[string]string{"bob": "duel", "cat": "other"}[player]
		if won == match {
			w.Expect(player+" is with ann", w.InMatch(player), match)
		} else {
			w.Expect(player+" waits on", w.Standing(queueName), "["+player+" waiting]")
			w.Expect(player+" noticed nothing", w.Told(player), "[queued]")
		}
	}
}

func TestTicketsOfAnEndedSessionLeave(t *testing.T) {
	w := world(t)
	crowd(w, "duel", "ann")
	w.Join("ann", "other")
	w.Settle()
	w.End("ann")
	w.Settle()
	w.Expect("standing", w.Standing("duel"), "[]")
	w.Expect("standing", w.Standing("other"), "[]")
	w.Connect("ann")
	w.Join("ann", "duel")
	w.Expect("a new life queues again", w.Standing("duel"), "[ann waiting]")
}

func TestAMemberWhoseSessionEndsLeavesTheMatch(t *testing.T) {
	w := world(t)
	crowd(w, "duel", "ann", "bob")
	made := w.Match("duel")
	w.Settle()
	w.End("ann")
	w.Settle()
	m, err := w.Store.Match(t.Context(), made[0])
	w.Must(err)
	w.Expect("ann", m.Members[0].Status, queue.Left)
	w.Expect("state", m.State, queue.Found)
	w.Must(w.Desk.LeaveMatch(t.Context(), stewardtest.Claims("bob"), made[0]))
	w.Settle()
	w.Expect("bob is free", w.InMatch("bob"), "")
	w.Expect("bob was told", w.Told("bob"), "[queued match_found match_resolved]")
	m, err = w.Store.Match(t.Context(), made[0])
	w.Must(err)
	w.Expect("state", m.State, queue.Void)
	w.Must(w.Desk.LeaveMatch(t.Context(), stewardtest.Claims("bob"), made[0]))
}

func TestAMatchEndsAtItsLongestDuration(t *testing.T) {
	w := world(t)
	crowd(w, "trio", "ann", "bob", "cat")
	made := w.Match("trio")
	w.Settle()
	w.Pass(10*time.Minute - time.Second)
	w.Expect("still in", w.InMatch("ann"), made[0])
	w.Pass(2 * time.Second)
	w.Expect("over", w.InMatch("ann")+w.InMatch("bob")+w.InMatch("cat"), "")
	activity, err := w.Store.Activities(t.Context(), []string{"trio"})
	w.Must(err)
	w.Expect("players in matches", activity[0].InMatch, 0)
	last := w.Pushed[len(w.Pushed)-1]
	w.Expect("told", last.Type, "match_resolved")
	if !strings.Contains(last.Body, queue.ReasonMaxDuration) {
		t.Errorf("the reason is not in %s", last.Body)
	}
}

func TestARecheckRemovesGhosts(t *testing.T) {
	w := world(t)
	tickets := crowd(w, "duel", "ann", "bob")
	w.Must(w.Client.Del(t.Context(), fmt.Sprintf("hf:{%02d}:session:ann", w.Shards.Of("ann"))).Err())
	w.Pass(45 * time.Second)
	w.Expect("standing", w.Standing("duel"), "[bob waiting]")
	_, err := w.Store.Release(t.Context(), tickets[1].Ref(), "left", true) // and nobody tells the session
	w.Must(err)
	w.Settle()
	w.Expect("the session heard of it", len(w.Record("bob").Places), 0)
	w.Expect("bob was told", w.Told("bob"), "[queued queue_cancelled]")
}

func TestAPlayerWhoComesBackIsRemindedOfItsMatch(t *testing.T) {
	w := world(t)
	crowd(w, "duel", "ann", "bob")
	w.Match("duel")
	w.Settle()
	w.Drop("ann")
	w.Connect("ann")
	w.Settle()
	w.Expect("told", w.Told("ann"), "[queued match_found match_reconnect]")
}

// TestNothingLivesForEver plays a whole story and then looks at every key.
func TestNothingLivesForEver(t *testing.T) {
	w := world(t)
	crowd(w, "duel", "ann", "bob", "cat")
	made := w.Match("duel")
	w.Settle()
	for _, p := range []string{"ann", "bob"} {
		w.Must(w.Desk.LeaveMatch(t.Context(), stewardtest.Claims(p), made[0]))
	}
	w.Must(w.Desk.LeaveAll(t.Context(), stewardtest.Claims("cat")))
	w.Settle()
	w.Pass(time.Second)
	keys, err := w.Client.Keys(t.Context(), "hf:*").Result()
	w.Must(err)
	seen := 0
	for _, key := range keys {
		if strings.Contains(key, "deadlines:match") || strings.HasSuffix(key, ":waiting") {
			t.Errorf("%s still has members", key)
		}
		if !strings.Contains(key, "}:queue:") && !strings.Contains(key, "}:match:") {
			continue
		}
		seen++
		if left := w.Client.PTTL(t.Context(), key).Val(); left <= 0 {
			t.Errorf("%s lives for ever", key)
		}
	}
	if seen < 4 {
		t.Errorf("looked at %d keys of %v", seen, keys)
	}
}

var errKilled = errors.New("killed")

// mortal dies at its n-th call: that one is carried out or not, and every
// later one fails.
type mortal struct {
	after bool // the fatal call is carried out
	mu    sync.Mutex
	left  int
}

func (m *mortal) call(do func() error) error {
	m.mu.Lock()
	m.left--
	left := m.left
	m.mu.Unlock()
	switch {
	case left < 0, left == 0 && !m.after:
		return errKilled
	case left == 0:
		return errors.Join(do(), errKilled)
	default:
		return do()
	}
}

// lastCall is at least the number of calls it takes to put a match together.
const lastCall = 14

// TestKilledAtAnyLine kills the instance that puts a match together at each
// of its calls, and has another one finish: by the deadlines alone.
func TestKilledAtAnyLine(t *testing.T) {
	for _, unreachable := range []bool{false, true} {
		for n := 1; n <= lastCall; n++ {
			for _, after := range []bool{false, true} {
				t.Run(fmt.Sprintf("unreachable=%v,call=%d,after=%v", unreachable, n, after), func(t *testing.T) {
					killAt(t, n, after, unreachable)
				})
			}
		}
	}
}

func killAt(t *testing.T, n int, after, unreachable bool) {
	t.Helper()
	w := world(t)
	crowd(w, "duel", "ann", "bob")
	w.Join("ann", "other")
	w.Settle()
	made := w.Match("duel")
	if unreachable {
		w.Drop("bob")
	}
	healthy := *w.Steward
	dying := &mortal{left: n, after: after}
	w.Steward.Sessions, w.Steward.Store = &mortalSessions{w.Sessions, dying}, &mortalStore{w.Store, dying}
	_ = w.Steward.Handle(t.Context(), eventForming(made[0]))
	*w.Steward = healthy
	w.Forget() // the event is never seen again: the sweep has to find out
	w.Pass(20 * time.Second)
	in := []string{w.InMatch("ann"), w.InMatch("bob")}
	if unreachable {
		w.Expect("in a match", in, "[ ]")
		w.Expect("standing", w.Standing("duel"), "[ann waiting bob held]")
		w.Expect("pending places", len(w.Record("bob").Places), 1)
		return
	}
	w.Expect("in the match", in, []string{made[0], made[0]})
	w.Expect("standing", append(w.Standing("duel"), w.Standing("other")...), "[]")
	w.Expect("tickets", len(w.Record("ann").Held(session.Ticket)), 0)
}
