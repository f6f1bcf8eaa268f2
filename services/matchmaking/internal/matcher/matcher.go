// Package matcher runs the matching of one queue: whoever has its lease keeps
// a picture of the queue, plans matches in memory and commits them in the
// store. A second matcher or a stale picture cost a refused commit, no more.
package matcher

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/holdfast-games/holdfast/pkg/clock"
	"github.com/holdfast-games/holdfast/services/matchmaking/internal/planner"
	"github.com/holdfast-games/holdfast/services/matchmaking/internal/queue"
	"github.com/holdfast-games/holdfast/services/matchmaking/internal/rules"
)

// The pace of a matcher.
const (
	LeaseTTL   = time.Second            // who dies is replaced after this
	leaseRenew = 250 * time.Millisecond // also how long a stop may take
	tick       = 100 * time.Millisecond // plans are at least this far apart
	idleTick   = time.Second            // without news, plan this often: windows grow
	commitSize = 64                     // matches in one round trip
)

// Store is what a matcher needs of the store.
type Store interface {
	queue.Pool
	Standings(ctx context.Context, refs []queue.Ref) ([]queue.Standing, error)
}

// Matcher matches one queue.
type Matcher struct {
	Store    Store
	Rules    rules.Queue
	Instance string        // who holds the lease
	NewMatch func() string // the id of a new match
	Clock    clock.Clock
	Log      *slog.Logger
	Observe  func(Tick) // told of every plan; may be nil
}

// Tick is what one plan did.
type Tick struct {
	Queue     string
	Pool      int
	Planned   int
	Committed int
	Took      time.Duration
}

// Run matches until ctx ends, and gives the lease back then.
func (m *Matcher) Run(ctx context.Context) error {
	defer m.giveBack(ctx)
	for ctx.Err() == nil {
		held, now, err := m.Store.Lease(ctx, m.Rules.Name, m.Instance, LeaseTTL)
		switch {
		case err != nil:
			m.warn(ctx, "take the lease", err)
		case held:
			if err := m.lead(ctx, now); err != nil {
				m.warn(ctx, "match", err)
			}
		}
		pause(ctx, leaseRenew/2+rand.N(leaseRenew))
	}
	return nil
}

func (m *Matcher) warn(ctx context.Context, doing string, err error) {
	if ctx.Err() == nil {
		m.Log.WarnContext(ctx, "matcher failed, trying again", "queue", m.Rules.Name, "doing", doing, "error", err)
	}
}

func (m *Matcher) giveBack(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	_, _, _ = m.Store.Lease(ctx, m.Rules.Name, m.Instance, 0) // it runs out by itself, too
}

// lead matches while the lease is ours.
func (m *Matcher) lead(ctx context.Context, now int64) error {
	feed, err := m.Store.Load(ctx, m.Rules.Name)
	if err != nil {
		return err
	}
	p := newPool()
	p.apply(feed.Tickets)
	l := leader{m: m, pool: p, cursor: feed.Cursor, renewed: m.Clock.Now(), dirty: true}
	l.skew = now - l.renewed.UnixMilli()
	for ctx.Err() == nil {
		if held, err := l.renew(ctx); err != nil || !held {
			return err
		}
		if err := l.follow(ctx); err != nil {
			return err
		}
		if err := l.plan(ctx); err != nil {
			return err
		}
	}
	return nil
}

// leader is a matcher that has the lease.
type leader struct {
	m       *Matcher
	pool    *pool
	cursor  queue.Cursor
	renewed time.Time
	planned time.Time
	skew    int64 // Redis time minus ours, ms
	dirty   bool  // something changed since the last plan
}

func (l *leader) renew(ctx context.Context) (bool, error) {
	asked := l.m.Clock.Now()
	if asked.Sub(l.renewed) < leaseRenew {
		return true, nil
	}
	held, now, err := l.m.Store.Lease(ctx, l.m.Rules.Name, l.m.Instance, LeaseTTL)
	if err != nil || !held {
		return false, err
	}
	l.renewed, l.skew = asked, now-asked.UnixMilli()
	return true, nil
}

// follow waits until it is time to plan or to renew the lease, or for news.
// When a plan is due anyhow there is nothing to wake up for: Redis is asked
// after the wait, since it ends its own waits up to 100 ms late.
func (l *leader) follow(ctx context.Context) error {
	wait := l.untilPlan()
	if renew := leaseRenew - l.m.Clock.Now().Sub(l.renewed); renew < wait {
		wait = renew
	}
	if l.dirty {
		pause(ctx, wait)
		wait = 0
	}
	feed, err := l.m.Store.Follow(ctx, l.m.Rules.Name, l.cursor, wait)
	switch {
	case errors.Is(err, queue.ErrHole):
		return l.reload(ctx)
	case err != nil:
		return err
	}
	l.cursor = feed.Cursor
	l.dirty = l.pool.apply(feed.Tickets) || l.dirty
	return nil
}

func (l *leader) reload(ctx context.Context) error {
	feed, err := l.m.Store.Load(ctx, l.m.Rules.Name)
	if err != nil {
		return err
	}
	l.pool = newPool()
	l.pool.apply(feed.Tickets)
	l.cursor, l.dirty = feed.Cursor, true
	return nil
}

// untilPlan is how long there is nothing to plan.
func (l *leader) untilPlan() time.Duration {
	pace := idleTick
	if l.dirty {
		pace = tick
	}
	return pace - l.m.Clock.Now().Sub(l.planned)
}

func (l *leader) plan(ctx context.Context) error {
	if l.untilPlan() > 0 {
		return nil
	}
	l.planned, l.dirty = l.m.Clock.Now(), false
	tickets := l.pool.sorted()
	matches := planner.Plan(l.m.Rules, tickets, l.planned.UnixMilli()+l.skew)
	t := Tick{Queue: l.m.Rules.Name, Pool: len(tickets), Planned: len(matches), Took: l.m.Clock.Now().Sub(l.planned)}
	for len(matches) > 0 {
		batch := matches[:min(commitSize, len(matches))]
		matches = matches[len(batch):]
		committed, err := l.commit(ctx, batch)
		if err != nil {
			return err
		}
		t.Committed += committed
	}
	if l.m.Observe != nil {
		l.m.Observe(t)
	}
	return nil
}

// commit sends a batch. What was committed leaves the pool at once; what was
// refused stays, as it really is.
func (l *leader) commit(ctx context.Context, batch [][]queue.Ticket) (int, error) {
	proposals := make([]queue.Proposal, len(batch))
	for i, tickets := range batch {
		proposals[i] = queue.Proposal{Match: l.m.NewMatch(), Tickets: tickets}
	}
	answers, err := l.m.Store.Commit(ctx, l.m.Rules.Name, proposals)
	if err != nil {
		return 0, err
	}
	committed := 0
	var stale []queue.Ref
	for i, a := range answers {
		if a.Outcome == queue.Done {
			committed++
			l.pool.drop(proposals[i].Tickets)
			continue
		}
		for _, id := range a.Stale {
			stale = append(stale, queue.Ref{Queue: l.m.Rules.Name, Ticket: id})
		}
	}
	return committed, l.refresh(ctx, stale)
}

// refresh reads tickets of which the picture was wrong.
func (l *leader) refresh(ctx context.Context, stale []queue.Ref) error {
	if len(stale) == 0 {
		return nil
	}
	standings, err := l.m.Store.Standings(ctx, stale)
	if err != nil {
		return err
	}
	for i, s := range standings {
		s.Ticket.ID = stale[i].Ticket // it may be no more
		l.pool.put(s.Ticket)
	}
	l.dirty = true
	return nil
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
