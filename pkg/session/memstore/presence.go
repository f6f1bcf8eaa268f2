package memstore

import (
	"cmp"
	"context"
	"maps"
	"slices"

	"github.com/holdfast-games/holdfast/pkg/session"
)

// Connected implements session.Store.
func (s *Store) Connected(
	_ context.Context, player string, id session.ConnectionID, node string, facts *session.Facts,
) (session.Result, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.turn(player)
	if id.Epoch() <= t.fence(facts) {
		if t.fenced(id) { // the broker still has it, so remember for longer
			t.revoked.until = t.now + s.settings.RevokedTTL().Milliseconds()
		}
		t.recall(facts)
		t.emit("broker.kick", map[string]string{"connection": string(id)})
		return t.result(session.Refused), nil
	}
	if t.isOver(id) {
		return t.result(session.Closed), nil
	}
	if t.life != nil {
		if _, open := t.life.connections[id]; open {
			return t.result(session.Repeat), nil
		}
	} else {
		if facts == nil {
			return session.Result{}, session.ErrAbsent
		}
		t.recall(facts)
		t.create(facts, true)
	}
	t.open(id, node)
	return t.result(session.Opened), nil
}

// fenced tells whether the connection is older than the end that is remembered.
func (t *turn) fenced(id session.ConnectionID) bool {
	return t.remembers() && id.Epoch() <= t.revoked.at
}

// isOver tells whether the connection has a tombstone.
func (t *turn) isOver(id session.ConnectionID) bool {
	at, ok := t.closed[id]
	return ok && at > t.now-session.TombstoneTTL.Milliseconds()
}

func (t *turn) open(id session.ConnectionID, node string) {
	l, settings := t.life, t.store.settings
	if len(l.connections) >= session.MaxConnections {
		oldest := slices.MinFunc(slices.Collect(maps.Values(l.connections)), byAge)
		delete(l.connections, oldest.ID)
	}
	mine := session.Connection{ID: id, Lease: t.after(settings.OnlineLease), Full: true, Node: node}
	for other, c := range l.connections {
		switch {
		case other.Epoch() < id.Epoch(): // superseded
			c.Lease, c.Full = min(c.Lease, t.after(settings.Handover)), false
			l.connections[other] = c
		case other.Epoch() > id.Epoch():
			mine.Lease, mine.Full = t.after(settings.Handover), false
		}
	}
	l.connections[id] = mine
	t.schedule(l.firstLease())
	l.record.Epoch = max(l.record.Epoch, id.Epoch())
	if l.record.Presence == session.Connected {
		return
	}
	resumed := "0"
	if l.record.Presence == session.Grace {
		resumed = "1"
	}
	l.record.Presence, l.record.Since, l.record.Reason = session.Connected, t.now, ""
	t.move()
	t.emit("session.connected", t.withPlaces(map[string]string{"resumed": resumed}))
}

// firstLease returns when the first lease ends.
func (l *life) firstLease() int64 {
	first := slices.MinFunc(slices.Collect(maps.Values(l.connections)), func(a, b session.Connection) int {
		return cmp.Compare(a.Lease, b.Lease)
	})
	return first.Lease
}

// Disconnected implements session.Store.
func (s *Store) Disconnected(
	_ context.Context, player string, id session.ConnectionID, reason string,
) (session.Result, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.turn(player)
	again := t.isOver(id)
	t.bury(id)
	if t.life == nil {
		return t.result(session.Noted), nil
	}
	if _, open := t.life.connections[id]; !open {
		if id.Epoch() <= t.fence(nil) { // it belongs to a life before this one
			return t.result(session.Noted), nil
		}
		if again {
			return t.result(session.Repeat), nil
		}
	}
	delete(t.life.connections, id)
	return t.result(t.afterClose(id, reason)), nil
}

// bury leaves a tombstone. Only the newest ones are kept.
func (t *turn) bury(id session.ConnectionID) {
	t.closed[id] = t.now
	ids := slices.SortedFunc(maps.Keys(t.closed), func(a, b session.ConnectionID) int {
		return cmp.Or(cmp.Compare(t.closed[a], t.closed[b]), cmp.Compare(a, b))
	})
	for i, old := range ids {
		if i < len(ids)-session.MaxTombstones || !t.isOver(old) {
			delete(t.closed, old)
		}
	}
}

// afterClose decides what the end of a connection means.
func (t *turn) afterClose(id session.ConnectionID, reason string) session.Outcome {
	l, settings := t.life, t.store.settings
	replaced := reason == "takenover" || reason == "discarded"
	if len(l.connections) > 0 {
		t.crown(id, replaced)
		t.schedule(l.firstLease())
		return session.StillOpen
	}
	switch {
	case replaced && l.record.Presence == session.Connected:
		t.schedule(t.after(settings.Handover)) // the successor's event is on its way
		return session.StillOpen
	case replaced:
		t.schedule(max(l.record.Deadline, t.after(settings.Handover)))
	case l.record.Presence == session.Grace:
		t.schedule(max(l.record.Deadline, t.after(t.grace(reason))))
	default:
		t.startGrace(reason)
	}
	return session.InGrace
}

// crown gives the one connection left a whole lease, if the end of the other
// one proves that it is the winner.
func (t *turn) crown(closed session.ConnectionID, replaced bool) {
	if len(t.life.connections) != 1 {
		return
	}
	for id, c := range t.life.connections {
		if replaced || id.Epoch() > closed.Epoch() {
			c.Lease, c.Full = t.after(t.store.settings.OnlineLease), true
			t.life.connections[id] = c
		}
	}
}

// Lost implements session.Store.
func (s *Store) Lost(_ context.Context, player string, id session.ConnectionID) (session.Result, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.turn(player)
	if t.life == nil {
		return t.result(session.None), nil
	}
	if _, open := t.life.connections[id]; !open {
		return t.result(session.None), nil
	}
	delete(t.life.connections, id)
	if len(t.life.connections) > 0 {
		t.schedule(t.life.firstLease())
		return t.result(session.StillOpen), nil
	}
	t.startGrace("lost")
	return t.result(session.InGrace), nil
}
