package memstore

import (
	"context"
	"maps"

	"github.com/holdfast-games/holdfast/pkg/session"
)

// Reserve implements session.Store.
func (s *Store) Reserve(
	_ context.Context, c session.Claims, facts *session.Facts, r session.Reservation,
) (session.Hold, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.turn(c.Player)
	if _, err := t.admit(c, facts); err != nil {
		return session.Hold{}, err
	}
	at := spot{r.Kind, r.Slot}
	if p, held := t.place(at, r.ID); held {
		return t.already(at, p), nil // whatever its id: the player has what it asks for
	}
	switch {
	case r.Excludes != "" && t.holds(r.Excludes) > 0:
		return t.hold(session.Excluded, session.Place{}), nil
	case t.holds(r.Kind) >= r.Most:
		return t.hold(session.TooMany, session.Place{}), nil
	}
	return t.reserve(at, r.ID, r.Copy), nil
}

// ReserveMatch implements session.Store.
func (s *Store) ReserveMatch(_ context.Context, rs []session.MatchReservation) ([]session.Hold, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	holds := make([]session.Hold, len(rs))
	for i, r := range rs {
		holds[i] = s.turn(r.Player).reserveMatch(r)
	}
	return holds, nil
}

func (t *turn) reserveMatch(r session.MatchReservation) session.Hold {
	if t.life == nil || t.life.record.SID != r.SID {
		return t.hold(session.Gone, session.Place{})
	}
	at := spot{session.Match, ""}
	p, held := t.place(at, r.Match)
	if held && p.ID == r.Match {
		return t.already(at, p)
	}
	ticket, queued := t.life.places[spot{session.Ticket, r.Queue}]
	switch {
	case !queued || ticket.ID != r.Ticket:
		return t.hold(session.Gone, session.Place{})
	case held:
		return t.hold(session.Taken, session.Place{ID: p.ID})
	case !t.reachable():
		return t.hold(session.Unreachable, session.Place{})
	}
	return t.reserve(at, r.Match, "")
}

// place returns the place at a spot. A reservation of another id that has
// lapsed is no place.
func (t *turn) place(at spot, id string) (session.Place, bool) {
	p, ok := t.life.places[at]
	lapsed := p.Pending() && p.NotAfter < t.now
	return p, ok && (!lapsed || p.ID == id)
}

func (t *turn) reserve(at spot, id, copy string) session.Hold {
	p := session.Place{
		Kind: at.kind, Slot: at.slot, ID: id, NotAfter: t.now + session.ReserveTTL.Milliseconds(), Copy: copy,
	}
	t.life.places[at] = p
	return t.hold(session.Reserved, p)
}

// already answers for a place that is held; a reservation starts anew.
func (t *turn) already(at spot, p session.Place) session.Hold {
	if p.Pending() {
		p.NotAfter = t.now + session.ReserveTTL.Milliseconds()
		t.life.places[at] = p
	}
	return t.hold(session.Already, p)
}

func (t *turn) hold(outcome session.Outcome, p session.Place) session.Hold {
	return session.Hold{Outcome: outcome, ID: p.ID, NotAfter: p.NotAfter, Record: t.view()}
}

// called tells whether a call at that time came after the drop. Who is
// detached has not dropped: a call has made the session.
func (t *turn) called(at int64) bool {
	r := t.life.record
	return r.Presence == session.Detached || at > r.Since
}

// reachable: connected, or it called us after the drop, and lately.
func (t *turn) reachable() bool {
	r := t.life.record
	lately := t.now-r.Seen < t.store.settings.HTTPReach.Milliseconds()
	return r.Presence == session.Connected || t.called(r.Seen) && lately
}

// held returns the place that ref names, if it is still held by that life.
func (t *turn) held(ref session.PlaceRef) (session.Place, bool) {
	if t.life == nil || t.life.record.SID != ref.SID {
		return session.Place{}, false
	}
	p, ok := t.life.places[spot{ref.Kind, ref.Slot}]
	return p, ok && p.ID == ref.ID
}

// tellPlace emits an event about one place with the push that goes with it.
func (t *turn) tellPlace(kind string, ref session.PlaceRef, push session.Push, more map[string]string) {
	fields := map[string]string{
		"place": spot{ref.Kind, ref.Slot}.String(), "id": ref.ID, "push": push.Type, "body": push.Body,
	}
	maps.Copy(fields, more)
	t.emit(kind, fields)
}

// Confirm implements session.Store.
func (s *Store) Confirm(
	_ context.Context, ref session.PlaceRef, v int64, copy string, drops session.Kind, push session.Push,
) (session.Result, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.turn(ref.Player)
	p, ok := t.held(ref)
	switch {
	case !ok:
		return t.result(session.Gone), nil
	case !p.Pending():
		return t.result(session.Already), nil
	}
	p.V, p.NotAfter, p.Copy = v, 0, copy
	t.life.places[spot{p.Kind, p.Slot}] = p
	dropped := map[string]string{}
	for at, other := range t.life.places {
		if drops != "" && at.kind == drops {
			dropped["drop:"+at.String()] = other.ID
			delete(t.life.places, at)
		}
	}
	t.move()
	t.tellPlace("session.place", ref, push, dropped)
	return t.result(session.Confirmed), nil
}

// Note implements session.Store.
func (s *Store) Note(
	_ context.Context, ref session.PlaceRef, v int64, copy string, push session.Push,
) (session.Result, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.turn(ref.Player)
	p, ok := t.held(ref)
	switch {
	case !ok:
		return t.result(session.Gone), nil
	case p.Pending() || v <= p.V:
		return t.result(session.Stalled), nil
	}
	p.V, p.Copy = v, copy
	t.life.places[spot{p.Kind, p.Slot}] = p
	t.move()
	t.tellPlace("session.place", ref, push, nil)
	return t.result(session.Noted), nil
}

// Release implements session.Store.
func (s *Store) Release(_ context.Context, ref session.PlaceRef, push session.Push) (session.Result, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.turn(ref.Player)
	if ref.SID == "" && t.life != nil {
		ref.SID = t.life.record.SID
	}
	p, ok := t.held(ref)
	if !ok {
		return t.result(session.Gone), nil
	}
	delete(t.life.places, spot{p.Kind, p.Slot})
	if !p.Pending() { // a reservation was never shown to anybody
		t.move()
		t.tellPlace("session.place", ref, push, nil)
	}
	return t.result(session.Released), nil
}

// Repeat implements session.Store.
func (s *Store) Repeat(_ context.Context, ref session.PlaceRef, v int64, push session.Push) (session.Result, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.turn(ref.Player)
	if _, ok := t.held(ref); !ok {
		return t.result(session.Gone), nil
	}
	if t.life.record.Read >= v {
		return t.result(session.AlreadyRead), nil
	}
	t.tellPlace("session.repeat", ref, push, nil)
	return t.result(session.Repeated), nil
}
