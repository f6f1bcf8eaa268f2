package memstore

import (
	"context"

	"github.com/holdfast-games/holdfast/pkg/session"
)

// Ensure implements session.Store.
func (s *Store) Ensure(_ context.Context, c session.Claims, facts *session.Facts, read bool) (session.Result, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.turn(c.Player)
	outcome, err := t.admit(c, facts)
	if err != nil {
		return session.Result{}, err
	}
	healed := t.life.record.Healed
	if read {
		t.life.record.Read, t.life.record.Healed = t.life.record.V, false
	}
	result := t.result(outcome)
	result.Record.Healed = healed // this reader is the one to be told
	return result, nil
}

// Begin implements session.Store.
func (s *Store) Begin(_ context.Context, c session.Claims, facts *session.Facts) (session.Result, int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.turn(c.Player)
	outcome, err := t.admit(c, facts)
	if err != nil {
		return session.Result{}, 0, err
	}
	r := &t.life.record
	r.Epoch = max(r.Epoch+1, t.now, t.fence(facts)+1)
	return t.result(outcome), r.Epoch, nil
}

// admit is what every call with a token goes through: it is refused, or it
// finds a session or makes one, and counts as a sign of life.
func (t *turn) admit(c session.Claims, facts *session.Facts) (session.Outcome, error) {
	if facts != nil && facts.FamilyRevoked {
		return "", session.ErrRevoked
	}
	if t.refuses(c, facts) {
		t.recall(facts)
		return "", session.ErrRevoked
	}
	if facts == nil && (t.life == nil || !t.life.verified[c.Family]) {
		return "", session.ErrAbsent
	}
	t.recall(facts)
	if t.life == nil {
		t.create(facts, !facts.Login)
		t.life.record.Seen = t.now
		t.verify(c.Family, facts)
		return session.Created, nil
	}
	if facts != nil && facts.Durable {
		t.learn(facts)
	}
	t.verify(c.Family, facts)
	t.touch()
	return session.OK, nil
}

// recall brings back what Redis has forgotten of the last revocation and the
// durable record has not.
func (t *turn) recall(facts *session.Facts) {
	if facts == nil || !facts.Durable {
		return
	}
	var rev, at int64
	if t.remembers() {
		rev, at = t.revoked.rev, t.revoked.at
	}
	durableAt := int64(0)
	if !facts.RevokedAt.IsZero() {
		durableAt = facts.RevokedAt.UnixMilli()
	}
	if facts.Rev <= rev && durableAt <= at {
		return
	}
	if !t.remembers() {
		t.revoked = revocation{}
	}
	t.revoked.rev, t.revoked.at = max(rev, facts.Rev), max(at, durableAt)
	t.revoked.until = t.now + t.store.settings.RevokedTTL().Milliseconds()
}

// verify notes that the durable record vouches for a login, until the life of
// the session ends or too many others have come.
func (t *turn) verify(family string, facts *session.Facts) {
	if facts == nil || !facts.Durable || t.life.verified[family] {
		return
	}
	if t.life.verified == nil || len(t.life.verified) >= session.MaxFamilies {
		t.life.verified = map[string]bool{}
	}
	t.life.verified[family] = true
}

// refuses tells whether the token is older than a revocation that Redis or the
// durable record knows of.
func (t *turn) refuses(c session.Claims, facts *session.Facts) bool {
	if t.remembers() {
		if _, over := t.revoked.families[c.Family]; over || c.Rev < t.revoked.rev {
			return true
		}
	}
	return facts != nil && c.Rev < facts.Rev
}

func (t *turn) remembers() bool { return t.revoked.until >= t.now }

// fence is the newest epoch that must not open a connection any more.
func (t *turn) fence(facts *session.Facts) int64 {
	var fence int64
	if t.remembers() {
		fence = t.revoked.at
	}
	if facts != nil && !facts.RevokedAt.IsZero() {
		fence = max(fence, facts.RevokedAt.UnixMilli())
	}
	return fence
}

// create starts a life: detached, and newer than the one before it.
func (t *turn) create(facts *session.Facts, healed bool) {
	t.life = &life{
		record: session.Record{
			Player: t.id, SID: t.store.newSID(), V: max(t.now, t.revoked.v+1), Presence: session.Detached,
			Since: t.now, Healed: healed, Name: facts.Name, Provider: facts.Provider, Durable: facts.Durable,
		},
		connections: map[session.ConnectionID]session.Connection{},
		places:      map[spot]session.Place{},
	}
	t.schedule(t.after(t.store.settings.DetachedTTL))
	t.emit("session.created", map[string]string{})
}

// learn brings the durable profile into the record. Only the name is visible.
func (t *turn) learn(facts *session.Facts) {
	r := &t.life.record
	r.Durable, r.Provider = true, facts.Provider
	if r.Name != facts.Name {
		r.Name = facts.Name
		t.move()
		t.emit("session.profile", map[string]string{})
	}
}

// touch notes a call: who talks to us over HTTP is alive. In a match joined
// over MQTT that lasts for twice the grace at most.
func (t *turn) touch() {
	settings, r := t.store.settings, &t.life.record
	r.Seen = max(r.Seen, t.now)
	if r.Presence == session.Connected {
		return
	}
	until := t.after(settings.HTTPLease)
	if r.Presence == session.Grace && t.holds(session.Match) > 0 {
		until = min(until, t.life.graceFrom+2*settings.GraceMatch.Milliseconds())
	}
	t.schedule(max(r.Deadline, until))
	t.tellSeen()
}

// tellSeen moves the reachUntil of the tickets, not oftener than three times
// within the reach of a call.
func (t *turn) tellSeen() {
	r, reach := &t.life.record, t.store.settings.HTTPReach.Milliseconds()
	if t.holds(session.Ticket) == 0 || !t.called(t.now) || 3*(t.now-r.Reach) < reach {
		return
	}
	r.Reach = t.now
	t.emit("session.seen", t.withPlaces(map[string]string{"until": number(t.now + reach)}))
}

// End implements session.Store.
func (s *Store) End(_ context.Context, player string, e session.Ending) (session.Result, int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.turn(player)
	t.revoke(e)
	outcome := session.None
	if t.life != nil {
		outcome = session.Ended
		t.move()
		t.revoked.v = t.life.record.V
	}
	t.emit("session.ended", t.withPlaces(map[string]string{"reason": e.Reason, "before": number(t.revoked.at)}))
	result := t.result(outcome)
	t.life, t.due = nil, nil
	return result, t.revoked.rev, nil
}

// revoke remembers the end: no connection authenticated so far comes back, and
// no token, if so asked.
func (t *turn) revoke(e session.Ending) {
	if !t.remembers() {
		t.revoked = revocation{}
	}
	r, ttl := &t.revoked, t.store.settings.RevokedTTL().Milliseconds()
	switch {
	case e.Revoke && e.Rev > 0:
		r.rev = max(r.rev, e.Rev)
	case e.Revoke:
		r.rev++
	}
	r.at, r.until = max(r.at, t.now), t.now+ttl
	if t.life != nil {
		r.at = max(r.at, t.life.record.Epoch)
	}
	for family, since := range r.families {
		if since < t.now-ttl {
			delete(r.families, family)
		}
	}
	if e.Family != "" {
		if r.families == nil {
			r.families = map[string]int64{}
		}
		r.families[e.Family] = t.now
	}
}

// Announce implements session.Store.
func (s *Store) Announce(_ context.Context, player string) (session.Result, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.turn(player)
	if t.life == nil {
		return t.result(session.None), nil
	}
	t.emit("session.announce", map[string]string{})
	return t.result(session.Announced), nil
}

// Get implements session.Store.
func (s *Store) Get(_ context.Context, player string) (session.Result, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.turn(player)
	if t.life == nil {
		return t.result(session.None), nil
	}
	return t.result(session.OK), nil
}
