// Package memstore keeps sessions in a map. It is the model of the session
// protocol that the other stores are measured by, written rule by rule from
// docs/session-protocol.md, and a store for unit tests; nothing survives it.
package memstore

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/holdfast-games/holdfast/pkg/outbox"
	"github.com/holdfast-games/holdfast/pkg/session"
	"github.com/holdfast-games/holdfast/pkg/shard"
)

// Store is a session.Store in memory. It is safe for concurrent use.
type Store struct {
	settings session.Settings
	shards   shard.Map
	now      func() int64
	newSID   func() string

	mu      sync.Mutex
	players map[string]*player
	clocks  map[int]*clock
	events  []outbox.Event
}

var _ session.Store = (*Store)(nil)

// New returns an empty store. now tells the time in ms, newSID makes the ids
// of lives.
func New(shards shard.Map, settings session.Settings, now func() int64, newSID func() string) (*Store, error) {
	if err := settings.Validate(); err != nil {
		return nil, err
	}
	s := &Store{settings: settings, shards: shards, now: now, newSID: newSID}
	s.clear()
	return s, nil
}

func (s *Store) clear() {
	s.players, s.clocks, s.events = map[string]*player{}, map[int]*clock{}, nil
}

// player is everything that is remembered about a player.
type player struct {
	life    *life                          // nil: no session
	due     *int64                         // when the sweep looks next, shifted ms; nil: never
	closed  map[session.ConnectionID]int64 // tombstones and their time
	revoked revocation
}

// life is one session, from its creation to its end. The Deadline of its
// record, and every lease, is shifted time; the slices of the record are
// empty, connections and places stand for them.
type life struct {
	record      session.Record
	connections map[session.ConnectionID]session.Connection
	places      map[spot]session.Place
	graceFrom   int64           // when the grace began, shifted
	verified    map[string]bool // logins that the durable record vouches for
}

// spot is what a player can hold one place of.
type spot struct {
	kind session.Kind
	slot string
}

func (p spot) String() string { return string(p.kind) + ":" + p.slot }

// revocation is what is remembered about the last end of a session.
type revocation struct {
	rev      int64            // tokens of an earlier generation are refused
	at       int64            // connections with an epoch up to it are refused
	until    int64            // all this is forgotten then
	families map[string]int64 // logins that are over, and since when
	v        int64            // version of the life that ended
}

// clock is what the deadlines of one shard are measured by.
type clock struct {
	shift      int64  // time that did not count
	good       *int64 // when everybody who guards deadlines was alive last
	hook       *int64 // last beat of the hook; nil: it never beat
	reconciled int64  // when the last complete pass ended
}

// Events returns everything appended to the outboxes so far, oldest first.
func (s *Store) Events() []outbox.Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.events)
}

// Wipe forgets everything, as a Redis that lost its data.
func (s *Store) Wipe() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clear()
}

// Lose drops the record of a player and nothing else, as an eviction does.
func (s *Store) Lose(playerID string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.player(playerID).life = nil
}

// Reconciled says that a comparison with the broker has just been completed.
func (s *Store) Reconciled() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range s.shards.All() {
		s.clock(n).reconciled = s.now()
	}
}

// Open returns the open connections of all players as "<player>/<connection>",
// sorted.
func (s *Store) Open() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var open []string
	for id, p := range s.players {
		if p.life == nil {
			continue
		}
		for c := range p.life.connections {
			open = append(open, id+"/"+string(c))
		}
	}
	slices.Sort(open)
	return open
}

// Deadlines returns when the sweep will look at whom, in shifted ms.
func (s *Store) Deadlines() map[string]int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	deadlines := map[string]int64{}
	for id, p := range s.players {
		if p.due != nil {
			deadlines[id] = *p.due
		}
	}
	return deadlines
}

func (s *Store) player(id string) *player {
	p, ok := s.players[id]
	if !ok {
		p = &player{closed: map[session.ConnectionID]int64{}}
		s.players[id] = p
	}
	return p
}

func (s *Store) clock(n int) *clock {
	c, ok := s.clocks[n]
	if !ok {
		c = &clock{}
		s.clocks[n] = c
	}
	return c
}

// turn is one transition: one player at one moment.
type turn struct {
	*player

	store   *Store
	id      string
	clock   *clock
	now     int64
	shifted int64 // now in the time of deadlines
}

// turn starts a transition. The caller holds the lock.
func (s *Store) turn(id string) *turn {
	c, now := s.clock(s.shards.Of(id)), s.now()
	return &turn{player: s.player(id), store: s, id: id, clock: c, now: now, shifted: now - c.shift}
}

func (t *turn) after(d time.Duration) int64 { return t.shifted + d.Milliseconds() }

// schedule sets the deadline.
func (t *turn) schedule(at int64) {
	t.life.record.Deadline = at
	t.due = &at
}

// move makes a visible change.
func (t *turn) move() {
	r := &t.life.record
	r.Prev, r.V = r.V, max(r.V+1, t.now)
}

// emit appends an event about the life as it is now.
func (t *turn) emit(kind string, fields map[string]string) {
	e := outbox.Event{Shard: t.store.shards.Of(t.id), Type: kind, Player: t.id, At: t.now, Fields: fields}
	if t.life != nil {
		e.SID, e.V, e.Prev = t.life.record.SID, t.life.record.V, t.life.record.Prev
	}
	t.store.events = append(t.store.events, e)
}

// withPlaces adds what the player holds to the fields of an event.
func (t *turn) withPlaces(fields map[string]string) map[string]string {
	if t.life != nil {
		for at, p := range t.life.places {
			fields[at.String()] = p.ID
		}
	}
	return fields
}

// holds reports how many places of a kind the player has: the confirmed ones
// and the reservations that have not lapsed.
func (t *turn) holds(kind session.Kind) int {
	n := 0
	for at, p := range t.life.places {
		if at.kind == kind && (!p.Pending() || p.NotAfter >= t.now) {
			n++
		}
	}
	return n
}

func (t *turn) result(outcome session.Outcome) session.Result {
	return session.Result{Outcome: outcome, Record: t.view()}
}

// view returns the record as callers see it.
func (t *turn) view() session.Record {
	r := session.Record{Player: t.id}
	if t.life != nil {
		r = t.life.record
		r.Deadline += t.clock.shift
		r.Connections = slices.SortedFunc(maps.Values(t.life.connections), byAge)
		r.Places = slices.SortedFunc(maps.Values(t.life.places), func(a, b session.Place) int {
			return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Slot, b.Slot))
		})
	}
	r.Now, r.Shift = t.now, t.clock.shift
	return r
}

func byAge(a, b session.Connection) int {
	return cmp.Or(cmp.Compare(a.ID.Epoch(), b.ID.Epoch()), cmp.Compare(a.ID, b.ID))
}

func number(n int64) string { return strconv.FormatInt(n, 10) }
