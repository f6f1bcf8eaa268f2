// Package steward carries out what follows from events and deadlines: tickets
// are held and resumed with their players, matches are put together, announced
// and ended. Every step may be repeated, by any instance, after a crash at any
// line.
package steward

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/holdfast-games/holdfast/pkg/session"
	"github.com/holdfast-games/holdfast/services/matchmaking/internal/notice"
	"github.com/holdfast-games/holdfast/services/matchmaking/internal/queue"
	"github.com/holdfast-games/holdfast/services/matchmaking/internal/rules"
)

// Sessions is what a steward needs of the session store.
type Sessions interface {
	ReserveMatch(ctx context.Context, rs []session.MatchReservation) ([]session.Hold, error)
	Confirm(ctx context.Context, p session.PlaceRef, v int64, copy string, drops session.Kind, push session.Push) (session.Result, error)
	Note(ctx context.Context, p session.PlaceRef, v int64, copy string, push session.Push) (session.Result, error)
	Release(ctx context.Context, p session.PlaceRef, push session.Push) (session.Result, error)
	Repeat(ctx context.Context, p session.PlaceRef, v int64, push session.Push) (session.Result, error)
	Get(ctx context.Context, player string) (session.Result, error)
}

// Steward carries out consequences. All fields must be set.
type Steward struct {
	Sessions Sessions
	Store    queue.Store
	Rules    rules.Set
	Settings session.Settings
	Log      *slog.Logger
}

// Event is an event of an outbox as a steward understands it.
type Event struct {
	Type    string
	Player  string
	SID     string
	V       int64 // session version after the change
	At      int64 // ms
	Until   int64 // ms, of session.seen
	Reason  string
	Queue   string
	Ticket  string
	Match   string            // the player's, or the one the event is about
	Tickets map[string]string // the player's, id by queue
	Dropped map[string]string // those that a match has replaced
}

// EventFrom reads an entry of an outbox. Fields are those that have no name of
// their own in every event.
func EventFrom(kind, player, sid string, v, at int64, fields map[string]string) Event {
	e := Event{
		Type: kind, Player: player, SID: sid, V: v, At: at, Until: at, Reason: fields["reason"],
		Queue: fields["queue"], Ticket: fields["ticket"], Match: fields["match"],
		Tickets: map[string]string{}, Dropped: map[string]string{},
	}
	if until, err := strconv.ParseInt(fields["until"], 10, 64); err == nil {
		e.Until = until
	}
	for field, value := range fields {
		if slot, ok := strings.CutPrefix(field, "ticket:"); ok {
			e.Tickets[slot] = value
		} else if slot, ok := strings.CutPrefix(field, "drop:ticket:"); ok {
			e.Dropped[slot] = value
		} else if field == "match:" {
			e.Match = value
		}
	}
	return e
}

// Handle carries out what follows from an event. An error means: again.
func (s *Steward) Handle(ctx context.Context, e Event) error {
	switch e.Type {
	case "session.grace":
		return s.reach(ctx, e, e.At)
	case "session.seen":
		return s.reach(ctx, e, e.Until)
	case "session.connected":
		return errors.Join(s.reach(ctx, e, 0), s.welcome(ctx, e))
	case "session.expired", "session.ended":
		return errors.Join(s.cancel(ctx, e, e.Tickets, queue.ReasonGone), s.desert(ctx, e))
	case "session.place":
		return s.cancel(ctx, e, e.Dropped, queue.ReasonMatched)
	case queue.EventTicketOver:
		return s.ticketOver(ctx, e)
	case queue.EventMatchForming, queue.EventMatchFound, queue.EventMatchOver:
		return s.advance(ctx, e.Match, false)
	case queue.EventMatchLeft:
		return s.memberLeft(ctx, e)
	default:
		return nil
	}
}

// reach brings news of reachability to the player's tickets, and tells the
// player what came of it.
func (s *Steward) reach(ctx context.Context, e Event, until int64) error {
	for queueName, ticket := range e.Tickets {
		change, err := s.Store.Reach(ctx, queue.Ref{Queue: queueName, Ticket: ticket, SID: e.SID}, e.V, until)
		if err != nil {
			return err
		}
		switch change.Outcome {
		case queue.NowHeld, queue.Resumed, queue.Already: // Already may be a repeat, of which the player was not told
			if err := s.note(ctx, change.Ticket); err != nil {
				return err
			}
		default:
		}
	}
	return nil
}

// note tells the player whether its ticket is held; the session drops what it
// has heard.
func (s *Steward) note(ctx context.Context, t queue.Ticket) error {
	if t.State == queue.Matched {
		return nil
	}
	_, err := s.Sessions.Note(ctx, notice.TicketPlace(t), t.V, notice.TicketCopy(t, 0), notice.HeldOrResumed(t))
	return err
}

// welcome reminds a player who is back of the match it is in.
func (s *Steward) welcome(ctx context.Context, e Event) error {
	m, member, ok, err := s.member(ctx, e)
	if !ok || err != nil || member.Status == queue.Left {
		return err
	}
	_, err = s.Sessions.Repeat(ctx, notice.MatchPlace(m, member), e.V, notice.MatchReconnect(m))
	return err
}

// desert takes a player whose session is over out of its match.
func (s *Steward) desert(ctx context.Context, e Event) error {
	m, _, ok, err := s.member(ctx, e)
	if !ok || err != nil {
		return err
	}
	reason := queue.ReasonGone
	if e.Reason != "" {
		reason = e.Reason
	}
	_, err = s.Store.Mark(ctx, m, []queue.Mark{{Player: e.Player, Status: queue.Left, Reason: reason}}, 0)
	return ignoreUnknown(err)
}

// member finds the found match of an event and its player in it, of this life
// of the session.
func (s *Steward) member(ctx context.Context, e Event) (m queue.Match, member queue.Member, ok bool, err error) {
	if e.Match == "" {
		return m, member, false, nil
	}
	m, err = s.Store.Match(ctx, e.Match)
	if err != nil {
		return m, member, false, ignoreUnknown(err)
	}
	member, ok = m.Member(e.Player)
	return m, member, ok && m.State == queue.Found && member.SID == e.SID, nil
}

func ignoreUnknown(err error) error {
	if errors.Is(err, queue.ErrUnknownMatch) {
		return nil
	}
	return err
}

// cancel takes tickets out of their queues that the session does not hold any
// more.
func (s *Steward) cancel(ctx context.Context, e Event, tickets map[string]string, reason string) error {
	for queueName, ticket := range tickets {
		if _, err := s.Store.Release(ctx, queue.Ref{Queue: queueName, Ticket: ticket, SID: e.SID}, reason, false); err != nil {
			return err
		}
	}
	return nil
}

// ticketOver frees the place of a ticket that left its queue.
func (s *Steward) ticketOver(ctx context.Context, e Event) error {
	t := queue.Ticket{ID: e.Ticket, Queue: e.Queue, Player: e.Player, SID: e.SID}
	_, err := s.Sessions.Release(ctx, notice.TicketPlace(t), notice.Cancelled(t, e.Reason))
	return err
}

// memberLeft frees the place of who left a match.
func (s *Steward) memberLeft(ctx context.Context, e Event) error {
	m, err := s.Store.Match(ctx, e.Match)
	if err != nil {
		return ignoreUnknown(err)
	}
	member, ok := m.Member(e.Player)
	if !ok {
		return nil
	}
	_, err = s.Sessions.Release(ctx, notice.MatchPlace(m, member), notice.MatchResolved(m, e.Reason))
	return err
}

// recheck compares a ticket with its session: neither may be a ghost.
func (s *Steward) recheck(ctx context.Context, ref queue.Ref) error {
	change, err := s.Store.Recheck(ctx, ref)
	if err != nil || change.Outcome == queue.Absent || change.Ticket.State == queue.Matched {
		return err
	}
	t := change.Ticket
	res, err := s.Sessions.Confirm(ctx, notice.TicketPlace(t), t.V, notice.TicketCopy(t, 0), "", notice.Queued(t))
	if err != nil {
		return err
	}
	if res.Outcome == session.Gone {
		_, err = s.Store.Release(ctx, t.Ref(), queue.ReasonGone, false)
		return err
	}
	change, err = s.Store.Reach(ctx, t.Ref(), res.Record.V, res.Record.ReachUntil(s.Settings.HTTPReach))
	if err != nil || change.Outcome == queue.Absent {
		return err
	}
	if place, ok := res.Record.Place(session.Ticket, t.Queue); ok && change.Ticket.V > place.V {
		return s.note(ctx, change.Ticket)
	}
	return nil
}

// sweepParallel is how much that is due is looked at, at once.
const sweepParallel = 16

// Run sweeps until ctx ends.
func (s *Steward) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		if err := s.Sweep(ctx); err != nil && ctx.Err() == nil {
			s.Log.WarnContext(ctx, "sweep failed, trying again", "error", err)
		}
		pause(ctx, queue.SweepInterval/2+rand.N(queue.SweepInterval))
	}
	return nil
}

// Sweep looks once at everything that is due in all shards.
func (s *Steward) Sweep(ctx context.Context) error {
	passes, err := s.Store.Sweep(ctx)
	if err != nil {
		return err
	}
	var g errgroup.Group
	g.SetLimit(sweepParallel)
	var failed []error
	for _, p := range passes {
		failed = append(failed, p.Err)
		if p.GivenMS > 0 {
			s.Log.InfoContext(ctx, "nobody swept for a while, running matches get the time back", "shard", p.Shard, "ms", p.GivenMS)
		}
		for _, due := range p.Due {
			g.Go(func() error { return s.look(ctx, due) })
		}
	}
	return errors.Join(append(failed, g.Wait())...)
}

func (s *Steward) look(ctx context.Context, due queue.Due) error {
	if due.Match != "" {
		return s.advance(ctx, due.Match, true)
	}
	return s.recheck(ctx, due.Ticket)
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
