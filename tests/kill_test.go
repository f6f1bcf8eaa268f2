package tests

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/holdfast-games/holdfast/proto/wire"
	"github.com/holdfast-games/holdfast/tests/player"
	"github.com/holdfast-games/holdfast/tests/stack"
)

// TestKillingAnyInstanceCostsARetry plays the whole way of two players, once
// for every service and moment, and kills an instance of it at that moment.
func TestKillingAnyInstanceCostsARetry(t *testing.T) {
	s := house(t, nil)
	run := 0
	for _, service := range stack.Services() {
		for moment := range moments {
			run++
			victim := run % 2
			t.Run(fmt.Sprintf("%s at moment %d", service, moment), func(t *testing.T) {
				t.Cleanup(func() { must(t, s.StartOne(context.WithoutCancel(t.Context()), service, victim)) })
				playTheWay(t, s, run, func(now int) {
					if now == moment {
						s.Kill(service, victim)
					}
				})
			})
		}
	}
}

// moments is how often playTheWay calls at.
const moments = 6

// playTheWay logs two players in, connects them, queues them, cuts one off and
// brings it back, and expects both in one match.
func playTheWay(t *testing.T, s *stack.Stack, run int, at func(moment int)) {
	t.Helper()
	at(0)
	ada, first := arrive(t, s, fmt.Sprintf("ada-of-run-%d", run))
	at(1)
	bob, bobs := arrive(t, s, fmt.Sprintf("bob-of-run-%d", run))
	at(2)
	ticket, err := ada.Queue(within(t, patience), "duel")
	must(t, err)
	at(3)
	first.Drop()
	held := awaitHeld(t, s, ada.ID(), true)
	if held.QueuedAt != ticket.QueuedAt {
		t.Errorf("queued at %v, held since %v", ticket.QueuedAt, held.QueuedAt)
	}
	second := connect(t, s, ada)
	at(4)
	_, err = bob.Queue(within(t, patience), "duel")
	must(t, err)
	at(5)
	adas, err := second.AwaitPush(within(t, patience), wire.MatchmakingMatchFound)
	must(t, err)
	his, err := bobs.AwaitPush(within(t, patience), wire.MatchmakingMatchFound)
	must(t, err)
	if adas.MatchID != his.MatchID {
		t.Fatalf("ada is in %s, bob in %s", adas.MatchID, his.MatchID)
	}
	for _, p := range []*player.Player{ada, bob} {
		for status, n := range p.Statuses {
			if status >= 400 && status < 500 {
				t.Errorf("%d answers were %d", n, status)
			}
		}
		must(t, p.LeaveMatch(within(t, patience), adas.MatchID))
	}
}

// TestKillingEverythingLosesNothing kills every instance of every service at
// once while one player waits: the ticket and its place are as they were.
func TestKillingEverythingLosesNothing(t *testing.T) {
	s := house(t, nil)
	ada, adas := arrive(t, s, "ada-and-the-power-cut")
	ticket, err := ada.Queue(within(t, patience), "duel")
	must(t, err)
	before, _ := lookUp(t, s, ada.ID())
	s.KillAll()
	must(t, s.StartAll(t.Context()))
	after, ok := lookUp(t, s, ada.ID())
	if !ok || after.SID != before.SID || after.Version != before.Version || after.Presence != wire.PresenceConnected {
		t.Errorf("the session was %+v, it is %+v", before, after)
	}
	if len(after.Queue) != 1 || after.Queue[0].TicketID != ticket.TicketID || after.Queue[0].QueuedAt != ticket.QueuedAt {
		t.Errorf("the ticket was %+v, the queue shows %+v", ticket, after.Queue)
	}
	bob, bobs := arrive(t, s, "bob-after-the-power-cut")
	_, err = bob.Queue(within(t, patience), "duel")
	must(t, err)
	found, err := adas.AwaitPush(within(t, patience), wire.MatchmakingMatchFound)
	must(t, err)
	other, err := bobs.AwaitPush(within(t, patience), wire.MatchmakingMatchFound)
	must(t, err)
	if found.MatchID != other.MatchID {
		t.Errorf("ada is in %s, bob in %s", found.MatchID, other.MatchID)
	}
}

func TestKillingRedisLosesNobody(t *testing.T) {
	s := house(t, nil)
	ada, first := arrive(t, s, "ada-without-redis")
	ticket, err := ada.Queue(within(t, patience), "duel")
	must(t, err)
	must(t, s.Redis.Do(t.Context(), "CONFIG", "SET", "appendfsync", "always").Err())
	must(t, s.Redis.Set(t.Context(), "flush", "now", time.Minute).Err()) // whatever was written before is on disk now
	s.KillRedis()
	must(t, s.StartRedis(t.Context()))
	snapshot, err := ada.Session(within(t, patience))
	must(t, err)
	if len(snapshot.Queue) != 1 || snapshot.Queue[0].TicketID != ticket.TicketID || snapshot.Healed {
		t.Errorf("after the restart of Redis: %+v", snapshot)
	}
	bob, _ := arrive(t, s, "bob-without-redis")
	_, err = bob.Queue(within(t, patience), "duel")
	must(t, err)
	_, err = first.AwaitPush(within(t, patience), wire.MatchmakingMatchFound)
	must(t, err)
}

// TestTwoThousandTicketsAndADyingMatchmaker queues 2,000 players for duels
// through two instances, kills one in the middle, and expects every player in
// exactly one match.
func TestTwoThousandTicketsAndADyingMatchmaker(t *testing.T) {
	const players = 2000
	s := house(t, map[string]string{"HTTP_REACH": "10m", "HTTP_LEASE": "10m"})
	all := make([]*player.Player, players)
	var queued atomic.Int64
	var killed sync.Once
	g, ctx := errgroup.WithContext(within(t, 5*time.Minute))
	g.SetLimit(16)
	for i := range players {
		g.Go(func() error {
			all[i] = player.New(s.Origin, fmt.Sprintf("one-of-many-%d", i))
			if err := all[i].LogIn(ctx); err != nil {
				return err
			}
			if _, err := all[i].Queue(ctx, "duel"); err != nil {
				return err
			}
			if queued.Add(1) == players/2 {
				killed.Do(func() { s.Kill("matchmaking", 0) })
			}
			return nil
		})
	}
	must(t, g.Wait())
	must(t, s.StartOne(t.Context(), "matchmaking", 0))

	matchOf := make([]string, players)
	g, ctx = errgroup.WithContext(within(t, 2*time.Minute))
	g.SetLimit(16)
	for i, p := range all {
		g.Go(func() error {
			match, err := awaitMatch(ctx, p)
			matchOf[i] = match
			return err
		})
	}
	must(t, g.Wait())
	members := map[string]int{}
	for _, m := range matchOf {
		members[m]++
	}
	if len(members) != players/2 {
		t.Errorf("%d matches for %d players", len(members), players)
	}
	for m, n := range members {
		if n != 2 {
			t.Errorf("match %s has %d of the players", m, n)
		}
	}
}

func awaitMatch(ctx context.Context, p *player.Player) (string, error) {
	snapshot, err := p.Session(ctx)
	for err == nil && snapshot.Match == nil {
		if ctx.Err() != nil {
			return "", fmt.Errorf("%s has no match: %+v", p.ID(), snapshot)
		}
		snapshot, err = p.SessionAfter(ctx, snapshot.Version, 5*time.Second)
	}
	if err != nil {
		return "", err
	}
	return snapshot.Match.ID, nil
}
