package sessiontest

import (
	"time"

	"github.com/holdfast-games/holdfast/pkg/outbox"
	"github.com/holdfast-games/holdfast/pkg/session"
)

func versionPromises() []promise {
	return []promise{
		{"the version grows with each visible change, and prev is the one before", versionChain},
		{"the version passes the clock", versionPassesClock},
		{"what is not visible does not move the version", invisibleChanges},
		{"the version does not go back over an end in the same ms", versionOverEnd},
		{"the version does not go back over a wipe", versionOverWipe},
		{"the snapshot is announced on request, and nothing changes", announces},
		{"reading changes nothing", readingChangesNothing},
	}
}

func versionChain(f *fixture) {
	id := f.connect("ann") // created, connected
	f.hold("ann", session.Ticket, "ranked", "t1")
	ref := session.PlaceRef{Player: "ann", SID: f.get("ann").SID, Kind: session.Ticket, Slot: "ranked", ID: "t1"}
	f.note(ref, 2, "two")
	f.disconnected("ann", id, "tcp_closed")
	f.connect("ann")
	facts := known("ann")
	facts.Name = "Ann"
	_ = must[session.Result](f)(f.Store.Ensure(f.Context(), token("ann"), facts, false))
	f.release(ref)
	f.end("ann", session.Ending{Reason: "kicked"})
	chain := []string{}
	var before outbox.Event
	for i, e := range f.events() {
		chain = append(chain, e.Type)
		if i > 0 && (e.V != before.V+1 || e.Prev != before.V) { // all within one ms
			f.Errorf("%s has version %d after %d, after %d", e.Type, e.V, e.Prev, before.V)
		}
		before = e
	}
	f.equal("events", chain, []string{
		"session.created", "session.connected", "session.place", "session.place", "session.grace", "session.connected",
		"session.profile", "session.place", "session.ended",
	})
}

func versionPassesClock(f *fixture) {
	made := f.call("ann")
	f.equal("at creation", []int64{made.V, made.Prev}, []int64{f.now(), 0})
	f.World.Advance(time.Hour)
	f.connect("ann")
	r := f.get("ann")
	f.equal("later", []int64{r.V, r.Prev}, []int64{f.now(), made.V})
}

func invisibleChanges(f *fixture) {
	ask := f.waits("ann")
	version := f.get("ann").V
	id := f.get("ann").Connections[0].ID
	_ = f.events()
	f.World.Advance(time.Second)
	for name, change := range map[string]func(){
		"a call":                 func() { f.call("ann") },
		"a snapshot read":        func() { _ = must[session.Result](f)(f.Store.Ensure(f.Context(), token("ann"), nil, true)) },
		"an attempt":             func() { f.dial("ann") },
		"a second connection":    func() { f.disconnected("ann", f.connect("ann"), "normal") },
		"an unknown disconnect":  func() { f.disconnected("ann", "7/7/10.0.0.1:7", "normal") },
		"a repeated event":       func() { f.connected("ann", id) },
		"a reservation":          func() { f.reserve("ann", ticketIn("casual", "t2")) },
		"a match reservation":    func() { f.take(ask) },
		"a reservation released": func() { f.release(session.PlaceRef{Player: "ann", Kind: session.Ticket, Slot: "casual", ID: "t2"}) },
		"a sweep":                func() { f.sweep(); f.due("ann") },
		"a beat":                 func() { f.beat() },
		"an announcement":        func() { _ = must[session.Result](f)(f.Store.Announce(f.Context(), "ann")) },
	} {
		change()
		f.equal("version after "+name, f.get("ann").V, version)
	}
}

func versionOverEnd(f *fixture) {
	for range 3 {
		f.disconnected("ann", f.connect("ann"), "tcp_closed")
		last := f.end("ann", session.Ending{Reason: "kicked"}).Record
		made := f.call("ann")
		if made.V <= last.V {
			f.Errorf("version %d in the new life, after %d", made.V, last.V)
		}
		f.equal("prev", made.Prev, int64(0))
	}
}

func versionOverWipe(f *fixture) {
	f.connect("ann")
	f.hold("ann", session.Ticket, "ranked", "t1")
	last := f.get("ann").V
	f.Wipe(f)
	f.World.Advance(10 * time.Millisecond)
	if made := f.call("ann"); made.V <= last {
		f.Errorf("version %d after the wipe, %d before", made.V, last)
	}
}

func announces(f *fixture) {
	announce := func() session.Result {
		return must[session.Result](f)(f.Store.Announce(f.Context(), "ann"))
	}
	f.outcome(announce(), session.None)
	f.connect("ann")
	before := f.get("ann")
	_ = f.events()
	f.equal("record", f.outcome(announce(), session.Announced), before)
	e := f.lastEvent("session.announce")
	f.equal("event", []any{e.SID, e.V, e.Prev, e.Fields}, []any{before.SID, before.V, before.Prev, map[string]string{}})
}

func readingChangesNothing(f *fixture) {
	r := must[session.Result](f)(f.Store.Get(f.Context(), "ann"))
	f.equal("nobody", r, session.Result{Outcome: session.None, Record: session.Record{Player: "ann", Now: f.now()}})
	made := f.call("ann")
	f.World.Advance(time.Second)
	made.Now = f.now()
	r = must[session.Result](f)(f.Store.Get(f.Context(), "ann"))
	f.equal("ann", r, session.Result{Outcome: session.OK, Record: made})
	f.equal("events", f.eventTypes(), []string{"session.created"})
}
