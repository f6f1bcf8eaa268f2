package memstore

import (
	"context"

	"github.com/holdfast-games/holdfast/services/matchmaking/internal/queue"
)

// Enqueue implements queue.Tickets.
func (s *Store) Enqueue(_ context.Context, e queue.Entry) (queue.Queued, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now, l := s.now(), s.line(e.Ticket.Queue)
	busy := queue.Activity{WaitMS: max(l.wait, 0)}
	if g, ok := l.gone[e.Ticket.ID]; ok && g.until > now {
		over := queue.Ticket{ID: e.Ticket.ID, Queue: e.Ticket.Queue, QueuedAt: g.queuedAt}
		return queue.Queued{Outcome: queue.Over, Ticket: over, Position: 1, Activity: busy}, nil
	}
	if t := l.tickets[e.Ticket.ID]; t != nil && (t.SID == e.Ticket.SID || t.State == queue.Matched) {
		return queue.Queued{Outcome: queue.Already, Ticket: *t, Position: max(l.position(t.ID), 1), Activity: busy}, nil
	}
	if e.NotAfter > 0 && now > e.NotAfter {
		late := queue.Ticket{ID: e.Ticket.ID, Queue: e.Ticket.Queue}
		return queue.Queued{Outcome: queue.Late, Ticket: late}, nil
	}
	t := e.Ticket
	t.V, t.State, t.After, t.Match, t.Leaving = now, queue.Waiting, 0, "", ""
	if t.QueuedAt == 0 {
		t.QueuedAt = now
	}
	if !t.Reachable(now) {
		t.State = queue.Held
	}
	l.tickets[t.ID] = &t
	first := recheckAt(t, now)
	if e.NotAfter > 0 {
		first = min(first, e.NotAfter+1000)
	}
	s.look(t.Queue, ticketMember(t.Ref()), first)
	s.change(t)
	return queue.Queued{Outcome: queue.Done, Ticket: t, Position: l.position(t.ID), Activity: busy}, nil
}

// recheckAt is when a ticket wants to be looked at again.
func recheckAt(t queue.Ticket, now int64) int64 {
	next := now + ms(queue.RecheckInterval)
	if t.State == queue.Waiting && t.ReachUntil > 0 {
		return min(t.ReachUntil, next)
	}
	return next
}

// remove takes a ticket out of the queue for good.
func (s *Store) remove(t *queue.Ticket, now int64) {
	l := s.line(t.Queue)
	delete(l.tickets, t.ID)
	s.forget(t.Queue, ticketMember(t.Ref()))
	l.gone[t.ID] = grave{until: now + ms(queue.TombstoneTTL), queuedAt: t.QueuedAt}
}

func absent(r queue.Ref) queue.Change {
	return queue.Change{Outcome: queue.Absent, Ticket: queue.Ticket{ID: r.Ticket, Queue: r.Queue}}
}

// gone is the state of a ticket that left the queue, for those who follow it.
const gone queue.State = "gone"

// Release implements queue.Tickets.
func (s *Store) Release(_ context.Context, r queue.Ref, reason string, tell bool) (queue.Change, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now, l := s.now(), s.line(r.Queue)
	t := l.tickets[r.Ticket]
	if t == nil {
		g := l.gone[r.Ticket]
		if g.until <= now {
			g.queuedAt = 0
		}
		l.gone[r.Ticket] = grave{until: now + ms(queue.TombstoneTTL), queuedAt: g.queuedAt}
		return absent(r), nil
	}
	if r.SID != "" && t.SID != r.SID {
		return absent(r), nil
	}
	if t.State == queue.Matched {
		if t.Leaving == "" {
			t.Leaving = reason
		}
		return queue.Change{Outcome: queue.Committed, Ticket: *t}, nil
	}
	s.remove(t, now)
	t.State = gone
	move(&t.V, now)
	s.change(*t)
	if tell {
		s.emitOver(t, reason)
	}
	return queue.Change{Outcome: queue.Done, Ticket: *t}, nil
}

func (s *Store) emitOver(t *queue.Ticket, reason string) {
	s.emit(queue.EventTicketOver, t.Player, t.SID, map[string]string{"queue": t.Queue, "ticket": t.ID, "reason": reason})
}

// settle makes the state of a ticket fit its reach; "" = it did.
func settle(t *queue.Ticket, now int64) queue.Outcome {
	switch {
	case t.State == queue.Waiting && !t.Reachable(now):
		t.State = queue.Held
		move(&t.V, now)
		return queue.NowHeld
	case t.State == queue.Held && t.Reachable(now):
		t.State = queue.Waiting
		move(&t.V, now)
		return queue.Resumed
	default:
		return ""
	}
}

// Reach implements queue.Tickets.
func (s *Store) Reach(_ context.Context, r queue.Ref, v, until int64) (queue.Change, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now, t := s.now(), s.line(r.Queue).tickets[r.Ticket]
	if t == nil || t.SID != r.SID {
		return absent(r), nil
	}
	longer := t.ReachUntil != 0 && (until == 0 || until > t.ReachUntil)
	outcome := queue.Already
	newer := v > t.ReachV || v == t.ReachV && longer
	if newer {
		if until != t.ReachUntil {
			outcome = queue.Extended
		}
		t.ReachV, t.ReachUntil = v, until
	}
	settled := settle(t, now)
	if !newer && settled == "" {
		return queue.Change{Outcome: queue.Already, Ticket: *t}, nil
	}
	s.lookEarly(r.Queue, ticketMember(r), recheckAt(*t, now))
	if settled != "" {
		outcome = settled
	}
	if t.State != queue.Matched && outcome != queue.Already {
		s.change(*t)
	}
	return queue.Change{Outcome: outcome, Ticket: *t}, nil
}

// Recheck implements queue.Tickets.
func (s *Store) Recheck(_ context.Context, r queue.Ref) (queue.Change, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now, t := s.now(), s.line(r.Queue).tickets[r.Ticket]
	if t == nil {
		s.forget(r.Queue, ticketMember(r))
		return absent(r), nil
	}
	outcome := settle(t, now)
	if outcome != "" {
		s.change(*t)
	} else {
		outcome = queue.Already
	}
	s.look(r.Queue, ticketMember(r), recheckAt(*t, now))
	return queue.Change{Outcome: outcome, Ticket: *t}, nil
}

// Standings implements queue.Tickets.
func (s *Store) Standings(_ context.Context, refs []queue.Ref) ([]queue.Standing, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]queue.Standing, len(refs))
	for i, r := range refs {
		l := s.line(r.Queue)
		if t := l.tickets[r.Ticket]; t != nil && (r.SID == "" || t.SID == r.SID) {
			out[i] = queue.Standing{Ticket: *t, Position: l.position(r.Ticket)}
		}
	}
	return out, nil
}

// Activities implements queue.Tickets.
func (s *Store) Activities(_ context.Context, queues []string) ([]queue.Activity, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]queue.Activity, len(queues))
	for i, name := range queues {
		l := s.line(name)
		out[i] = queue.Activity{Waiting: int64(len(l.standing())), InMatch: l.inMatch, WaitMS: max(l.wait, 0)}
	}
	return out, nil
}
