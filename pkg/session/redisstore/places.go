package redisstore

import (
	"context"
	"fmt"
	"strings"

	"github.com/holdfast-games/holdfast/pkg/rediskit"
	"github.com/holdfast-games/holdfast/pkg/session"
)

// Reserve implements session.Store.
func (s *Store) Reserve(ctx context.Context, c session.Claims, facts *session.Facts, r session.Reservation) (session.Hold, error) {
	if loggedOut(facts) {
		return session.Hold{}, session.ErrRevoked
	}
	args := append([]any{"token", c.Rev, c.Family}, s.facts(facts)...)
	args = append(args, string(r.Kind), r.Slot, r.ID, r.Most, string(r.Excludes), "", "", "0", r.Copy)
	res, extra, err := s.run(ctx, s.scripts.reserve, c.Player, args...)
	if res, err = admitted(res, err); err != nil {
		return session.Hold{}, err
	}
	return hold(res, extra)
}

// ReserveMatch implements session.Store, with one round trip for all players.
func (s *Store) ReserveMatch(ctx context.Context, rs []session.MatchReservation) ([]session.Hold, error) {
	calls := make([]rediskit.Call, len(rs))
	for i, r := range rs {
		args := append([]any{"sid", r.SID, ""}, s.facts(nil)...)
		needs := string(session.Ticket) + ":" + r.Queue
		args = append(args, string(session.Match), "", r.Match, 1, "", needs, r.Ticket, "1", "")
		calls[i] = s.call(s.scripts.reserve, r.Player, args...)
	}
	holds := make([]session.Hold, len(rs))
	for i, r := range rediskit.RunBatch(ctx, s.client, calls) {
		if r.Err != nil {
			return nil, r.Err
		}
		res, extra, err := parse("session.reserve", rs[i].Player, r.Reply)
		if err != nil {
			return nil, err
		}
		if holds[i], err = hold(res, extra); err != nil {
			return nil, err
		}
	}
	return holds, nil
}

// Confirm implements session.Store.
func (s *Store) Confirm(
	ctx context.Context, p session.PlaceRef, v int64, copy string, drops session.Kind, push session.Push,
) (session.Result, error) {
	return s.plain(ctx, s.scripts.confirm, p.Player, p.SID, string(p.Kind), p.Slot, p.ID, v, copy, string(drops), push.Type, push.Body)
}

// Note implements session.Store.
func (s *Store) Note(ctx context.Context, p session.PlaceRef, v int64, copy string, push session.Push) (session.Result, error) {
	return s.plain(ctx, s.scripts.note, p.Player, p.SID, string(p.Kind), p.Slot, p.ID, v, copy, push.Type, push.Body)
}

// Release implements session.Store.
func (s *Store) Release(ctx context.Context, p session.PlaceRef, push session.Push) (session.Result, error) {
	return s.plain(ctx, s.scripts.release, p.Player, p.SID, string(p.Kind), p.Slot, p.ID, push.Type, push.Body)
}

// Repeat implements session.Store.
func (s *Store) Repeat(ctx context.Context, p session.PlaceRef, v int64, push session.Push) (session.Result, error) {
	return s.plain(ctx, s.scripts.repeat, p.Player, p.SID, string(p.Kind), p.Slot, p.ID, v, push.Type, push.Body)
}

func hold(res session.Result, extra string) (session.Hold, error) {
	h := session.Hold{Outcome: res.Outcome, Record: res.Record}
	id, notAfter, ok := strings.Cut(extra, " ")
	h.ID = id
	if !ok {
		return h, nil
	}
	var err error
	if h.NotAfter, err = rediskit.ParseInt(notAfter); err != nil {
		return session.Hold{}, fmt.Errorf("script session.reserve: %w", err)
	}
	return h, nil
}
