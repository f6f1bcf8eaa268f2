package tests

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/holdfast-games/holdfast/pkg/testkit"
	"github.com/holdfast-games/holdfast/proto/wire"
	"github.com/holdfast-games/holdfast/tests/player"
	"github.com/holdfast-games/holdfast/tests/stack"
)

// TestAValidTokenIsAlwaysEnough is the incident that started this project: a
// player with a valid token loses the MQTT connection, or we lose the session,
// and POST /api/matchmaking/queue must work at once all the same.
func TestAValidTokenIsAlwaysEnough(t *testing.T) {
	s := house(t, map[string]string{"GRACE_IDLE": "1s", "GRACE_QUEUE": "1s", "HTTP_LEASE": "1s"})
	misfortunes := []struct {
		name   string
		happen func(t *testing.T, p *player.Player)
	}{
		{"the connection drops without DISCONNECT", func(*testing.T, *player.Player) {}},
		{"the session is deleted from Redis", func(t *testing.T, p *player.Player) {
			t.Helper()
			keys, err := s.Redis.Keys(t.Context(), "hf:*:session:"+p.ID()).Result()
			must(t, err)
			if len(keys) != 1 {
				t.Fatalf("the session is kept in %v", keys)
			}
			must(t, s.Redis.Del(t.Context(), keys...).Err())
		}},
		{"Redis is flushed", func(t *testing.T, _ *player.Player) {
			t.Helper()
			must(t, s.Redis.FlushAll(t.Context()).Err())
		}},
		{"every service is killed and started", func(t *testing.T, _ *player.Player) {
			t.Helper()
			s.KillAll()
			must(t, s.StartAll(t.Context()))
		}},
		{"the grace expires", func(t *testing.T, p *player.Player) {
			t.Helper()
			testkit.Eventually(t, patience, func() bool {
				_, ok := lookUp(t, s, p.ID())
				return !ok
			}, "the session ends")
		}},
	}
	for i, m := range misfortunes {
		t.Run(m.name, func(t *testing.T) {
			p, c := arrive(t, s, fmt.Sprintf("device-of-the-story-%d", i))
			c.Drop()
			m.happen(t, p)
			ticket, err := p.Queue(within(t, patience), "ranked")
			must(t, err)
			if ticket.TicketID == "" {
				t.Fatalf("no ticket: %+v", ticket)
			}
			for status, n := range p.Statuses {
				if status != http.StatusOK {
					t.Errorf("%d answers were %d", n, status)
				}
			}
			snapshot, err := p.Session(within(t, patience))
			must(t, err)
			if len(snapshot.Queue) != 1 || snapshot.Queue[0].TicketID != ticket.TicketID {
				t.Errorf("the snapshot shows %+v, the ticket is %s", snapshot.Queue, ticket.TicketID)
			}
			must(t, p.LeaveQueues(within(t, patience)))
		})
	}
}

func TestABlipKeepsThePlaceInTheQueue(t *testing.T) {
	s := house(t, nil)
	ada, first := arrive(t, s, "device-of-ada")
	queued, err := ada.Queue(within(t, patience), "duel")
	must(t, err)
	first.Drop()
	awaitPresence(t, s, ada.ID(), wire.PresenceGrace)
	held := awaitHeld(t, s, ada.ID(), true)
	if held.TicketID != queued.TicketID || held.QueuedAt != queued.QueuedAt {
		t.Fatalf("queued %+v, held %+v", queued, held)
	}

	bob, bobs := arrive(t, s, "device-of-bob")
	_, err = bob.Queue(within(t, patience), "duel")
	must(t, err)
	snapshot, err := bob.Session(within(t, patience))
	must(t, err)
	if later, err := bob.SessionAfter(within(t, patience), snapshot.Version, 2*time.Second); err != nil || later.Match != nil {
		t.Fatalf("bob was matched with somebody who is away: %+v, %v", later.Match, err)
	}

	second := connect(t, s, ada)
	push, err := second.AwaitPush(within(t, patience), wire.MatchmakingMatchFound)
	must(t, err)
	other, err := bobs.AwaitPush(within(t, patience), wire.MatchmakingMatchFound)
	must(t, err)
	if push.MatchID == "" || push.MatchID != other.MatchID {
		t.Fatalf("ada is in %q, bob in %q", push.MatchID, other.MatchID)
	}
	match, err := ada.Match(within(t, patience), push.MatchID)
	must(t, err)
	if len(match.Players) != 2 {
		t.Fatalf("the match has %v", match.Players)
	}
}

func TestAnExpiredGraceLeavesTheQueueAndSaysSo(t *testing.T) {
	s := house(t, map[string]string{"GRACE_QUEUE": "1s"})
	url, username, password := s.Publisher()
	observer, err := player.Observe(within(t, patience), url, username, password)
	must(t, err)
	defer observer.Drop()
	p, c := arrive(t, s, "device-that-leaves")
	ticket, err := p.Queue(within(t, patience), "ranked")
	must(t, err)
	c.Drop()
	push, err := observer.AwaitPushTo(within(t, patience), p.ID(), wire.MatchmakingQueueCancelled)
	must(t, err)
	if push.TicketID != ticket.TicketID || push.Reason == "" {
		t.Errorf("the player was told %+v", push)
	}
	snapshot, err := p.Session(within(t, patience))
	must(t, err)
	if len(snapshot.Queue) != 0 || !snapshot.Healed {
		t.Errorf("after coming back: %+v", snapshot)
	}
	again, err := p.Queue(within(t, patience), "ranked")
	must(t, err)
	if again.Already || again.Position != 1 {
		t.Errorf("the old ticket is still in the way: %+v", again)
	}
}

func TestPresenceIsRightAfterTakeovers(t *testing.T) {
	for order, name := range []string{"disconnected first, as EMQX 5.8", "connected first, as EMQX 5.9"} {
		t.Run(name, func(t *testing.T) {
			s := houseWith(t, stack.Options{Takeover: order, Vars: map[string]string{
				"HANDOVER": "2s", "GRACE_IDLE": "30s", "SWEEP_INTERVAL": "100ms",
			}})
			for _, f := range []struct {
				name string
				set  func()
			}{
				{"in order", func() {}},
				{"doubled", func() { s.Broker.Faults().Duplicate(1) }},
				{"reordered", func() { s.Broker.Faults().Reorder(1, 500*time.Millisecond) }},
				{"late", func() { s.Broker.Faults().Delay(0, 300*time.Millisecond) }},
			} {
				t.Run(f.name, func(t *testing.T) {
					s.Broker.Faults().Reset()
					p, first := arrive(t, s, "device-taken-over-"+f.name)
					f.set()
					second, err := p.Connect(within(t, patience))
					must(t, err)
					<-first.Gone()
					must(t, s.Broker.Flush(within(t, patience)))
					snapshot, ok := lookUp(t, s, p.ID())
					if !ok || snapshot.Presence != wire.PresenceConnected {
						t.Fatalf("after the takeover: %+v", snapshot)
					}
					second.Drop()
					awaitPresence(t, s, p.ID(), wire.PresenceGrace)
				})
			}
			t.Run("the new connection's event is lost", func(t *testing.T) { lostConnected(t, s) })
			t.Run("the old connection's event is lost", func(t *testing.T) { lostDisconnected(t, s) })
		})
	}
}

// lostConnected: nobody tells us of the second connection. The player stays
// connected for the handover, and what the second one does counts.
func lostConnected(t *testing.T, s *stack.Stack) {
	t.Helper()
	s.Broker.Faults().Reset()
	p, first := arrive(t, s, "device-whose-connect-is-lost")
	s.Lose(`"client.connected"`)
	second, err := p.Connect(within(t, patience))
	must(t, err)
	<-first.Gone()
	must(t, s.Broker.Flush(within(t, patience)))
	s.Lose("")
	if snapshot, ok := lookUp(t, s, p.ID()); !ok || snapshot.Presence != wire.PresenceConnected {
		t.Fatalf("after the takeover: %+v", snapshot)
	}
	second.Drop()
	awaitPresence(t, s, p.ID(), wire.PresenceGrace)
}

// lostDisconnected: nobody tells us that the first connection is over. It
// keeps the player online no longer than the handover.
func lostDisconnected(t *testing.T, s *stack.Stack) {
	t.Helper()
	s.Broker.Faults().Reset()
	p, first := arrive(t, s, "device-whose-disconnect-is-lost")
	s.Lose(`"client.disconnected"`)
	second := connect(t, s, p)
	<-first.Gone()
	must(t, s.Broker.Flush(within(t, patience)))
	s.Lose("")
	second.Drop()
	awaitPresence(t, s, p.ID(), wire.PresenceGrace)
}
