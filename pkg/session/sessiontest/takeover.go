package sessiontest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/holdfast-games/holdfast/pkg/session"
)

func takeoverPromises() []promise {
	return []promise{
		{"a takeover is one presence, in whatever order its events come", takeoverInAnyOrder},
		{"the winner is who is not closed, not who was authenticated last", winnerByClosing},
		{"a race of three is settled by the events, whatever their order", threeWayRace},
		{"a superseded connection whose end is lost goes after the handover", lostTakeover},
		{"a takeover whose winner never shows goes to grace after the handover", lostWinner},
		{"a loser that closes by itself does not crown an older connection", noCrown},
		{"a takeover of who is away waits for the winner", takeoverWhileAway},
		{"events of a real broker leave everybody as the broker lists them", realBroker},
	}
}

// A broker event about connection n of a race.
type brokerEvent struct {
	n      int
	reason string // "" = connected
}

func (f *fixture) play(player string, race []session.ConnectionID, events []brokerEvent) {
	f.Helper()
	for _, e := range events {
		if e.reason == "" {
			f.connected(player, race[e.n])
		} else {
			f.disconnected(player, race[e.n], e.reason)
		}
	}
}

// permutations returns all orders of the events.
func permutations(events []brokerEvent) [][]brokerEvent {
	if len(events) == 0 {
		return [][]brokerEvent{nil}
	}
	var all [][]brokerEvent
	for i := range events {
		rest := slices.Concat(events[:i:i], events[i+1:])
		for _, order := range permutations(rest) {
			all = append(all, append([]brokerEvent{events[i]}, order...))
		}
	}
	return all
}

// settled fails unless exactly the winner is open with a whole lease, and the
// player was never seen to leave.
func (f *fixture) settled(player string, winner session.ConnectionID, order any) {
	f.Helper()
	r := f.get(player)
	if len(r.Connections) != 1 || r.Connections[0].ID != winner || !r.Connections[0].Full || r.Presence != session.Connected {
		f.Errorf("after %v: %s with %+v, want %s alone", order, r.Presence, r.Connections, winner)
	}
	connected := 0
	for _, e := range f.events() {
		if e.Player == player && e.Type == "session.connected" {
			connected++
		}
		if e.Player == player && e.Type == "session.grace" {
			f.Errorf("after %v: the player was in grace: %+v", order, e)
		}
	}
	f.equal(fmt.Sprintf("times connected after %v", order), connected, 1)
}

func takeoverInAnyOrder(f *fixture) {
	for _, reason := range []string{"takenover", "discarded"} {
		events := []brokerEvent{{0, ""}, {1, ""}, {0, reason}}
		for i, order := range permutations(events) {
			player := fmt.Sprintf("%s-%d", reason, i)
			race := []session.ConnectionID{f.dial(player), f.dial(player)}
			f.play(player, race, order)
			f.settled(player, race[1], order)
			f.play(player, race, order) // all of it once more
			r := f.get(player)
			f.equal("after the repeats", ids(r.Connections), race[1:])
		}
	}
}

func winnerByClosing(f *fixture) {
	for i, order := range permutations([]brokerEvent{{0, ""}, {1, ""}, {1, "takenover"}}) {
		player := fmt.Sprintf("ann-%d", i)
		race := []session.ConnectionID{f.dial(player), f.dial(player)}
		f.play(player, race, order)
		f.settled(player, race[0], order)
	}
}

func threeWayRace(f *fixture) {
	events := []brokerEvent{{0, ""}, {1, ""}, {2, ""}, {0, "takenover"}, {2, "discarded"}}
	for i, order := range permutations(events) {
		player := fmt.Sprintf("ann-%d", i)
		race := []session.ConnectionID{f.dial(player), f.dial(player), f.dial(player)}
		f.play(player, race, order)
		f.settled(player, race[1], order)
	}
}

func lostTakeover(f *fixture) {
	first, second := f.connect("ann"), f.connect("ann")
	c := f.get("ann").Connections
	handover := f.now() + f.settings.Handover.Milliseconds()
	f.equal("superseded", []any{c[0].ID, c[0].Full, c[0].Lease}, []any{first, false, handover})
	f.equal("deadline", f.get("ann").Deadline, handover)
	f.calm(f.settings.Handover - time.Millisecond)
	f.outcome(f.due("ann"), session.Early)
	f.calm(time.Millisecond)
	r := f.outcome(f.due("ann"), session.StillOpen)
	f.equal("left", ids(r.Connections), []session.ConnectionID{second})
	f.equal("deadline", r.Deadline, r.Connections[0].Lease)
	f.equal("open", f.Open(f), []string{"ann/" + string(second)})
	f.outcome(f.connected("ann", first), session.Opened) // no tombstone
}

func lostWinner(f *fixture) {
	id := f.connect("ann")
	_ = f.events()
	version := f.get("ann").V
	r := f.outcome(f.disconnected("ann", id, "takenover"), session.StillOpen)
	f.equal("presence", []any{r.Presence, len(r.Connections), r.V}, []any{session.Connected, 0, version})
	f.equal("deadline", r.Deadline, f.now()+f.settings.Handover.Milliseconds())
	f.equal("events", f.eventTypes(), []string{})
	f.calm(f.settings.Handover)
	r = f.outcome(f.due("ann"), session.InGrace)
	f.equal("grace", []any{r.Reason, r.Deadline}, []any{"lost", f.now() + f.settings.GraceIdle.Milliseconds()})
	f.outcome(f.due("ann"), session.Early)
	f.calm(f.settings.GraceIdle)
	f.outcome(f.due("ann"), session.Expired)
}

func noCrown(f *fixture) {
	f.connect("ann")
	second := f.connect("ann")
	short := f.get("ann").Connections[0]
	r := f.outcome(f.disconnected("ann", second, "tcp_closed"), session.StillOpen)
	f.equal("left", r.Connections, []session.Connection{short})
	f.equal("deadline", r.Deadline, short.Lease)
}

func takeoverWhileAway(f *fixture) {
	id := f.dial("ann")
	made := f.get("ann")
	r := f.disconnected("ann", id, "takenover").Record
	f.equal("detached", []any{r.Presence, r.Deadline, r.V}, []any{session.Detached, made.Deadline, made.V})

	f.disconnected("ann", f.connect("ann"), "normal")
	f.equal("deadline", f.get("ann").Deadline, f.now()+f.settings.GraceNormal.Milliseconds())
	r = f.outcome(f.disconnected("ann", f.dial("ann"), "discarded"), session.InGrace)
	f.equal("waits", []any{r.Presence, r.Deadline}, []any{session.Grace, f.now() + f.settings.Handover.Milliseconds()})
	f.disconnected("ann", f.dial("ann"), "tcp_closed")
	f.equal("longer", f.get("ann").Deadline, f.now()+f.settings.GraceIdle.Milliseconds())
}

func realBroker(f *fixture) {
	for n, capture := range captures(f) {
		f.playCapture(fmt.Sprintf("%d-as-it-came-", n), capture, capture.events)
		shuffled := slices.Concat(capture.events, capture.events[:len(capture.events)/3])
		random := rand.New(rand.NewPCG(1, uint64(n))) // repeatable on purpose
		random.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		f.playCapture(fmt.Sprintf("%d-shuffled-", n), capture, shuffled)
	}
}

func (f *fixture) playCapture(prefix string, c capture, events []capturedEvent) {
	f.Helper()
	for _, e := range events {
		if e.reason == "" {
			f.connected(prefix+e.player, e.id)
		} else {
			f.disconnected(prefix+e.player, e.id, e.reason)
		}
	}
	wrong := 0
	for player, listed := range c.truth {
		if r := f.get(prefix + player); !slices.Equal(ids(r.Connections), listed) {
			wrong++
			f.Errorf("%s%s: open %v, the broker lists %v", prefix, player, ids(r.Connections), listed)
		}
		if wrong > 5 {
			return
		}
	}
}
