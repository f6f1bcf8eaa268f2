package sessiontest

import (
	"fmt"
	"sync"
	"time"

	"github.com/holdfast-games/holdfast/pkg/session"
)

func duePromises() []promise {
	return []promise{
		{"nothing is due before its time", dueEarly},
		{"nothing is due before the first sweep or while sweeps are away", duePausedBySweep},
		{"nothing is due while the hook is away", duePausedByHook},
		{"a grace expires", dueExpires},
		{"a session that never connected expires", dueDetached},
		{"a connection without a sign of life is dropped, and has a full grace", dueConnected},
		{"a lost record is told once", dueLostRecord},
		{"an expiry has its consequences once, however many sweepers race", racingSweepers},
		{"a sweep names who is due, the longest overdue first, at most 100", sweepNames},
		{"a deadline that moved is mended by the sweep", dueMends},
		{"a member of the deadlines goes with the session", deadlineGoes},
		{"with reconciliation a complete pass renews every lease", reconciliationRenews},
		{"a pass does not renew a superseded connection", reconciliationSupersedes},
		{"while the broker cannot be asked nobody loses a lease", blindKeeps},
	}
}

func dueEarly(f *fixture) {
	f.sweep()
	f.outcome(f.due("nobody"), session.Early)
	f.call("ann")
	f.calm(f.settings.DetachedTTL - time.Millisecond)
	before := f.get("ann")
	_ = f.events()
	f.equal("record", f.outcome(f.due("ann"), session.Early), before)
	f.equal("events", f.eventTypes(), []string{})
}

func duePausedBySweep(f *fixture) {
	f.disconnected("ann", f.connect("ann"), "tcp_closed")
	f.World.Advance(time.Hour)
	f.outcome(f.due("ann"), session.Paused)
	f.sweep() // the first one: there was nothing to miss before it
	f.World.Advance(session.Stale)
	f.outcome(f.due("ann"), session.Expired)

	f.disconnected("bob", f.connect("bob"), "tcp_closed")
	f.calm(f.settings.GraceIdle)
	f.World.Advance(session.Stale + time.Millisecond)
	before := f.get("bob")
	f.equal("record", f.outcome(f.due("bob"), session.Paused), before)
	f.call("ann")
	f.Lose(f, "ann")
	f.outcome(f.due("ann"), session.Paused)
}

func duePausedByHook(f *fixture) {
	f.disconnected("ann", f.connect("ann"), "tcp_closed")
	f.calm(f.settings.GraceIdle - time.Second)
	for range 3 {
		f.World.Advance(session.Stale / 2)
		f.sweep()
	}
	f.outcome(f.due("ann"), session.Paused)
	f.beat()
	f.sweep()
	f.outcome(f.due("ann"), session.Early) // the time without the hook is given back
	f.calm(time.Second)
	f.outcome(f.due("ann"), session.Expired)
}

func dueExpires(f *fixture) {
	f.disconnected("ann", f.connect("ann"), "tcp_closed")
	f.hold("ann", session.Ticket, "ranked", "t1")
	f.hold("ann", session.Ticket, "casual", "t2")
	f.hold("ann", session.Lobby, "", "AB12CD")
	held := f.hold("ann", session.Match, "", "m1")
	f.calm(f.settings.GraceIdle)
	_ = f.events()
	r := f.outcome(f.due("ann"), session.Expired)
	f.equal("as it was", []any{r.SID, r.Presence, r.Places}, []any{held.SID, session.Grace, held.Places})
	f.equal("version", []int64{r.V, r.Prev}, []int64{f.now(), held.V})
	e := f.lastEvent("session.expired")
	f.equal("event", []any{e.Player, e.SID, e.V, e.Prev, e.At}, []any{"ann", held.SID, r.V, r.Prev, f.now()})
	f.equal("fields", e.Fields, map[string]string{
		"reason": "grace", "ticket:ranked": "t1", "ticket:casual": "t2", "lobby:": "AB12CD", "match:": "m1",
	})
	f.equal("record", f.get("ann").SID, "")
	f.outcome(f.due("ann"), session.Early)
	f.equal("events", f.eventTypes(), []string{})
}

func dueDetached(f *fixture) {
	f.call("ann")
	f.calm(f.settings.DetachedTTL)
	_ = f.events()
	f.outcome(f.due("ann"), session.Expired)
	f.equal("fields", f.lastEvent("session.expired").Fields, map[string]string{"reason": "detached"})
}

func dueConnected(f *fixture) {
	f = f.with(func(s *session.Settings) { s.OnlineLease = 3 * time.Minute })
	id := f.connect("ann")
	f.calm(f.settings.OnlineLease)
	_ = f.events()
	r := f.outcome(f.due("ann"), session.InGrace)
	f.equal("grace", []any{r.Presence, r.Reason, r.Deadline}, []any{session.Grace, "lost", f.now() + f.settings.GraceIdle.Milliseconds()})
	f.equal("event", f.lastEvent("session.grace").Fields["reason"], "lost")
	f.equal("open", len(r.Connections)+len(f.Open(f)), 0)
	f.outcome(f.connected("ann", id), session.Opened)
}

func dueLostRecord(f *fixture) {
	f.connect("ann")
	bobs := []session.ConnectionID{f.connect("bob"), f.connect("bob")}
	f.Lose(f, "ann")
	f.Lose(f, "bob")
	f.disconnected("bob", bobs[0], "tcp_closed")
	f.sweep()
	_ = f.events()
	f.outcome(f.due("ann"), session.LostRecord)
	e := f.lastEvent("session.expired")
	f.equal("event", []any{e.Player, e.SID, e.V, e.Fields}, []any{"ann", "", int64(0), map[string]string{"reason": "lost_record"}})
	f.outcome(f.due("ann"), session.Early)
	f.equal("events", f.eventTypes(), []string{})
	f.outcome(f.due("bob"), session.LostRecord)
	f.equal("left", []int{len(f.Deadlines(f)), len(f.Open(f))}, []int{0, 0})
}

func racingSweepers(f *fixture) {
	var players []string
	for i := range 20 {
		p := fmt.Sprintf("ann-%d", i)
		players = append(players, p)
		f.disconnected(p, f.connect(p), "tcp_closed")
	}
	f.calm(f.settings.GraceIdle)
	_ = f.events()
	var wg sync.WaitGroup
	outcomes := make(chan session.Outcome, 8*len(players))
	for range 8 {
		wg.Go(func() {
			passes, err := f.Store.Sweep(f.Context(), f.Shards.All())
			if err != nil {
				f.Errorf("sweep: %v", err)
			}
			for _, p := range passes {
				results, err := f.Store.Due(f.Context(), p.Members)
				if err != nil {
					f.Errorf("due: %v", err)
				}
				for _, r := range results {
					outcomes <- r.Outcome
				}
			}
		})
	}
	wg.Wait()
	close(outcomes)
	count := map[session.Outcome]int{}
	for o := range outcomes {
		count[o]++
	}
	f.equal("expired", count[session.Expired], len(players))
	perPlayer := map[string]int{}
	for _, e := range f.events() {
		f.equal("event", e.Type, "session.expired")
		perPlayer[e.Player]++
	}
	for _, p := range players {
		f.equal("consequences for "+p, perPlayer[p], 1)
	}
}

func sweepNames(f *fixture) {
	players := map[int][]string{} // by shard, in the order of their deadlines
	n := (session.MaxDuePerPass + 20) * f.Shards.N()
	for i := range n {
		p := fmt.Sprintf("ann-%d", i)
		f.call(p)
		players[f.Shards.Of(p)] = append(players[f.Shards.Of(p)], p)
		f.World.Advance(time.Millisecond)
	}
	sinceFirst := time.Duration(n) * time.Millisecond
	f.calm(f.settings.DetachedTTL - sinceFirst - time.Millisecond)
	for _, pass := range f.sweep() {
		f.equal("due too early", len(pass.Members), 0)
	}
	f.calm(time.Millisecond)
	f.equal("the first one due", f.sweepFor("ann-0").Members, []string{"ann-0"})
	f.calm(sinceFirst)
	for _, pass := range f.sweep() {
		all := players[pass.Shard]
		f.equal("due", pass.Members, all[:min(len(all), session.MaxDuePerPass)])
	}
}

func dueMends(f *fixture) {
	f.call("ann")
	f.calm(f.settings.DetachedTTL)
	late := f.sweepFor("ann").Members
	f.equal("due", late, []string{"ann"})
	r := f.call("ann")
	f.outcome(f.due("ann"), session.Early)
	f.equal("deadlines", f.Deadlines(f), map[string]int64{"ann": r.Deadline})
	f.equal("due", len(f.sweepFor("ann").Members), 0)
}

func deadlineGoes(f *fixture) {
	f.call("ann")
	f.call("bob")
	f.end("ann", session.Ending{Reason: "kicked"})
	f.equal("after an end", len(f.Deadlines(f)), 1)
	f.calm(f.settings.DetachedTTL)
	f.outcome(f.due("bob"), session.Expired)
	f.equal("after an expiry", len(f.Deadlines(f)), 0)
}

// reconciling is a fixture whose broker is asked every 30 s.
func (f *fixture) reconciling() *fixture {
	f.Helper()
	return f.with(func(s *session.Settings) { s.OnlineLease, s.ReconcileInterval = 3*time.Minute, 30*time.Second })
}

func reconciliationRenews(f *fixture) {
	f = f.reconciling()
	f.connect("ann")
	f.calm(f.settings.OnlineLease)
	f.Reconciled(f)
	r := f.outcome(f.due("ann"), session.StillOpen)
	f.equal("deadline", r.Deadline, f.now()+f.settings.OnlineLease.Milliseconds())
	f.equal("presence", []any{r.Presence, len(r.Connections)}, []any{session.Connected, 1})
}

func reconciliationSupersedes(f *fixture) {
	f = f.reconciling()
	f.connect("ann")
	second := f.connect("ann")
	f.calm(f.settings.Handover)
	f.Reconciled(f)
	r := f.outcome(f.due("ann"), session.StillOpen)
	f.equal("left", ids(r.Connections), []session.ConnectionID{second})
}

func blindKeeps(f *fixture) {
	f = f.reconciling()
	f.Reconciled(f)
	f.connect("ann")
	f.connect("ann")
	for range 5 {
		f.calm(f.settings.OnlineLease)
		r := f.outcome(f.due("ann"), session.StillOpen)
		f.equal("open", len(r.Connections), 2)
		f.equal("deadline", r.Deadline, f.now()+f.settings.ReconcileInterval.Milliseconds())
	}
	f.calm(f.settings.ReconcileInterval)
	f.Reconciled(f)
	r := f.outcome(f.due("ann"), session.StillOpen)
	f.equal("asked again: the superseded one goes", len(r.Connections), 1)
}
