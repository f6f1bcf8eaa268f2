package sessiontest

import (
	"time"

	"github.com/holdfast-games/holdfast/pkg/session"
)

func gracePromises() []promise {
	return []promise{
		{"a disconnect starts a grace", startsGrace},
		{"the grace depends on where the player is and how it went", graceByPlace},
		{"a reservation counts as a place until it lapses", graceOfReservations},
		{"coming back restores everything", comesBack},
		{"a session that never connected goes to grace as well", graceOfDetached},
		{"a late disconnect never shortens a grace", lateDisconnect},
		{"a disconnect from before a logout does not touch the new life", disconnectOfEarlierLife},
	}
}

func startsGrace(f *fixture) {
	id := f.connect("ann")
	f.hold("ann", session.Ticket, "ranked", "t1")
	f.hold("ann", session.Lobby, "", "AB12CD")
	before := f.get("ann")
	_ = f.events()
	f.World.Advance(time.Minute)
	r := f.outcome(f.disconnected("ann", id, "tcp_closed"), session.InGrace)
	deadline := f.now() + f.settings.GraceLobby.Milliseconds()
	f.equal("record", []any{r.Presence, r.Since, r.Reason, r.Deadline}, []any{session.Grace, f.now(), "tcp_closed", deadline})
	f.equal("version", []int64{r.V, r.Prev}, []int64{f.now(), before.V})
	f.equal("connections", len(r.Connections)+len(f.Open(f)), 0)
	f.equal("deadline", f.Deadlines(f), map[string]int64{"ann": deadline})
	e := f.lastEvent("session.grace")
	f.equal("event", []any{e.SID, e.V, e.Prev, e.At}, []any{r.SID, r.V, r.Prev, f.now()})
	f.equal("fields", e.Fields, map[string]string{
		"deadline": number(deadline), "reason": "tcp_closed", "ticket:ranked": "t1", "lobby:": "AB12CD",
	})
}

func graceByPlace(f *fixture) {
	f = f.with(func(s *session.Settings) {
		s.GraceIdle, s.GraceQueue, s.GraceLobby, s.GraceMatch = 101*time.Second, 60*time.Second, 103*time.Second, 104*time.Second
		s.GraceNormal = 90 * time.Second
	})
	cases := []struct {
		player string
		places []session.Kind
		grace  time.Duration
	}{
		{"idle", nil, 101 * time.Second},
		{"queued", []session.Kind{session.Ticket}, 60 * time.Second},
		{"in-lobby", []session.Kind{session.Ticket, session.Lobby}, 103 * time.Second},
		{"in-match", []session.Kind{session.Ticket, session.Lobby, session.Match}, 104 * time.Second},
	}
	for _, c := range cases {
		f.call(c.player)
		for _, kind := range c.places {
			f.hold(c.player, kind, "", "x")
		}
		for reason, want := range map[string]time.Duration{
			"tcp_closed": c.grace, "keepalive_timeout": c.grace, "kicked": c.grace, "normal": min(c.grace, 90*time.Second),
		} {
			r := f.outcome(f.disconnected(c.player, f.connect(c.player), reason), session.InGrace)
			f.equal("grace of "+c.player+" after "+reason, r.Deadline-f.now(), want.Milliseconds())
		}
	}
}

func graceOfReservations(f *fixture) {
	id := f.connect("ann")
	_ = must[session.Hold](f)(f.Store.Reserve(f.Context(), token("ann"), nil,
		session.Reservation{Kind: session.Ticket, Slot: "ranked", ID: "t1", Most: 4}))
	r := f.disconnected("ann", id, "tcp_closed").Record
	f.equal("reserved", r.Deadline-f.now(), f.settings.GraceQueue.Milliseconds())
	id = f.connect("ann")
	f.World.Advance(session.ReserveTTL)
	r = f.disconnected("ann", id, "tcp_closed").Record
	f.equal("in its last ms", r.Deadline-f.now(), f.settings.GraceQueue.Milliseconds())
	id = f.connect("ann")
	f.World.Advance(time.Millisecond)
	r = f.disconnected("ann", id, "tcp_closed").Record
	f.equal("lapsed", r.Deadline-f.now(), f.settings.GraceIdle.Milliseconds())
}

func comesBack(f *fixture) {
	id := f.connect("ann")
	f.hold("ann", session.Ticket, "ranked", "t1")
	f.hold("ann", session.Match, "", "m1")
	before := f.get("ann")
	f.disconnected("ann", id, "keepalive_timeout")
	f.calm(f.settings.GraceMatch - time.Millisecond)
	f.outcome(f.due("ann"), session.Early)
	again := f.dial("ann")
	_ = f.events()
	after := f.outcome(f.connected("ann", again), session.Opened)
	f.equal("life", after.SID, before.SID)
	f.equal("places", after.Places, before.Places)
	f.equal("presence", []any{after.Presence, after.Reason, after.Since}, []any{session.Connected, "", f.now()})
	f.equal("event", f.lastEvent("session.connected").Fields, map[string]string{
		"resumed": "1", "ticket:ranked": "t1", "match:": "m1",
	})
}

func graceOfDetached(f *fixture) {
	id := f.dial("ann")
	f.outcome(f.disconnected("ann", id, "tcp_closed"), session.InGrace)
	f.outcome(f.connected("ann", id), session.Closed)
	f.equal("presence", f.get("ann").Presence, session.Grace)
}

func lateDisconnect(f *fixture) {
	first, second := f.connect("ann"), f.dial("ann")
	f.disconnected("ann", first, "tcp_closed")
	before := f.get("ann")
	f.World.Advance(time.Second)
	_ = f.events()
	r := f.outcome(f.disconnected("ann", second, "normal"), session.InGrace)
	f.equal("deadline", r.Deadline, before.Deadline)
	f.equal("version", []any{r.V, r.Since, r.Reason}, []any{before.V, before.Since, before.Reason})
	f.equal("events", f.eventTypes(), []string{})
}

func disconnectOfEarlierLife(f *fixture) {
	old := f.connect("ann")
	f.end("ann", session.Ending{Reason: "left"})
	f.World.Advance(time.Millisecond)
	before := f.call("ann")
	_ = f.events()
	f.equal("record", f.outcome(f.disconnected("ann", old, "kicked"), session.Noted), before)
	f.equal("events", f.eventTypes(), []string{})
}
