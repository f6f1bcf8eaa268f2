package sessiontest

import (
	"fmt"
	"sync"
	"time"

	"github.com/holdfast-games/holdfast/pkg/session"
)

func matchPromises() []promise {
	return []promise{
		{"a match takes who waits and can be reached", matchTakes},
		{"a match does not take who is not there", matchGone},
		{"who is connected can be reached", reachableConnected},
		{"who has called since the drop, and lately, can be reached", reachableByCalls},
		{"a player in another match is taken", matchTaken},
		{"a lapsed match reservation gives way", matchLapsed},
		{"of matches racing for one player exactly one wins", racingMatches},
		{"each player of a match answers for itself", matchOfMany},
	}
}

// waits puts a connected player into a queue and returns what a match asks for.
func (f *fixture) waits(player string) session.MatchReservation {
	f.Helper()
	f.connect(player)
	r := f.hold(player, session.Ticket, "ranked", "ticket-"+player)
	return session.MatchReservation{Player: player, SID: r.SID, Queue: "ranked", Ticket: "ticket-" + player, Match: "m1"}
}

func (f *fixture) take(r session.MatchReservation) session.Hold {
	f.Helper()
	return must[[]session.Hold](f)(f.Store.ReserveMatch(f.Context(), []session.MatchReservation{r}))[0]
}

func matchTakes(f *fixture) {
	ask := f.waits("ann")
	before := f.get("ann")
	_ = f.events()
	h := f.take(ask)
	f.equal("hold", []any{h.Outcome, h.ID, h.NotAfter}, []any{session.Reserved, "m1", f.now() + session.ReserveTTL.Milliseconds()})
	f.equal("place", h.Record.Places[0], session.Place{Kind: session.Match, ID: "m1", NotAfter: h.NotAfter})
	f.equal("it is not a call, and not visible", []int64{h.Record.Seen, h.Record.V}, []int64{before.Seen, before.V})
	f.World.Advance(time.Second)
	h = f.take(ask)
	f.equal("again", []any{h.Outcome, h.ID, h.NotAfter}, []any{session.Already, "m1", f.now() + session.ReserveTTL.Milliseconds()})
	ref := session.PlaceRef{Player: "ann", SID: ask.SID, Kind: session.Match, ID: "m1"}
	f.confirm(ref, 1, "", session.Ticket, session.Push{})
	h = f.take(ask)
	f.equal("confirmed", []any{h.Outcome, h.ID, h.NotAfter}, []any{session.Already, "m1", int64(0)})
}

func matchGone(f *fixture) {
	good := f.waits("ann")
	for _, spoil := range []func(*session.MatchReservation){
		func(r *session.MatchReservation) { r.SID = "another" },
		func(r *session.MatchReservation) { r.SID = "" },
		func(r *session.MatchReservation) { r.Ticket = "another" },
		func(r *session.MatchReservation) { r.Queue = "casual" },
		func(r *session.MatchReservation) { r.Player = "nobody" },
	} {
		ask := good
		spoil(&ask)
		h := f.take(ask)
		f.equal("hold", []any{h.Outcome, h.ID, h.NotAfter}, []any{session.Gone, "", int64(0)})
	}
	f.end("ann", session.Ending{Reason: "left"})
	f.equal("after the end", f.take(good).Outcome, session.Gone)
	f.World.Advance(time.Millisecond)
	f.waits("ann")
	f.equal("in another life", f.take(good).Outcome, session.Gone)
}

func reachableConnected(f *fixture) {
	ask := f.waits("ann")
	f.World.Advance(time.Hour)
	r := f.get("ann")
	f.equal("reachUntil", r.ReachUntil(f.settings.HTTPReach), int64(0))
	f.equal("connected", f.take(ask).Outcome, session.Reserved)
}

func reachableByCalls(f *fixture) {
	ask := f.waits("ann")
	f.disconnected("ann", f.get("ann").Connections[0].ID, "tcp_closed")
	unreachable := func(when string) {
		r := f.get("ann")
		if until := r.ReachUntil(f.settings.HTTPReach); until == 0 || until > f.now() {
			f.Errorf("%s: reachable until %d, it is %d", when, until, f.now())
		}
		h := f.take(ask)
		f.equal(when, []any{h.Outcome, h.ID, h.NotAfter, len(h.Record.Places)}, []any{session.Unreachable, "", int64(0), 1})
	}
	unreachable("after the drop")
	f.call("ann")
	unreachable("called in the ms of the drop")
	f.World.Advance(time.Millisecond)
	f.call("ann")
	until := f.now() + f.settings.HTTPReach.Milliseconds()
	f.equal("reachUntil", f.get("ann").ReachUntil(f.settings.HTTPReach), until)
	f.World.Advance(f.settings.HTTPReach)
	unreachable("not lately")
	f.call("ann")
	f.World.Advance(f.settings.HTTPReach - time.Millisecond)
	f.equal("lately", f.take(ask).Outcome, session.Reserved)

	made := f.hold("bob", session.Ticket, "ranked", "t")
	bob := session.MatchReservation{Player: "bob", SID: made.SID, Queue: "ranked", Ticket: "t", Match: "m1"}
	f.World.Advance(f.settings.HTTPReach)
	f.equal("never connected, and not polling", f.take(bob).Outcome, session.Unreachable)
	f.call("bob")
	f.equal("never connected, but polling", f.take(bob).Outcome, session.Reserved)
	made = f.hold("cyd", session.Ticket, "ranked", "t")
	cyd := session.MatchReservation{Player: "cyd", SID: made.SID, Queue: "ranked", Ticket: "t", Match: "m1"}
	f.equal("in the ms it was made by a call", f.take(cyd).Outcome, session.Reserved)
}

func matchTaken(f *fixture) {
	ask := f.waits("ann")
	f.take(ask)
	ask.Match = "m2"
	h := f.take(ask)
	f.equal("reserved by another", []any{h.Outcome, h.ID, h.NotAfter}, []any{session.Taken, "m1", int64(0)})
	f.confirm(session.PlaceRef{Player: "ann", SID: ask.SID, Kind: session.Match, ID: "m1"}, 1, "", "", session.Push{})
	f.World.Advance(time.Hour)
	f.equal("playing another", f.take(ask).Outcome, session.Taken)
	f.release(session.PlaceRef{Player: "ann", SID: ask.SID, Kind: session.Match, ID: "m1"})
	f.equal("after it", f.take(ask).Outcome, session.Reserved)
}

func matchLapsed(f *fixture) {
	ask := f.waits("ann")
	f.take(ask)
	ask.Match = "m2"
	f.World.Advance(session.ReserveTTL)
	f.equal("in its last ms", f.take(ask).Outcome, session.Taken)
	f.World.Advance(time.Millisecond)
	f.equal("lapsed", f.take(ask).Outcome, session.Reserved)
	ref := session.PlaceRef{Player: "ann", SID: ask.SID, Kind: session.Match, ID: "m1"}
	f.outcome(f.confirm(ref, 1, "", session.Ticket, session.Push{}), session.Gone)
}

func racingMatches(f *fixture) {
	ask := f.waits("ann")
	var wg sync.WaitGroup
	holds := make(chan session.Hold, 16)
	for i := range cap(holds) {
		mine := ask
		mine.Match = fmt.Sprint("m", i)
		wg.Go(func() {
			got, err := f.Store.ReserveMatch(f.Context(), []session.MatchReservation{mine})
			if err != nil {
				f.Errorf("reserve a match: %v", err)
				return
			}
			holds <- got[0]
		})
	}
	wg.Wait()
	close(holds)
	winner := f.get("ann").Places[0].ID
	count := map[session.Outcome]int{}
	for h := range holds {
		f.equal("held by", h.ID, winner)
		count[h.Outcome]++
	}
	f.equal("outcomes", count, map[session.Outcome]int{session.Reserved: 1, session.Taken: 15})
}

func matchOfMany(f *fixture) {
	asks := []session.MatchReservation{f.waits("ann"), f.waits("bob"), f.waits("cat"), f.waits("dan")}
	f.disconnected("bob", f.get("bob").Connections[0].ID, "tcp_closed")
	f.end("cat", session.Ending{Reason: "left"})
	other := asks[3]
	other.Match = "m2"
	f.take(other)
	holds := must[[]session.Hold](f)(f.Store.ReserveMatch(f.Context(), asks))
	got := []session.Outcome{}
	for i, h := range holds {
		f.equal("player", h.Record.Player, asks[i].Player)
		got = append(got, h.Outcome)
	}
	f.equal("outcomes", got, []session.Outcome{session.Reserved, session.Unreachable, session.Gone, session.Taken})
}
