package memstore

import (
	"context"
	"slices"
	"time"

	"github.com/holdfast-games/holdfast/services/matchmaking/internal/queue"
)

// get returns a match that is still kept.
func (s *Store) get(id string) (*match, error) {
	n, ok := s.shardOf(id)
	m := s.matches[id]
	if !ok || m == nil || m.keep > 0 && m.keep <= s.now() {
		return nil, queue.ErrUnknownMatch
	}
	m.Now = s.now()
	m.EndsAt = m.endsAt
	if m.endsAt != 0 {
		m.EndsAt += s.clocks[n].shift
	}
	return m, nil
}

func (m *match) copy() queue.Match {
	out := m.Match
	out.Members = slices.Clone(m.Members)
	return out
}

func (m *match) progress(outcome queue.Outcome) (queue.Progress, error) {
	return queue.Progress{Outcome: outcome, Match: m.copy()}, nil
}

// Match implements queue.Matches.
func (s *Store) Match(_ context.Context, id string) (queue.Match, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m, err := s.get(id)
	if err != nil {
		return queue.Match{}, err
	}
	return m.copy(), nil
}

// Found implements queue.Matches.
func (s *Store) Found(_ context.Context, ref queue.Match, lasts time.Duration) (queue.Progress, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m, err := s.get(ref.ID)
	switch {
	case err != nil:
		return queue.Progress{}, err
	case m.State == queue.Cancelled:
		return m.progress(queue.Refused)
	case m.State != queue.Forming:
		return m.progress(queue.Already)
	}
	now, l := s.now(), s.line(m.Queue)
	m.State, m.FoundAt = queue.Found, now
	m.EndsAt = now + ms(lasts)
	m.endsAt = m.EndsAt - s.clocks[s.shards.Of(m.Queue)].shift
	move(&m.V, now)
	for _, member := range m.Members {
		t := l.tickets[member.Ticket]
		if t == nil {
			continue
		}
		if waited := max(now-t.QueuedAt, 0); l.wait < 0 {
			l.wait = waited
		} else {
			l.wait = (l.wait*4 + waited) / 5
		}
		s.remove(t, now)
	}
	l.wait = max(l.wait, 0)
	l.inMatch += int64(len(m.Members))
	s.look(m.Queue, "m:"+m.ID, now+ms(queue.FormingTimeout))
	s.emitMatch(queue.EventMatchFound, m, m.Members[0], "")
	return m.progress(queue.Done)
}

// Dissolve implements queue.Matches.
func (s *Store) Dissolve(_ context.Context, ref queue.Match, reason string, verdicts []queue.Status) (queue.Progress, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m, err := s.get(ref.ID)
	switch {
	case err != nil:
		return queue.Progress{}, err
	case m.State == queue.Cancelled:
		return m.progress(queue.Already)
	case m.State != queue.Forming:
		return m.progress(queue.Refused)
	}
	m.State, m.Reason = queue.Cancelled, reason
	move(&m.V, s.now())
	for i := range m.Members {
		if i < len(verdicts) {
			m.Members[i].Status = verdicts[i]
		}
	}
	s.look(m.Queue, "m:"+m.ID, s.now()+ms(queue.FormingTimeout))
	return m.progress(queue.Done)
}

// Restore implements queue.Matches.
func (s *Store) Restore(_ context.Context, ref queue.Match) ([]queue.Ticket, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m, err := s.get(ref.ID)
	if err != nil || m.State != queue.Cancelled {
		return nil, nil
	}
	var back []queue.Ticket
	for _, member := range m.Members {
		t := s.line(m.Queue).tickets[member.Ticket]
		if t == nil || t.State != queue.Matched || t.Match != m.ID {
			continue
		}
		if s.restore(t, member.Status) {
			back = append(back, *t)
		}
	}
	m.keep = s.now() + ms(queue.KeepMatch)
	s.forget(m.Queue, "m:"+m.ID)
	return back, nil
}

func (s *Store) restore(t *queue.Ticket, verdict queue.Status) (back bool) {
	now := s.now()
	t.Match = ""
	move(&t.V, now)
	if back = verdict != queue.Gone && t.Leaving == ""; back {
		t.State, t.After = queue.Waiting, 0
		if !t.Reachable(now) {
			t.State = queue.Held
		}
		if verdict != queue.Willing {
			t.After = now + ms(queue.BusyPause)
		}
		s.lookEarly(t.Queue, ticketMember(t.Ref()), recheckAt(*t, now))
	} else {
		s.remove(t, now)
		t.State = gone
		if t.Leaving != "" {
			s.emitOver(t, t.Leaving)
		}
	}
	s.change(*t)
	return back
}

// rank orders the statuses of a member of a found match.
func rank(s queue.Status) int {
	return slices.Index([]queue.Status{queue.Asked, queue.In, queue.Read, queue.Left}, s)
}

// Mark implements queue.Matches.
func (s *Store) Mark(_ context.Context, ref queue.Match, marks []queue.Mark, next time.Duration) (queue.Progress, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m, err := s.get(ref.ID)
	if err != nil {
		return queue.Progress{}, err
	}
	if m.State != queue.Found {
		return m.progress(queue.Refused)
	}
	now, changed := s.now(), false
	for _, mark := range marks {
		i := slices.IndexFunc(m.Members, func(x queue.Member) bool { return x.Player == mark.Player })
		if i < 0 || rank(mark.Status) <= rank(m.Members[i].Status) {
			continue
		}
		changed = true
		move(&m.V, now)
		m.Members[i].Status = mark.Status
		if mark.Status == queue.In {
			m.Members[i].V = mark.V
		}
		if mark.Status == queue.Left {
			s.line(m.Queue).inMatch--
			s.emitMatch(queue.EventMatchLeft, m, m.Members[i], mark.Reason)
		}
	}
	if next > 0 {
		s.look(m.Queue, "m:"+m.ID, now+ms(next))
	}
	if !changed {
		return m.progress(queue.Already)
	}
	if m.playing() == 0 {
		s.end(m, queue.ReasonAllLeft)
	}
	return m.progress(queue.Done)
}

func (m *match) playing() (n int64) {
	for _, member := range m.Members {
		if member.Status != queue.Left {
			n++
		}
	}
	return n
}

func (s *Store) end(m *match, reason string) {
	now := s.now()
	m.State, m.Reason = queue.Void, reason
	move(&m.V, now)
	m.keep = now + ms(queue.KeepMatch)
	s.line(m.Queue).inMatch -= m.playing()
	s.emitMatch(queue.EventMatchOver, m, m.Members[0], reason)
	s.look(m.Queue, "m:"+m.ID, now+ms(queue.FormingTimeout))
}

// Finish implements queue.Matches.
func (s *Store) Finish(_ context.Context, ref queue.Match, reason string) (queue.Progress, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m, err := s.get(ref.ID)
	switch {
	case err != nil:
		return queue.Progress{}, err
	case m.State == queue.Void:
		return m.progress(queue.Already)
	case m.State != queue.Found:
		return m.progress(queue.Refused)
	case m.EndsAt > s.now():
		s.lookEarly(m.Queue, "m:"+m.ID, m.EndsAt)
		return m.progress(queue.Early)
	}
	s.end(m, reason)
	return m.progress(queue.Done)
}

// Settle implements queue.Matches.
func (s *Store) Settle(_ context.Context, id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, ok := s.shardOf(id)
	if !ok {
		return queue.ErrUnknownMatch
	}
	delete(s.due[n], "m:"+id)
	return nil
}
