package memstore

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/holdfast-games/holdfast/pkg/session"
)

// grace is how long a player may be away, by where it is and how it went.
func (t *turn) grace(reason string) time.Duration {
	settings := t.store.settings
	grace := settings.GraceIdle
	switch {
	case t.holds(session.Match) > 0:
		grace = settings.GraceMatch
	case t.holds(session.Lobby) > 0:
		grace = settings.GraceLobby
	case t.holds(session.Ticket) > 0:
		grace = settings.GraceQueue
	}
	if reason == "normal" {
		grace = min(grace, settings.GraceNormal)
	}
	return grace
}

func (t *turn) startGrace(reason string) {
	r := &t.life.record
	r.Presence, r.Since, r.Reason = session.Grace, t.now, reason
	t.life.graceFrom = t.shifted
	t.schedule(t.after(t.grace(reason)))
	t.move()
	t.emit("session.grace", t.withPlaces(map[string]string{
		"deadline": number(r.Deadline + t.clock.shift), "reason": reason,
	}))
}

// Due implements session.Store.
func (s *Store) Due(_ context.Context, players []string) ([]session.Result, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	results := make([]session.Result, len(players))
	for i, p := range players {
		results[i] = s.turn(p).dueNow()
	}
	return results, nil
}

func (t *turn) dueNow() session.Result {
	if t.paused() {
		return t.result(session.Paused)
	}
	if t.life == nil {
		if t.due == nil {
			return t.result(session.Early)
		}
		t.due = nil
		t.emit("session.expired", map[string]string{"reason": "lost_record"})
		return t.result(session.LostRecord)
	}
	if t.life.record.Deadline > t.shifted {
		t.schedule(t.life.record.Deadline)
		return t.result(session.Early)
	}
	t.dropLapsed()
	if len(t.life.connections) > 0 {
		t.schedule(t.life.firstLease())
		return t.result(session.StillOpen)
	}
	if t.life.record.Presence == session.Connected {
		t.startGrace("lost")
		return t.result(session.InGrace)
	}
	t.move()
	t.emit("session.expired", t.withPlaces(map[string]string{"reason": string(t.life.record.Presence)}))
	result := t.result(session.Expired)
	t.life, t.due = nil, nil
	return result
}

// paused tells whether somebody who must be alive for a deadline to be fair is
// not: a sweep that says that all are, or the hook.
func (t *turn) paused() bool {
	stale := session.Stale.Milliseconds()
	c := t.clock
	return c.good == nil || t.now-*c.good > stale || c.hook != nil && t.now-*c.hook > stale
}

// dropLapsed closes the connections whose lease is over. A complete comparison
// with the broker renews the whole leases; without a recent one none ends.
func (t *turn) dropLapsed() {
	period := t.store.settings.ReconcileInterval
	compares := period > 0
	blind := compares && t.now-t.clock.reconciled > 2*period.Milliseconds()
	renewed := t.clock.reconciled - t.clock.shift + t.store.settings.OnlineLease.Milliseconds()
	for id, c := range t.life.connections {
		if compares && c.Full {
			c.Lease = max(c.Lease, renewed)
		}
		if blind {
			c.Lease = max(c.Lease, t.after(period))
		}
		t.life.connections[id] = c
		if c.Lease <= t.shifted {
			delete(t.life.connections, id)
		}
	}
}

// Sweep implements session.Store.
func (s *Store) Sweep(_ context.Context, shards []int) ([]session.Due, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	passes := make([]session.Due, len(shards))
	for i, n := range shards {
		passes[i] = session.Due{Shard: n}
		given, ok := s.clock(n).amnesty(s.now())
		if !ok {
			passes[i].Paused = true
			continue
		}
		passes[i].GivenMS = given
		passes[i].Members = s.dueMembers(n)
	}
	return passes, nil
}

// amnesty gives back the time since everybody was alive last, once, as soon as
// everybody is again. ok is false while the hook is away.
func (c *clock) amnesty(now int64) (given int64, ok bool) {
	alive := now
	if c.hook != nil {
		alive = min(now, *c.hook)
	}
	stale := session.Stale.Milliseconds()
	if now-alive > stale {
		return 0, false
	}
	if c.good == nil { // the first pass ever: nothing was missed before it
		c.good = &now
		return 0, true
	}
	if gap := now - *c.good; gap > stale {
		given = min(gap, session.AmnestyMax.Milliseconds())
		c.shift += given
		c.good = &now // all of it is given, up to now
		return given, true
	}
	alive = max(alive, *c.good)
	c.good = &alive
	return 0, true
}

func (s *Store) dueMembers(n int) []string {
	now := s.now() - s.clock(n).shift
	var members []string
	for id, p := range s.players {
		if s.shards.Of(id) == n && p.due != nil && *p.due <= now {
			members = append(members, id)
		}
	}
	slices.SortFunc(members, func(a, b string) int {
		return cmp.Or(cmp.Compare(*s.players[a].due, *s.players[b].due), cmp.Compare(a, b))
	})
	return members[:min(len(members), session.MaxDuePerPass)]
}

// Beat implements session.Store. Only the beats of the hook guard deadlines.
func (s *Store) Beat(_ context.Context, who string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if who != "hook" {
		return nil
	}
	for _, n := range s.shards.All() {
		now := s.now()
		s.clock(n).hook = &now
	}
	return nil
}
