package queuetest

import (
	"errors"
	"time"

	"github.com/holdfast-games/holdfast/services/matchmaking/internal/queue"
)

// follow returns "player state" of each change after a cursor.
func (t *trial) follow(from queue.Cursor) (changes []string, next queue.Cursor) {
	t.Helper()
	f, err := t.Store.Follow(t.Context(), ranked, from, 0)
	t.must(err)
	for _, ticket := range f.Tickets {
		changes = append(changes, ticket.Player+" "+string(ticket.State))
	}
	return changes, f.Cursor
}

var poolCases = []testCase{
	{"whoever loads and follows sees every change in order", func(t *trial) {
		ann := t.join("ann")
		loaded := t.load()
		t.expect("loaded", len(loaded.Tickets), 1)
		t.expect("load", loaded.Tickets[0], ann)
		changes, next := t.follow(loaded.Cursor)
		t.expect("changes", changes, "[]")
		bob := t.join("bob")
		t.reach(ann.Ref(), 2, t.Clock.Now())
		ann = t.reach(ann.Ref(), 3, 0).Ticket
		t.commit(t.propose(ann, bob))
		changes, next = t.follow(next)
		t.expect("changes", changes, "[bob waiting ann held ann waiting ann matched bob matched]")
		changes, _ = t.follow(next)
		t.expect("changes", changes, "[]")
	}},
	{"a change brings the whole ticket", func(t *trial) {
		from := t.load().Cursor
		e := t.entry("ann")
		e.Ticket.Attributes = map[string][]string{"version": {"1"}}
		e.Ticket.ReachUntil = t.Clock.Now() + 1000
		want := t.enqueue(e).Ticket
		f, err := t.Store.Follow(t.Context(), ranked, from, 0)
		t.must(err)
		t.expect("tickets", f.Tickets, []queue.Ticket{want})
	}},
	{"a cursor from the future is a hole", func(t *trial) {
		t.join("ann")
		c := t.load().Cursor
		c.Seq += 5
		t.join("bob")
		if _, err := t.Store.Follow(t.Context(), ranked, c, 0); !errors.Is(err, queue.ErrHole) {
			t.Fatalf("got %v, want a hole", err)
		}
	}},
	{"a commit takes all or nothing", func(t *trial) {
		ann, bob, cat := t.join("ann"), t.join("bob"), t.join("cat")
		t.reach(bob.Ref(), 2, t.Clock.Now())
		c := t.commit(t.propose(ann, bob))
		t.expect("refused", c, queue.Commitment{Outcome: queue.Refused, Stale: []string{bob.ID}})
		t.expect("standing", t.standing(), "ann waiting, bob held, cat waiting")
		p := t.propose(ann, cat)
		t.expect("outcome", t.commit(p).Outcome, queue.Done)
		t.expect("standing", t.standing(), "bob held")
		m := t.match(p.Match)
		t.expect("state", m.State, queue.Forming)
		t.expect("members", m.Members, []queue.Member{
			{Player: "ann", SID: "sid-ann", Ticket: ann.ID, Status: queue.Asked},
			{Player: "cat", SID: "sid-cat", Ticket: cat.ID, Status: queue.Asked},
		})
		t.expect("events", t.events(queue.EventMatchForming), "[ann/sid-ann match="+p.Match+" queue="+ranked+"]")
		t.expect("waiting", t.activity().Waiting, 1)
	}},
	{"no ticket is in two matches", func(t *trial) {
		ann, bob, cat := t.join("ann"), t.join("bob"), t.join("cat")
		out, err := t.Store.Commit(t.Context(), ranked, []queue.Proposal{t.propose(ann, bob), t.propose(bob, cat)})
		t.must(err)
		t.expect("first", out[0].Outcome, queue.Done)
		t.expect("second", out[1], queue.Commitment{Outcome: queue.Refused, Stale: []string{bob.ID}})
	}},
	{"a commit wants what was planned with", func(t *trial) {
		ann, bob := t.join("ann"), t.join("bob")
		t.reach(ann.Ref(), 2, t.Clock.Now())
		t.reach(ann.Ref(), 3, 0)
		t.expect("old version", t.commit(t.propose(ann, bob)).Outcome, queue.Refused)
		absent := ann
		absent.ID = t.id(ranked, "nobody")
		t.expect("no ticket", t.commit(t.propose(absent, bob)).Stale, []string{absent.ID})
	}},
	{"a commit refuses whose reach is just over", func(t *trial) {
		e := t.entry("ann")
		e.Ticket.ReachUntil = t.Clock.Now() + 1000
		ann, bob := t.enqueue(e).Ticket, t.join("bob")
		t.Clock.Advance(time.Second)
		t.expect("stale", t.commit(t.propose(ann, bob)).Stale, []string{ann.ID})
	}},
	{"a release loses against a commit", func(t *trial) {
		m := t.form("ann", "bob")
		c := t.release(queue.Ref{Queue: ranked, Ticket: m.Members[0].Ticket}, true)
		t.expect("outcome", c.Outcome, queue.Committed)
		p, err := t.Store.Found(t.Context(), m, time.Hour)
		t.must(err)
		t.expect("found", p.Outcome, queue.Done)
		t.expect("events", t.events(queue.EventTicketOver), "[]")
	}},
	{"one instance has the lease", func(t *trial) {
		lease := func(instance string, ttl time.Duration) bool {
			held, now, err := t.Store.Lease(t.Context(), ranked, instance, ttl)
			t.must(err)
			t.expect("now", now, t.Clock.Now())
			return held
		}
		t.expect("first", lease("a", time.Minute), true)
		t.expect("again", lease("a", time.Minute), true)
		t.expect("another", lease("b", time.Minute), false)
		t.expect("another gives it back", lease("b", 0), false)
		t.expect("still another", lease("b", time.Minute), false)
		t.expect("given back", lease("a", 0), false)
		t.expect("now another", lease("b", time.Minute), true)
	}},
}
