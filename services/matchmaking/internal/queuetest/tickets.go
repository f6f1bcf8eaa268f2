package queuetest

import (
	"reflect"
	"time"

	"github.com/holdfast-games/holdfast/services/matchmaking/internal/queue"
)

var ticketCases = []testCase{
	{"a ticket waits from the moment it was first taken", func(t *trial) {
		e := t.entry("ann")
		e.Ticket.Attributes = map[string][]string{"version": {"1.4"}, "mods": {"a b", "c"}}
		e.Ticket.Latencies = map[string]float64{"eu": 24.5}
		q := t.enqueue(e)
		want := e.Ticket
		want.State, want.QueuedAt, want.V = queue.Waiting, t.Clock.Now(), t.Clock.Now()
		if q.Outcome != queue.Done || !reflect.DeepEqual(q.Ticket, want) || q.Position != 1 {
			t.Fatalf("got %+v, want the ticket %+v in place 1", q, want)
		}
		if s := t.ticket(want.Ref()); !reflect.DeepEqual(s, queue.Standing{Ticket: want, Position: 1}) {
			t.Fatalf("read back %+v", s)
		}
		t.pass(time.Second)
		e.NotAfter, e.Ticket.Rating = t.Clock.Now()-500, 999
		again := t.enqueue(e)
		if again.Outcome != queue.Already || !reflect.DeepEqual(again.Ticket, want) {
			t.Fatalf("taken again: %+v", again)
		}
	}},
	{"positions are by waiting time", func(t *trial) {
		t.join("ann")
		t.Clock.Advance(time.Millisecond)
		t.join("bob")
		t.Clock.Advance(time.Millisecond)
		t.expect("position", t.enqueue(t.entry("cat")).Position, 3)
		t.release(queue.Ref{Queue: ranked, Ticket: t.id(ranked, "ann")}, false)
		t.expect("position", t.ticket(queue.Ref{Queue: ranked, Ticket: t.id(ranked, "cat")}).Position, 2)
		t.expect("waiting", t.activity().Waiting, 2)
	}},
	{"who cannot be reached is held from the start", func(t *trial) {
		e := t.entry("ann")
		e.Ticket.ReachUntil = t.Clock.Now()
		t.expect("state", t.enqueue(e).Ticket.State, queue.Held)
	}},
	{"a ticket that comes late is refused", func(t *trial) {
		e := t.entry("ann")
		e.NotAfter = t.Clock.Now()
		t.Clock.Advance(time.Millisecond)
		t.expect("outcome", t.enqueue(e).Outcome, queue.Late)
		t.expect("standing", t.standing(), "")
		e.NotAfter = 0
		t.expect("of a confirmed place", t.enqueue(e).Outcome, queue.Done)
	}},
	{"a ticket that was lost keeps its time", func(t *trial) {
		e := t.entry("ann")
		e.Ticket.QueuedAt = t.Clock.Now() - 5000
		t.expect("queuedAt", t.enqueue(e).Ticket.QueuedAt, t.Clock.Now()-5000)
	}},
	{"a release that comes first leaves a tombstone of a minute", func(t *trial) {
		e := t.entry("ann")
		t.expect("release", t.release(e.Ticket.Ref(), true).Outcome, queue.Absent)
		e.NotAfter = 0
		t.expect("enqueue", t.enqueue(e).Outcome, queue.Over)
		t.pass(59 * time.Second)
		t.expect("enqueue after 59 s", t.enqueue(e).Outcome, queue.Over)
		t.pass(time.Second)
		t.expect("enqueue after 60 s", t.enqueue(e).Outcome, queue.Done)
	}},
	{"a release removes the ticket once and tells why", func(t *trial) {
		ticket := t.join("ann")
		t.Clock.Advance(time.Second)
		t.expect("release", t.release(ticket.Ref(), true).Outcome, queue.Done)
		t.expect("again", t.release(ticket.Ref(), true).Outcome, queue.Absent)
		t.expect("events", t.events(queue.EventTicketOver),
			"[ann/sid-ann queue="+ranked+" reason=left ticket="+ticket.ID+"]")
		over := t.enqueue(t.entry("ann"))
		t.expect("tombstone", over.Outcome, queue.Over)
		t.expect("its queuedAt", over.Ticket.QueuedAt, ticket.QueuedAt)
		t.expect("standing", t.standing(), "")
	}},
	{"a release without tell is silent", func(t *trial) {
		t.release(t.join("ann").Ref(), false)
		t.expect("events", len(t.Events(t)), 0)
	}},
	{"another life of the session touches nothing", func(t *trial) {
		ticket := t.join("ann")
		other := ticket.Ref()
		other.SID = "another"
		t.expect("release", t.release(other, true).Outcome, queue.Absent)
		t.expect("reach", t.reach(other, 99, t.Clock.Now()).Outcome, queue.Absent)
		t.expect("read", t.ticket(other).Ticket.Player, "")
		t.expect("enqueue", t.enqueue(t.entry("ann")).Outcome, queue.Already)
	}},
	{"the ticket of an earlier life is replaced", func(t *trial) {
		t.join("ann")
		t.pass(time.Second)
		e := t.entry("ann")
		e.Ticket.SID = "sid-2"
		q := t.enqueue(e)
		t.expect("outcome", q.Outcome, queue.Done)
		t.expect("queuedAt", q.Ticket.QueuedAt, t.Clock.Now())
		t.expect("standing", t.standing(), "ann waiting")
	}},
	{"reach holds and resumes, and queuedAt stays", func(t *trial) {
		ticket := t.join("ann")
		t.Clock.Advance(time.Second)
		held := t.reach(ticket.Ref(), 2, t.Clock.Now())
		t.expect("outcome", held.Outcome, queue.NowHeld)
		t.expect("standing", t.standing(), "ann held")
		if held.Ticket.V <= ticket.V || held.Ticket.QueuedAt != ticket.QueuedAt {
			t.Fatalf("held is %+v, it was %+v", held.Ticket, ticket)
		}
		t.expect("again", t.reach(ticket.Ref(), 2, t.Clock.Now()).Outcome, queue.Already)
		back := t.reach(ticket.Ref(), 3, 0)
		t.expect("outcome", back.Outcome, queue.Resumed)
		if back.Ticket.V <= held.Ticket.V || back.Ticket.QueuedAt != ticket.QueuedAt {
			t.Fatalf("resumed is %+v, it was %+v", back.Ticket, held.Ticket)
		}
	}},
	{"old news of reach changes nothing", func(t *trial) {
		ticket := t.join("ann")
		t.expect("connected", t.reach(ticket.Ref(), 5, 0).Outcome, queue.Already)
		t.expect("an older drop", t.reach(ticket.Ref(), 4, t.Clock.Now()).Outcome, queue.Already)
		t.expect("standing", t.standing(), "ann waiting")
	}},
	{"a call extends the reach", func(t *trial) {
		e := t.entry("ann")
		e.Ticket.ReachUntil = t.Clock.Now() + 15_000
		ticket := t.enqueue(e).Ticket
		t.expect("longer", t.reach(ticket.Ref(), 1, t.Clock.Now()+20_000).Outcome, queue.Extended)
		t.expect("shorter", t.reach(ticket.Ref(), 1, t.Clock.Now()+10_000).Outcome, queue.Already)
		t.expect("until", t.ticket(ticket.Ref()).Ticket.ReachUntil, t.Clock.Now()+20_000)
		t.expect("version", t.ticket(ticket.Ref()).Ticket.V, ticket.V)
	}},
	{"a recheck holds whom nobody heard of", func(t *trial) {
		e := t.entry("ann")
		e.Ticket.ReachUntil = t.Clock.Now() + 3000
		ref := t.enqueue(e).Ticket.Ref()
		t.pass(2 * time.Second)
		c, err := t.Store.Recheck(t.Context(), ref)
		t.must(err)
		t.expect("in time", c.Outcome, queue.Already)
		t.Clock.Advance(time.Second)
		due, _ := t.sweep()
		t.expect("due", due, "[t:ann]")
		c, err = t.Store.Recheck(t.Context(), ref)
		t.must(err)
		t.expect("outcome", c.Outcome, queue.NowHeld)
		t.expect("standing", t.standing(), "ann held")
	}},
	{"a recheck forgets a ticket without a record", func(t *trial) {
		ref := t.join("ann").Ref()
		t.release(ref, false)
		c, err := t.Store.Recheck(t.Context(), ref)
		t.must(err)
		t.expect("outcome", c.Outcome, queue.Absent)
		t.Clock.Advance(time.Hour)
		due, _ := t.sweep()
		t.expect("due", due, "[]")
	}},
	{"unknown queues are idle", func(t *trial) {
		a, err := t.Store.Activities(t.Context(), []string{"nobody", ranked})
		t.must(err)
		t.expect("activities", a, []queue.Activity{{}, {}})
	}},
}
