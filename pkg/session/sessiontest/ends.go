package sessiontest

import (
	"time"

	"github.com/holdfast-games/holdfast/pkg/session"
)

func endPromises() []promise {
	return []promise{
		{"an end has its consequences once", endOnce},
		{"an end without a session still fences connections", endWithoutSession},
		{"an end closes every connection it knows", endClosesAll},
		{"a connection from before the end is refused, and the broker is told", endRefusesOld},
		{"a login in the ms of the end works", loginInSameMS},
		{"a refused connection that the broker still lists stays refused", refusalIsRenewed},
		{"the revocation generation grows, and never behind the durable one", generations},
		{"an end repeated with the durable generation leaves it alone", endRepeated},
	}
}

func endOnce(f *fixture) {
	id := f.connect("ann")
	f.hold("ann", session.Ticket, "ranked", "t1")
	before := f.hold("ann", session.Match, "", "m1")
	_ = f.events()
	f.World.Advance(time.Second)
	r := f.outcome(f.end("ann", session.Ending{Reason: "kicked"}), session.Ended)
	f.equal("as it was", []any{r.SID, ids(r.Connections), r.Places}, []any{before.SID, []session.ConnectionID{id}, before.Places})
	f.equal("version", []int64{r.V, r.Prev}, []int64{f.now(), before.V})
	e := f.lastEvent("session.ended")
	f.equal("event", []any{e.Player, e.SID, e.V, e.Prev, e.At}, []any{"ann", r.SID, r.V, r.Prev, f.now()})
	f.equal("fields", e.Fields, map[string]string{
		"reason": "kicked", "before": number(f.now()), "ticket:ranked": "t1", "match:": "m1",
	})
	f.equal("record", f.get("ann").SID, "")
	f.World.Advance(time.Second)
	f.outcome(f.end("ann", session.Ending{Reason: "kicked"}), session.None)
	e = f.lastEvent("session.ended")
	f.equal("second event", []any{e.SID, e.V, e.Fields}, []any{"", int64(0), map[string]string{"reason": "kicked", "before": number(f.now())}})
}

func endWithoutSession(f *fixture) {
	id := session.NewConnectionID(f.now(), f.now(), "10.0.0.1:7")
	f.outcome(f.end("ann", session.Ending{Reason: "logged_out"}), session.None)
	f.outcome(f.connected("ann", id), session.Refused)
}

func endClosesAll(f *fixture) {
	f.connect("ann")
	f.connect("ann")
	f.connect("bob")
	f.end("ann", session.Ending{Reason: "kicked"})
	f.equal("open", len(f.Open(f)), 1)
	f.equal("deadlines", len(f.Deadlines(f)), 1)
}

func endRefusesOld(f *fixture) {
	open, late := f.connect("ann"), f.dial("ann")
	f.end("ann", session.Ending{Reason: "logged_out"})
	f.World.Advance(time.Second)
	_ = f.events()
	for _, id := range []session.ConnectionID{open, late} {
		f.outcome(f.connected("ann", id), session.Refused)
		e := f.lastEvent("broker.kick")
		f.equal("event", []any{e.Player, e.SID, e.Fields}, []any{"ann", "", map[string]string{"connection": string(id)}})
	}
	f.equal("no session was made", f.get("ann").SID, "")
	made := f.call("ann")
	_ = f.events()
	f.equal("record", f.outcome(f.connected("ann", late), session.Refused), made)
	f.equal("event", f.lastEvent("broker.kick").SID, made.SID)
}

func loginInSameMS(f *fixture) {
	old := []session.ConnectionID{f.connect("ann"), f.connect("ann")}
	f.end("ann", session.Ending{Reason: "logged_out", Revoke: true, Rev: 1})
	login := token("ann")
	login.Rev = 1
	_, epoch, err := f.Store.Begin(f.Context(), login, known("ann"))
	if err != nil {
		f.Fatalf("begin after the end: %v", err)
	}
	id := session.NewConnectionID(epoch, f.now(), "10.0.0.1:7")
	f.outcome(f.connected("ann", id), session.Opened)
	for _, o := range old {
		f.outcome(f.connected("ann", o), session.Refused)
		f.outcome(f.disconnected("ann", o, "kicked"), session.Noted)
	}
	r := f.get("ann")
	f.equal("open", []any{r.Presence, ids(r.Connections)}, []any{session.Connected, []session.ConnectionID{id}})
}

func refusalIsRenewed(f *fixture) {
	id := f.connect("ann")
	f.end("ann", session.Ending{Reason: "banned", Revoke: true})
	for range 5 {
		f.World.Advance(f.settings.RevokedTTL())
		f.outcome(f.connected("ann", id), session.Refused)
	}
	f.refuses(token("ann"), nil)
	f.World.Advance(f.settings.RevokedTTL() + time.Millisecond)
	f.outcome(f.connected("ann", id), session.Opened) // it was not listed for as long as a token lives
}

func generations(f *fixture) {
	for _, step := range []struct {
		ending session.Ending
		want   int64
	}{
		{session.Ending{Reason: "kicked"}, 0},
		{session.Ending{Reason: "banned", Revoke: true}, 1},
		{session.Ending{Reason: "kicked"}, 1},
		{session.Ending{Reason: "banned", Revoke: true, Rev: 7}, 7},
		{session.Ending{Reason: "kicked", Rev: 9}, 7},
		{session.Ending{Reason: "banned", Revoke: true}, 8},
	} {
		_, rev, err := f.Store.End(f.Context(), "ann", step.ending)
		f.equal("generation", []any{rev, err}, []any{step.want, nil})
	}
}

func endRepeated(f *fixture) {
	f.call("ann")
	banned := session.Ending{Reason: "banned", Revoke: true, Rev: 1}
	for range 2 {
		_, rev, err := f.Store.End(f.Context(), "ann", banned)
		f.equal("generation", []any{rev, err}, []any{int64(1), nil})
	}
	login := token("ann")
	login.Rev = 1
	f.outcome(must[session.Result](f)(f.Store.Ensure(f.Context(), login, known("ann"), false)), session.Created)
}
