package steward

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/holdfast-games/holdfast/pkg/session"
	"github.com/holdfast-games/holdfast/services/matchmaking/internal/notice"
	"github.com/holdfast-games/holdfast/services/matchmaking/internal/queue"
)

// advance moves a match on from wherever it is. due says that the sweep asks,
// so that what takes its time is looked at as well.
func (s *Steward) advance(ctx context.Context, id string, due bool) error {
	m, err := s.Store.Match(ctx, id)
	if errors.Is(err, queue.ErrUnknownMatch) {
		return ignoreUnknown(s.Store.Settle(ctx, id))
	}
	if err != nil {
		return err
	}
	switch m.State {
	case queue.Forming:
		return s.gather(ctx, m)
	case queue.Found:
		if err := s.announce(ctx, m); err != nil || !due {
			return err
		}
		return s.watch(ctx, m)
	case queue.Cancelled:
		return s.restore(ctx, m)
	case queue.Void:
		return s.resolve(ctx, m)
	default:
		return fmt.Errorf("match %s: unknown state %q", id, m.State)
	}
}

// gather asks every session to take the match. All must, or it is off.
func (s *Steward) gather(ctx context.Context, m queue.Match) error {
	reservations := make([]session.MatchReservation, len(m.Members))
	for i, member := range m.Members {
		reservations[i] = session.MatchReservation{
			Player: member.Player, SID: member.SID, Queue: m.Queue, Ticket: member.Ticket, Match: m.ID,
		}
	}
	holds, err := s.Sessions.ReserveMatch(ctx, reservations)
	if err != nil {
		return err
	}
	verdicts, willing := judge(holds)
	var p queue.Progress
	if willing {
		lasts := queue.DefaultDuration
		if q, ok := s.Rules.Queue(m.Queue); ok {
			lasts = q.MaxDuration
		}
		p, err = s.Store.Found(ctx, m, lasts)
	} else {
		if err := s.learn(ctx, m, holds, verdicts); err != nil {
			return err
		}
		p, err = s.Store.Dissolve(ctx, m, queue.ReasonRefused, verdicts)
	}
	switch {
	case err != nil:
		return ignoreUnknown(err)
	case p.Match.State == queue.Found:
		return s.announce(ctx, p.Match)
	default: // somebody else may have been faster; the places just taken must not stay
		return s.restore(ctx, p.Match)
	}
}

func judge(holds []session.Hold) (verdicts []queue.Status, willing bool) {
	willing = true
	for _, h := range holds {
		verdict := queue.Gone
		switch h.Outcome {
		case session.Reserved, session.Already:
			verdict = queue.Willing
		case session.Taken:
			verdict = queue.Busy
		case session.Unreachable:
			verdict = queue.Unreachable
		default:
		}
		verdicts = append(verdicts, verdict)
		willing = willing && verdict == queue.Willing
	}
	return verdicts, willing
}

// learn notes which members cannot be reached, so that their tickets come
// back held.
func (s *Steward) learn(ctx context.Context, m queue.Match, holds []session.Hold, verdicts []queue.Status) error {
	for i, member := range m.Members {
		if verdicts[i] != queue.Unreachable {
			continue
		}
		r := holds[i].Record
		ref := queue.Ref{Queue: m.Queue, Ticket: member.Ticket, SID: member.SID}
		if _, err := s.Store.Reach(ctx, ref, r.V, r.ReachUntil(s.Settings.HTTPReach)); err != nil {
			return err
		}
	}
	return nil
}

// restore frees the sessions of a cancelled match, and then lets its tickets
// wait again: in this order, or the next match would find the sessions taken.
func (s *Steward) restore(ctx context.Context, m queue.Match) error {
	err := each(m.Members, func(member queue.Member) error {
		_, err := s.Sessions.Release(ctx, notice.MatchPlace(m, member), session.Push{})
		return err
	})
	if err != nil || m.State != queue.Cancelled {
		return err
	}
	back, err := s.Store.Restore(ctx, m)
	if err != nil {
		return err
	}
	for _, t := range back {
		if t.State == queue.Held {
			if err := s.note(ctx, t); err != nil {
				return err
			}
		}
	}
	return nil
}

// announce makes the match real in every session that has not got it yet, and
// tells the players. The first look back is after RepeatInterval.
func (s *Steward) announce(ctx context.Context, m queue.Match) error {
	var asked []queue.Member
	for _, member := range m.Members {
		if member.Status == queue.Asked {
			asked = append(asked, member)
		}
	}
	if len(asked) == 0 {
		return nil
	}
	marks := make(chan queue.Mark, len(asked))
	err := each(asked, func(member queue.Member) error {
		if err := s.leaveOthers(ctx, m, member); err != nil {
			return err
		}
		place := notice.MatchPlace(m, member)
		res, err := s.Sessions.Confirm(ctx, place, m.V, notice.MatchCopy(m), session.Ticket, notice.MatchFound(m))
		switch {
		case err != nil:
			return err
		case res.Outcome == session.Gone:
			marks <- queue.Mark{Player: member.Player, Status: queue.Left, Reason: queue.ReasonGone}
		default:
			marks <- queue.Mark{Player: member.Player, Status: queue.In, V: res.Record.V}
		}
		return nil
	})
	close(marks)
	return errors.Join(err, s.mark(ctx, m, marks))
}

// leaveOthers takes a member out of the other queues, and tells it so, before
// the match replaces its tickets.
func (s *Steward) leaveOthers(ctx context.Context, m queue.Match, member queue.Member) error {
	res, err := s.Sessions.Get(ctx, member.Player)
	if err != nil || res.Record.SID != member.SID {
		return err
	}
	if place, ok := res.Record.Place(session.Match, ""); !ok || place.ID != m.ID {
		return nil
	}
	for _, p := range res.Record.Places {
		if p.Kind != session.Ticket || p.ID == member.Ticket {
			continue
		}
		t := queue.Ticket{ID: p.ID, Queue: p.Slot, Player: member.Player, SID: member.SID}
		if _, err := s.Store.Release(ctx, t.Ref(), queue.ReasonMatched, false); err != nil {
			return err
		}
		if _, err := s.Sessions.Release(ctx, notice.TicketPlace(t), notice.Cancelled(t, queue.ReasonMatched)); err != nil {
			return err
		}
	}
	return nil
}

func (s *Steward) mark(ctx context.Context, m queue.Match, marks <-chan queue.Mark) error {
	var news []queue.Mark
	for k := range marks {
		news = append(news, k)
	}
	if len(news) == 0 {
		return nil
	}
	_, err := s.Store.Mark(ctx, m, news, within(m, queue.RepeatInterval))
	return ignoreUnknown(err)
}

// within is d, or less when the match ends before that.
func within(m queue.Match, d time.Duration) time.Duration {
	left := time.Duration(m.EndsAt-m.Now) * time.Millisecond
	return min(d, max(left, time.Millisecond))
}

// watch repeats match_found to those who have not seen it, for a while; after
// that it only compares the match with its sessions, until its time is over.
func (s *Steward) watch(ctx context.Context, m queue.Match) error {
	p, err := s.Store.Finish(ctx, m, queue.ReasonMaxDuration)
	if err != nil || p.Outcome != queue.Early {
		return ignoreUnknown(err)
	}
	m = p.Match
	next, repeat := queue.MatchRecheck, m.Now < m.FoundAt+queue.RepeatFor.Milliseconds()
	marks := make(chan queue.Mark, len(m.Members))
	err = each(m.Members, func(member queue.Member) error {
		place := notice.MatchPlace(m, member)
		var res session.Result
		var err error
		switch {
		case member.Status == queue.In && repeat:
			res, err = s.Sessions.Repeat(ctx, place, member.V, notice.MatchFound(m))
		case member.Status == queue.In || member.Status == queue.Read:
			res, err = s.Sessions.Confirm(ctx, place, m.V, notice.MatchCopy(m), session.Ticket, notice.MatchFound(m))
		default: // its event should have freed it
			_, err := s.Sessions.Release(ctx, place, notice.MatchResolved(m, queue.ReasonLeft))
			return err
		}
		switch {
		case err != nil:
			return err
		case res.Outcome == session.Gone:
			marks <- queue.Mark{Player: member.Player, Status: queue.Left, Reason: queue.ReasonGone}
		case res.Outcome == session.AlreadyRead:
			marks <- queue.Mark{Player: member.Player, Status: queue.Read}
		}
		return nil
	})
	close(marks)
	news := make([]queue.Mark, 0, len(m.Members))
	for k := range marks {
		news = append(news, k)
	}
	if repeat {
		next = queue.RepeatInterval
	}
	_, markErr := s.Store.Mark(ctx, m, news, within(m, next))
	return errors.Join(err, ignoreUnknown(markErr))
}

// resolve frees the sessions of a match that is over.
func (s *Steward) resolve(ctx context.Context, m queue.Match) error {
	err := each(m.Members, func(member queue.Member) error {
		reason := m.Reason
		if member.Status == queue.Left {
			reason = queue.ReasonLeft
		}
		_, err := s.Sessions.Release(ctx, notice.MatchPlace(m, member), notice.MatchResolved(m, reason))
		return err
	})
	if err != nil {
		return err
	}
	return s.Store.Settle(ctx, m.ID)
}

// each does something for all members at once.
func each(members []queue.Member, do func(queue.Member) error) error {
	var g errgroup.Group
	for _, member := range members {
		g.Go(func() error { return do(member) })
	}
	return g.Wait()
}
