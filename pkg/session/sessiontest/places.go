package sessiontest

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/holdfast-games/holdfast/pkg/session"
)

func placePromises() []promise {
	return []promise{
		{"a place is reserved, confirmed, noted and released", placeLife},
		{"reserving what one holds returns it", reserveAgain},
		{"reserving counts as a call, also when it is refused", reserveIsACall},
		{"a player has four tickets at most", fourTickets},
		{"a match excludes a ticket", excludedByMatch},
		{"a lapsed reservation is no place", lapsedReservation},
		{"a late confirm makes a lapsed reservation real", lateConfirm},
		{"confirming again changes nothing", confirmAgain},
		{"confirming a match drops the tickets", confirmDrops},
		{"a note that is not newer is ignored", staleNote},
		{"a reservation that was never confirmed goes silently", silentRelease},
		{"an owner releases the place of whichever life", releaseAnyLife},
		{"a place of another life, slot or id is gone", placeGone},
		{"a message is repeated until the player has read it", repeatUntilRead},
		{"racing reservations of one slot have one winner", racingReserve},
	}
}

func (f *fixture) reserve(player string, r session.Reservation) session.Hold {
	f.Helper()
	if r.Most == 0 {
		r.Most = session.MaxTickets
	}
	return must[session.Hold](f)(f.Store.Reserve(f.Context(), token(player), known(player), r))
}

func ticketIn(queue, id string) session.Reservation {
	return session.Reservation{Kind: session.Ticket, Slot: queue, ID: id, Most: session.MaxTickets, Excludes: session.Match}
}

func (f *fixture) confirm(ref session.PlaceRef, v int64, copy string, drops session.Kind, push session.Push) session.Result {
	f.Helper()
	return must[session.Result](f)(f.Store.Confirm(f.Context(), ref, v, copy, drops, push))
}

func (f *fixture) note(ref session.PlaceRef, v int64, copy string) session.Result {
	f.Helper()
	return must[session.Result](f)(f.Store.Note(f.Context(), ref, v, copy, session.Push{Type: "held", Body: `{"n":1}`}))
}

func (f *fixture) release(ref session.PlaceRef) session.Result {
	f.Helper()
	return must[session.Result](f)(f.Store.Release(f.Context(), ref, session.Push{Type: "queue_cancelled", Body: `{}`}))
}

func placeLife(f *fixture) {
	f.call("ann")
	_ = f.events()
	f.World.Advance(time.Second)
	h := f.reserve("ann", session.Reservation{Kind: session.Ticket, Slot: "ranked", ID: "t1", Copy: `{"a": "b c"}`})
	f.equal("reserved", []any{h.Outcome, h.ID, h.NotAfter}, []any{session.Reserved, "t1", f.now() + session.ReserveTTL.Milliseconds()})
	want := session.Place{Kind: session.Ticket, Slot: "ranked", ID: "t1", NotAfter: h.NotAfter, Copy: `{"a": "b c"}`}
	f.equal("places", h.Record.Places, []session.Place{want})
	f.equal("a reservation is not visible", []any{len(h.Record.Held(session.Ticket)), h.Record.V, f.eventTypes()}, []any{0, h.Record.V, []string{}})

	f.World.Advance(time.Second)
	ref := session.PlaceRef{Player: "ann", SID: h.Record.SID, Kind: session.Ticket, Slot: "ranked", ID: "t1"}
	r := f.outcome(f.confirm(ref, 7, "seven", "", session.Push{Type: "queued", Body: `{"x":1}`}), session.Confirmed)
	want.V, want.NotAfter, want.Copy = 7, 0, "seven"
	f.equal("confirmed", r.Held(session.Ticket), []session.Place{want})
	f.equal("version", []int64{r.V, r.Prev}, []int64{f.now(), h.Record.V})
	e := f.lastEvent("session.place")
	f.equal("event", []any{e.SID, e.V, e.Prev, e.At}, []any{r.SID, r.V, r.Prev, f.now()})
	f.equal("fields", e.Fields, map[string]string{"place": "ticket:ranked", "id": "t1", "push": "queued", "body": `{"x":1}`})

	f.World.Advance(time.Second)
	r = f.outcome(f.note(ref, 8, ""), session.Noted)
	want.V, want.Copy = 8, ""
	f.equal("noted", []any{r.Places, r.V}, []any{[]session.Place{want}, f.now()})
	f.equal("fields", f.lastEvent("session.place").Fields, map[string]string{"place": "ticket:ranked", "id": "t1", "push": "held", "body": `{"n":1}`})

	f.World.Advance(time.Second)
	r = f.outcome(f.release(ref), session.Released)
	f.equal("released", []any{len(r.Places), r.V}, []any{0, f.now()})
	f.equal("fields", f.lastEvent("session.place").Fields, map[string]string{"place": "ticket:ranked", "id": "t1", "push": "queue_cancelled", "body": `{}`})
	f.outcome(f.release(ref), session.Gone)
	f.equal("events", f.eventTypes(), []string{})
}

func reserveAgain(f *fixture) {
	first := f.reserve("ann", ticketIn("ranked", "t1"))
	f.World.Advance(time.Second)
	for _, id := range []string{"t1", "t2"} {
		h := f.reserve("ann", ticketIn("ranked", id))
		f.equal("pending", []any{h.Outcome, h.ID, h.NotAfter}, []any{session.Already, "t1", first.NotAfter + 1000})
	}
	ref := session.PlaceRef{Player: "ann", SID: first.Record.SID, Kind: session.Ticket, Slot: "ranked", ID: "t1"}
	f.confirm(ref, 1, "", "", session.Push{})
	before := f.get("ann")
	for _, id := range []string{"t1", "t2"} {
		h := f.reserve("ann", ticketIn("ranked", id))
		f.equal("confirmed", []any{h.Outcome, h.ID, h.NotAfter}, []any{session.Already, "t1", int64(0)})
		f.equal("record", []any{h.Record.V, h.Record.Places}, []any{before.V, before.Places})
	}
}

func reserveIsACall(f *fixture) {
	h := f.reserve("ann", session.Reservation{Kind: session.Lobby, ID: "AB12CD", Most: 1})
	f.equal("made", []any{h.Record.Presence, h.Record.Healed, h.Record.Seen}, []any{session.Detached, true, f.now()})
	f.World.Advance(f.settings.DetachedTTL)
	h = f.reserve("ann", session.Reservation{Kind: session.Lobby, Slot: "x", ID: "ZZ", Most: 1})
	f.equal("lapsed", h.Outcome, session.Reserved)
	h = f.reserve("ann", session.Reservation{Kind: session.Lobby, Slot: "y", ID: "YY", Most: 1})
	f.equal("refused", []any{h.Outcome, h.ID, h.NotAfter}, []any{session.TooMany, "", int64(0)})
	f.equal("seen", f.get("ann").Seen, f.now())
	f.equal("deadline", f.get("ann").Deadline, f.now()+f.settings.HTTPLease.Milliseconds())
}

func fourTickets(f *fixture) {
	for i := range session.MaxTickets {
		f.equal("ticket", f.reserve("ann", ticketIn(fmt.Sprint(i), fmt.Sprint("t", i))).Outcome, session.Reserved)
	}
	f.equal("the fifth", f.reserve("ann", ticketIn("4", "t4")).Outcome, session.TooMany)
	f.equal("one of the four", f.reserve("ann", ticketIn("3", "t3")).Outcome, session.Already)
	f.equal("a lobby is no ticket", f.reserve("ann", session.Reservation{Kind: session.Lobby, ID: "l", Most: 1}).Outcome, session.Reserved)
	f.release(session.PlaceRef{Player: "ann", Kind: session.Ticket, Slot: "0", ID: "t0"})
	f.equal("the fifth", f.reserve("ann", ticketIn("4", "t4")).Outcome, session.Reserved)
}

func excludedByMatch(f *fixture) {
	f.hold("ann", session.Match, "", "m1")
	h := f.reserve("ann", ticketIn("ranked", "t1"))
	f.equal("in a match", []any{h.Outcome, h.ID, h.Record.Held(session.Match)[0].ID}, []any{session.Excluded, "", "m1"})
	f.release(session.PlaceRef{Player: "ann", Kind: session.Match, ID: "m1"})
	f.equal("after it", f.reserve("ann", ticketIn("ranked", "t1")).Outcome, session.Reserved)
}

func lapsedReservation(f *fixture) {
	f.reserve("ann", ticketIn("ranked", "t1"))
	f.World.Advance(session.ReserveTTL)
	f.equal("in its last ms", f.reserve("ann", session.Reservation{Kind: session.Ticket, Slot: "x", ID: "tx", Most: 1}).Outcome, session.TooMany)
	f.World.Advance(time.Millisecond)
	h := f.reserve("ann", ticketIn("ranked", "t2"))
	f.equal("lapsed", []any{h.Outcome, h.ID, len(h.Record.Places)}, []any{session.Reserved, "t2", 1})
	f.World.Advance(session.ReserveTTL + time.Millisecond)
	h = f.reserve("ann", ticketIn("ranked", "t2"))
	f.equal("its own", []any{h.Outcome, h.ID, h.NotAfter}, []any{session.Already, "t2", f.now() + session.ReserveTTL.Milliseconds()})
	f.World.Advance(session.ReserveTTL + time.Millisecond)
	h = f.reserve("ann", session.Reservation{Kind: session.Lobby, ID: "l", Most: 1, Excludes: session.Ticket})
	f.equal("excludes nothing", h.Outcome, session.Reserved)
}

func lateConfirm(f *fixture) {
	h := f.reserve("ann", ticketIn("ranked", "t1"))
	f.World.Advance(time.Minute)
	ref := session.PlaceRef{Player: "ann", SID: h.Record.SID, Kind: session.Ticket, Slot: "ranked", ID: "t1"}
	r := f.outcome(f.confirm(ref, 1, "", "", session.Push{}), session.Confirmed)
	f.equal("held", len(r.Held(session.Ticket)), 1)
}

func confirmAgain(f *fixture) {
	before := f.hold("ann", session.Ticket, "ranked", "t1")
	_ = f.events()
	ref := session.PlaceRef{Player: "ann", SID: before.SID, Kind: session.Ticket, Slot: "ranked", ID: "t1"}
	f.equal("record", f.outcome(f.confirm(ref, 9, "nine", session.Ticket, session.Push{Type: "x"}), session.Already), before)
	f.equal("events", f.eventTypes(), []string{})
}

func confirmDrops(f *fixture) {
	f.hold("ann", session.Ticket, "ranked", "t1")
	f.hold("ann", session.Lobby, "", "AB12CD")
	f.reserve("ann", ticketIn("casual", "t2"))
	h := f.reserve("ann", session.Reservation{Kind: session.Match, ID: "m1", Most: 1})
	_ = f.events()
	ref := session.PlaceRef{Player: "ann", SID: h.Record.SID, Kind: session.Match, ID: "m1"}
	r := f.outcome(f.confirm(ref, 1, "", session.Ticket, session.Push{Type: "match_found", Body: "{}"}), session.Confirmed)
	f.equal("left", []any{len(r.Places), r.Places[0].ID, r.Places[1].ID}, []any{2, "AB12CD", "m1"})
	f.equal("fields", f.lastEvent("session.place").Fields, map[string]string{
		"place": "match:", "id": "m1", "push": "match_found", "body": "{}",
		"drop:ticket:ranked": "t1", "drop:ticket:casual": "t2",
	})
}

func staleNote(f *fixture) {
	h := f.reserve("ann", ticketIn("ranked", "t1"))
	ref := session.PlaceRef{Player: "ann", SID: h.Record.SID, Kind: session.Ticket, Slot: "ranked", ID: "t1"}
	f.outcome(f.note(ref, 5, "early"), session.Stalled)
	f.confirm(ref, 5, "five", "", session.Push{})
	_ = f.events()
	before := f.get("ann")
	for _, v := range []int64{4, 5} {
		f.equal("record", f.outcome(f.note(ref, v, "late"), session.Stalled), before)
	}
	f.equal("events", f.eventTypes(), []string{})
}

func silentRelease(f *fixture) {
	h := f.reserve("ann", ticketIn("ranked", "t1"))
	_ = f.events()
	ref := session.PlaceRef{Player: "ann", SID: h.Record.SID, Kind: session.Ticket, Slot: "ranked", ID: "t1"}
	r := f.outcome(f.release(ref), session.Released)
	f.equal("record", []any{len(r.Places), r.V}, []any{0, h.Record.V})
	f.equal("events", f.eventTypes(), []string{})
	f.outcome(f.confirm(ref, 1, "", "", session.Push{}), session.Gone)
}

func releaseAnyLife(f *fixture) {
	f.hold("ann", session.Lobby, "", "AB12CD")
	ref := session.PlaceRef{Player: "ann", Kind: session.Lobby, ID: "AB12CD"}
	f.outcome(f.note(ref, 9, ""), session.Gone)
	f.outcome(f.confirm(ref, 9, "", "", session.Push{}), session.Gone)
	f.outcome(f.release(ref), session.Released)
	f.outcome(f.release(session.PlaceRef{Player: "nobody", Kind: session.Lobby, ID: "AB12CD"}), session.Gone)
}

func placeGone(f *fixture) {
	r := f.hold("ann", session.Ticket, "ranked", "t1")
	_ = f.events()
	good := session.PlaceRef{Player: "ann", SID: r.SID, Kind: session.Ticket, Slot: "ranked", ID: "t1"}
	for _, spoil := range []func(*session.PlaceRef){
		func(p *session.PlaceRef) { p.SID = "another" },
		func(p *session.PlaceRef) { p.Kind = session.Lobby },
		func(p *session.PlaceRef) { p.Slot = "" },
		func(p *session.PlaceRef) { p.ID = "t2" },
		func(p *session.PlaceRef) { p.Player = "bob" },
	} {
		ref := good
		spoil(&ref)
		f.outcome(f.confirm(ref, 9, "", "", session.Push{}), session.Gone)
		f.outcome(f.note(ref, 9, ""), session.Gone)
		f.outcome(f.release(ref), session.Gone)
		f.outcome(must[session.Result](f)(f.Store.Repeat(f.Context(), ref, 9, session.Push{})), session.Gone)
	}
	f.equal("events", f.eventTypes(), []string{})
	f.equal("places", len(f.get("ann").Places), 1)
}

func repeatUntilRead(f *fixture) {
	r := f.hold("ann", session.Match, "", "m1")
	_ = f.events()
	ref := session.PlaceRef{Player: "ann", SID: r.SID, Kind: session.Match, ID: "m1"}
	repeat := func() session.Result {
		return must[session.Result](f)(f.Store.Repeat(f.Context(), ref, r.V, session.Push{Type: "match_found", Body: "{}"}))
	}
	for range 2 {
		f.World.Advance(time.Second)
		f.equal("version", f.outcome(repeat(), session.Repeated).V, r.V)
		e := f.lastEvent("session.repeat")
		f.equal("event", []int64{e.V, e.Prev}, []int64{r.V, r.Prev})
		f.equal("fields", e.Fields, map[string]string{"place": "match:", "id": "m1", "push": "match_found", "body": "{}"})
	}
	_ = must[session.Result](f)(f.Store.Ensure(f.Context(), token("ann"), nil, false))
	f.outcome(repeat(), session.Repeated)
	_ = f.events()
	_ = must[session.Result](f)(f.Store.Ensure(f.Context(), token("ann"), nil, true))
	f.outcome(repeat(), session.AlreadyRead)
	f.equal("events", f.eventTypes(), []string{})
}

func racingReserve(f *fixture) {
	f.call("ann")
	var wg sync.WaitGroup
	holds := make(chan session.Hold, 32)
	for i := range cap(holds) {
		wg.Go(func() {
			h, err := f.Store.Reserve(f.Context(), token("ann"), nil, ticketIn("ranked", fmt.Sprint("t", i)))
			if err != nil {
				f.Error(errors.Unwrap(err))
			}
			holds <- h
		})
	}
	wg.Wait()
	close(holds)
	place := f.get("ann").Places[0]
	count := map[session.Outcome]int{}
	for h := range holds {
		f.equal("held", h.ID, place.ID)
		count[h.Outcome]++
	}
	f.equal("outcomes", count, map[session.Outcome]int{session.Reserved: 1, session.Already: 31})
}
