package queuetest

import (
	"errors"
	"time"

	"github.com/holdfast-games/holdfast/services/matchmaking/internal/queue"
)

func (t *trial) dissolve(m queue.Match, verdicts ...queue.Status) queue.Progress {
	t.Helper()
	p, err := t.Store.Dissolve(t.Context(), m, queue.ReasonRefused, verdicts)
	t.must(err)
	return p
}

// restore returns "player state" of the tickets that are back.
func (t *trial) restore(m queue.Match) (back []string) {
	t.Helper()
	tickets, err := t.Store.Restore(t.Context(), m)
	t.must(err)
	for _, ticket := range tickets {
		back = append(back, ticket.Player+" "+string(ticket.State))
	}
	return back
}

var matchCases = []testCase{
	{"found ends the tickets and counts the players", func(t *trial) {
		m := t.form("ann", "bob")
		t.Clock.Advance(2 * time.Second)
		p, err := t.Store.Found(t.Context(), m, time.Hour)
		t.must(err)
		t.expect("outcome", p.Outcome, queue.Done)
		t.expect("state", p.Match.State, queue.Found)
		t.expect("ends", p.Match.EndsAt, t.Clock.Now()+time.Hour.Milliseconds())
		t.expect("activity", t.activity(), queue.Activity{InMatch: 2, WaitMS: 2000})
		t.expect("ticket", t.ticket(queue.Ref{Queue: ranked, Ticket: m.Members[0].Ticket}).Ticket.Player, "")
		t.expect("tombstone", t.enqueue(t.entry("ann")).Outcome, queue.Over)
		t.expect("events", t.events(queue.EventMatchFound), "[ann/sid-ann match="+m.ID+" queue="+ranked+"]")
		p, err = t.Store.Found(t.Context(), m, time.Hour)
		t.must(err)
		t.expect("again", p.Outcome, queue.Already)
		t.expect("events", len(t.events(queue.EventMatchFound)), 1)
		t.expect("players", t.activity().InMatch, 2)
	}},
	{"the average wait follows", func(t *trial) {
		m := t.form("ann", "bob")
		t.Clock.Advance(10 * time.Second)
		_, err := t.Store.Found(t.Context(), m, time.Hour)
		t.must(err)
		t.found("cat", "dan")
		t.expect("average", t.activity().WaitMS, 6400)
	}},
	{"of found and dissolve one wins", func(t *trial) {
		m := t.found("ann", "bob")
		t.expect("dissolve", t.dissolve(m, queue.Willing, queue.Gone).Outcome, queue.Refused)
		other := t.form("cat", "dan")
		t.expect("dissolve", t.dissolve(other, queue.Willing, queue.Gone).Outcome, queue.Done)
		t.expect("again", t.dissolve(other, queue.Gone, queue.Gone).Outcome, queue.Already)
		p, err := t.Store.Found(t.Context(), other, time.Hour)
		t.must(err)
		t.expect("found", p.Outcome, queue.Refused)
		t.expect("verdicts", p.Match.Members[0].Status, queue.Willing)
	}},
	{"restore puts the innocent back where they were", func(t *trial) {
		before := t.join("ann")
		t.Clock.Advance(time.Second)
		bob, cat, dan := t.join("bob"), t.join("cat"), t.join("dan")
		p := t.propose(before, bob, cat, dan)
		t.commit(p)
		m := t.match(p.Match)
		t.Clock.Advance(time.Second)
		t.dissolve(m, queue.Willing, queue.Gone, queue.Busy, queue.Unreachable)
		t.expect("nobody stands before restore", t.standing(), "")
		t.reach(dan.Ref(), 2, t.Clock.Now())
		t.expect("back", t.restore(m), "[ann waiting cat waiting dan held]")
		t.expect("again", t.restore(m), "[]")
		after := t.ticket(before.Ref()).Ticket
		t.expect("queuedAt", after.QueuedAt, before.QueuedAt)
		t.expect("match", after.Match, "")
		t.expect("the busy one rests", t.ticket(cat.Ref()).Ticket.After, t.Clock.Now()+queue.BusyPause.Milliseconds())
		t.expect("gone", t.enqueue(t.entry("bob")).Outcome, queue.Over)
		t.expect("ann may be matched at once", t.commit(t.propose(after, t.join("eve"))).Outcome, queue.Done)
		t.expect("the busy one may not", t.commit(t.propose(t.ticket(cat.Ref()).Ticket, t.join("fay"))).Outcome, queue.Refused)
	}},
	{"who left while a match was forming does not come back", func(t *trial) {
		m := t.form("ann", "bob")
		t.release(queue.Ref{Queue: ranked, Ticket: m.Members[0].Ticket}, true)
		t.dissolve(m, queue.Willing, queue.Gone)
		t.expect("back", t.restore(m), "[]")
		t.expect("events", t.events(queue.EventTicketOver),
			"[ann/sid-ann queue="+ranked+" reason=left ticket="+m.Members[0].Ticket+"]")
	}},
	{"restore leaves other matches alone", func(t *trial) {
		m := t.form("ann", "bob")
		t.expect("forming", t.restore(m), "[]")
		t.expect("standing", t.standing(), "")
		t.dissolve(m, queue.Willing, queue.Willing)
		t.restore(m)
		next := t.propose(t.load().Tickets...)
		t.commit(next)
		t.restore(m)
		t.expect("standing", t.standing(), "")
		t.expect("state", t.match(next.Match).State, queue.Forming)
	}},
	{"marks move forward only", func(t *trial) {
		m := t.found("ann", "bob")
		t.expect("in", t.mark(m, queue.Mark{Player: "ann", Status: queue.In, V: 7}).Outcome, queue.Done)
		t.expect("again", t.mark(m, queue.Mark{Player: "ann", Status: queue.In, V: 9}).Outcome, queue.Already)
		p := t.mark(m, queue.Mark{Player: "ann", Status: queue.Read}, queue.Mark{Player: "bob", Status: queue.In, V: 8})
		t.expect("ann", p.Match.Members[0], queue.Member{Player: "ann", SID: "sid-ann", Ticket: m.Members[0].Ticket, Status: queue.Read, V: 7})
		t.expect("bob", p.Match.Members[1].V, 8)
		t.expect("stranger", t.mark(m, queue.Mark{Player: "eve", Status: queue.Left}).Outcome, queue.Already)
	}},
	{"a match is over when everybody left", func(t *trial) {
		m := t.found("ann", "bob")
		p := t.mark(m, queue.Mark{Player: "ann", Status: queue.Left, Reason: "left"})
		t.expect("state", p.Match.State, queue.Found)
		t.expect("players", t.activity().InMatch, 1)
		t.mark(m, queue.Mark{Player: "ann", Status: queue.Left, Reason: "left"})
		p = t.mark(m, queue.Mark{Player: "bob", Status: queue.Left, Reason: "expired"})
		t.expect("state", p.Match.State, queue.Void)
		t.expect("reason", p.Match.Reason, queue.ReasonAllLeft)
		t.expect("players", t.activity().InMatch, 0)
		t.expect("left", t.events(queue.EventMatchLeft), "[ann/sid-ann match="+m.ID+" queue="+ranked+" reason=left "+
			"bob/sid-bob match="+m.ID+" queue="+ranked+" reason=expired]")
		t.expect("over", t.events(queue.EventMatchOver), "[ann/sid-ann match="+m.ID+" queue="+ranked+" reason=everybody_left]")
		t.expect("late mark", t.mark(m, queue.Mark{Player: "bob", Status: queue.Left}).Outcome, queue.Refused)
		t.expect("finish", t.finish(m), queue.Already)
	}},
	{"a match is over when its time is", func(t *trial) {
		m := t.found("ann", "bob")
		t.mark(m, queue.Mark{Player: "bob", Status: queue.Left})
		t.expect("early", t.finish(m), queue.Early)
		t.pass(time.Hour)
		t.expect("finish", t.finish(m), queue.Done)
		t.expect("again", t.finish(m), queue.Already)
		t.expect("players", t.activity().InMatch, 0)
		t.expect("over", t.events(queue.EventMatchOver), "[ann/sid-ann match="+m.ID+" queue="+ranked+" reason=max_duration]")
		t.expect("forming is not finished", t.finish(t.form("cat", "dan")), queue.Refused)
	}},
	{"a match that is over is kept for a while", func(t *trial) {
		m := t.found("ann", "bob")
		t.mark(m, queue.Mark{Player: "ann", Status: queue.Left}, queue.Mark{Player: "bob", Status: queue.Left})
		t.pass(9 * time.Minute)
		t.expect("state", t.match(m.ID).State, queue.Void)
		if t.Age == nil {
			return
		}
		t.pass(time.Minute)
		_, err := t.Store.Match(t.Context(), m.ID)
		t.expect("unknown", errors.Is(err, queue.ErrUnknownMatch), true)
		_, err = t.Store.Mark(t.Context(), m, nil, 0)
		t.expect("mark", errors.Is(err, queue.ErrUnknownMatch), true)
	}},
	{"made-up ids are unknown", func(t *trial) {
		for _, id := range []string{"", "x", "99.x", "01.", "01.nobody", "-1.x", "01.x.y"} {
			if _, err := t.Store.Match(t.Context(), id); !errors.Is(err, queue.ErrUnknownMatch) {
				t.Errorf("match %q: %v", id, err)
			}
		}
	}},
}

func (t *trial) finish(m queue.Match) queue.Outcome {
	t.Helper()
	p, err := t.Store.Finish(t.Context(), m, queue.ReasonMaxDuration)
	t.must(err)
	return p.Outcome
}

var deadlineCases = []testCase{
	{"a ticket is named when its reservation is over, and then now and then", func(t *trial) {
		ref := t.join("ann").Ref()
		t.pass(10 * time.Second)
		due, _ := t.sweep()
		t.expect("before", due, "[]")
		t.Clock.Advance(time.Second)
		due, _ = t.sweep()
		t.expect("due", due, "[t:ann]")
		due, _ = t.sweep()
		t.expect("kept from others", due, "[]")
		t.Clock.Advance(queue.SweepClaim)
		due, _ = t.sweep()
		t.expect("named again, since nobody looked", due, "[t:ann]")
		_, err := t.Store.Recheck(t.Context(), ref)
		t.must(err)
		t.pass(29 * time.Second)
		t.Clock.Advance(time.Second)
		due, _ = t.sweep()
		t.expect("rechecked", due, "[t:ann]")
	}},
	{"a match is named until it is settled", func(t *trial) {
		m := t.form("ann", "bob")
		t.Clock.Advance(queue.FormingTimeout)
		due, _ := t.sweep()
		t.expect("forming", due, "[m:match1]")
		_, err := t.Store.Found(t.Context(), m, time.Hour)
		t.must(err)
		_, err = t.Store.Mark(t.Context(), m, nil, 2*time.Second)
		t.must(err)
		t.Clock.Advance(2 * time.Second)
		due, _ = t.sweep()
		t.expect("marked", due, "[m:match1]")
		t.must(t.Store.Settle(t.Context(), m.ID))
		t.Clock.Advance(9 * time.Second)
		due, _ = t.sweep()
		t.expect("settled", due, "[]")
	}},
	{"time in which nobody swept is given back to matches, once", func(t *trial) {
		t.sweep()
		m := t.found("ann", "bob")
		t.Clock.Advance(2 * time.Hour)
		_, given := t.sweep()
		t.expect("given", given, (2 * time.Hour).Milliseconds())
		_, given = t.sweep()
		t.expect("given again", given, 0)
		t.expect("finish", t.finish(m), queue.Early)
		t.expect("ends", t.match(m.ID).EndsAt, t.Clock.Now()+time.Hour.Milliseconds())
		t.pass(time.Hour)
		t.expect("finish", t.finish(m), queue.Done)
	}},
	{"what we owe ourselves is not put off by an outage", func(t *trial) {
		t.sweep()
		t.form("ann", "bob")
		t.Clock.Advance(time.Hour)
		due, _ := t.sweep()
		t.expect("due", due, "[m:match1 t:ann t:bob]")
	}},
}
