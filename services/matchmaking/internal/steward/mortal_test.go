package steward_test

import (
	"context"
	"time"

	"github.com/holdfast-games/holdfast/pkg/session"
	sessions "github.com/holdfast-games/holdfast/pkg/session/redisstore"
	"github.com/holdfast-games/holdfast/services/matchmaking/internal/queue"
	"github.com/holdfast-games/holdfast/services/matchmaking/internal/redisstore"
	"github.com/holdfast-games/holdfast/services/matchmaking/internal/steward"
)

func eventForming(match string) steward.Event {
	return steward.Event{Type: queue.EventMatchForming, Match: match}
}

// mortalSessions is a session store as seen by an instance that dies.
type mortalSessions struct {
	*sessions.Store
	life *mortal
}

func (s *mortalSessions) ReserveMatch(ctx context.Context, rs []session.MatchReservation) (holds []session.Hold, err error) {
	err = s.life.call(func() error { holds, err = s.Store.ReserveMatch(ctx, rs); return err })
	return holds, err
}

func (s *mortalSessions) Confirm(
	ctx context.Context, p session.PlaceRef, v int64, copy string, drops session.Kind, push session.Push,
) (res session.Result, err error) {
	err = s.life.call(func() error { res, err = s.Store.Confirm(ctx, p, v, copy, drops, push); return err })
	return res, err
}

func (s *mortalSessions) Note(ctx context.Context, p session.PlaceRef, v int64, copy string, push session.Push) (res session.Result, err error) {
	err = s.life.call(func() error { res, err = s.Store.Note(ctx, p, v, copy, push); return err })
	return res, err
}

func (s *mortalSessions) Release(ctx context.Context, p session.PlaceRef, push session.Push) (res session.Result, err error) {
	err = s.life.call(func() error { res, err = s.Store.Release(ctx, p, push); return err })
	return res, err
}

func (s *mortalSessions) Get(ctx context.Context, player string) (res session.Result, err error) {
	err = s.life.call(func() error { res, err = s.Store.Get(ctx, player); return err })
	return res, err
}

// mortalStore is the store as seen by an instance that dies.
type mortalStore struct {
	*redisstore.Store
	life *mortal
}

func (s *mortalStore) Match(ctx context.Context, id string) (m queue.Match, err error) {
	err = s.life.call(func() error { m, err = s.Store.Match(ctx, id); return err })
	return m, err
}

func (s *mortalStore) Reach(ctx context.Context, r queue.Ref, v, until int64) (c queue.Change, err error) {
	err = s.life.call(func() error { c, err = s.Store.Reach(ctx, r, v, until); return err })
	return c, err
}

func (s *mortalStore) Release(ctx context.Context, r queue.Ref, reason string, tell bool) (c queue.Change, err error) {
	err = s.life.call(func() error { c, err = s.Store.Release(ctx, r, reason, tell); return err })
	return c, err
}

func (s *mortalStore) Found(ctx context.Context, m queue.Match, lasts time.Duration) (p queue.Progress, err error) {
	err = s.life.call(func() error { p, err = s.Store.Found(ctx, m, lasts); return err })
	return p, err
}

func (s *mortalStore) Dissolve(ctx context.Context, m queue.Match, reason string, vs []queue.Status) (p queue.Progress, err error) {
	err = s.life.call(func() error { p, err = s.Store.Dissolve(ctx, m, reason, vs); return err })
	return p, err
}

func (s *mortalStore) Restore(ctx context.Context, m queue.Match) (back []queue.Ticket, err error) {
	err = s.life.call(func() error { back, err = s.Store.Restore(ctx, m); return err })
	return back, err
}

func (s *mortalStore) Mark(ctx context.Context, m queue.Match, marks []queue.Mark, next time.Duration) (p queue.Progress, err error) {
	err = s.life.call(func() error { p, err = s.Store.Mark(ctx, m, marks, next); return err })
	return p, err
}
