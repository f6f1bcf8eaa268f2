// Package memstore is the model of a queue.Store: maps and one lock, written
// to be obviously right. Other backends are compared with it.
package memstore

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/holdfast-games/holdfast/pkg/id"
	"github.com/holdfast-games/holdfast/pkg/session"
	"github.com/holdfast-games/holdfast/pkg/shard"
	"github.com/holdfast-games/holdfast/services/matchmaking/internal/queue"
)

// Event is one entry of an outbox.
type Event struct {
	Type, Player, SID string
	Fields            map[string]string
}

// Store is a queue.Store in memory. It is safe for concurrent use.
type Store struct {
	now    func() int64
	shards shard.Map

	mu      sync.Mutex
	queues  map[string]*line
	matches map[string]*match
	due     []map[string]int64 // by shard: member → ms
	clocks  []clock
	events  []Event
	changed chan struct{} // closed and replaced at each change of a ticket
}

type line struct {
	tickets map[string]*queue.Ticket
	gone    map[string]grave
	changes []queue.Ticket
	inMatch int64
	wait    int64 // -1 = no history
	lease   string
	until   int64
}

type grave struct{ until, queuedAt int64 }

type match struct {
	queue.Match
	endsAt int64 // shifted
	keep   int64 // 0 = for ever
}

type clock struct{ shift, good int64 }

var _ queue.Store = (*Store)(nil)

// New returns an empty store. now is the time in ms.
func New(shards shard.Map, now func() int64) *Store {
	s := &Store{
		now: now, shards: shards, queues: map[string]*line{}, matches: map[string]*match{},
		due: make([]map[string]int64, shards.N()), clocks: make([]clock, shards.N()), changed: make(chan struct{}),
	}
	for n := range s.due {
		s.due[n] = map[string]int64{}
	}
	return s
}

// Events returns what the outboxes of all shards got, in order.
func (s *Store) Events() []Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.events)
}

func (s *Store) line(name string) *line {
	if s.queues[name] == nil {
		s.queues[name] = &line{tickets: map[string]*queue.Ticket{}, gone: map[string]grave{}, wait: -1}
	}
	return s.queues[name]
}

func (s *Store) emit(kind, player, sid string, fields map[string]string) {
	s.events = append(s.events, Event{Type: kind, Player: player, SID: sid, Fields: fields})
}

// change tells whoever follows the queue.
func (s *Store) change(t queue.Ticket) {
	l := s.line(t.Queue)
	l.changes = append(l.changes, t)
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *Store) look(queueName, member string, at int64) { s.due[s.shards.Of(queueName)][member] = at }

func (s *Store) lookEarly(queueName, member string, at int64) {
	if have, ok := s.due[s.shards.Of(queueName)][member]; !ok || have > at {
		s.look(queueName, member, at)
	}
}

func (s *Store) forget(queueName, member string) { delete(s.due[s.shards.Of(queueName)], member) }

func ticketMember(r queue.Ref) string { return "t:" + r.Queue + ":" + r.Ticket }

func move(v *int64, now int64) { *v = max(*v+1, now) }

func ms(d time.Duration) int64 { return d.Milliseconds() }

// Sweep implements queue.Deadlines.
func (s *Store) Sweep(context.Context) ([]queue.Sweep, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	passes := make([]queue.Sweep, s.shards.N())
	for n := range passes {
		c := &s.clocks[n]
		if c.good == 0 {
			c.good = now
		}
		if gap := now - c.good; gap > ms(session.Stale) {
			passes[n].GivenMS = min(gap, ms(session.AmnestyMax))
			c.shift += passes[n].GivenMS
		}
		c.good = max(now, c.good)
		passes[n].Shard = n
		passes[n].Due = s.take(n, now)
	}
	return passes, nil
}

func (s *Store) take(n int, now int64) []queue.Due {
	members := slices.SortedFunc(maps.Keys(s.due[n]), func(a, b string) int {
		return cmp.Or(cmp.Compare(s.due[n][a], s.due[n][b]), cmp.Compare(a, b))
	})
	var due []queue.Due
	for _, member := range members {
		if s.due[n][member] > now || len(due) == queue.MaxDuePerPass {
			continue
		}
		s.due[n][member] = now + ms(queue.SweepClaim)
		if id, ok := strings.CutPrefix(member, "m:"); ok {
			due = append(due, queue.Due{Match: id})
			continue
		}
		rest := strings.TrimPrefix(member, "t:")
		at := strings.LastIndexByte(rest, ':')
		due = append(due, queue.Due{Ticket: queue.Ref{Queue: rest[:at], Ticket: rest[at+1:]}})
	}
	return due
}

// Lease implements queue.Pool.
func (s *Store) Lease(_ context.Context, name, instance string, ttl time.Duration) (bool, int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now, l := s.now(), s.line(name)
	if l.until > now && l.lease != instance {
		return false, now, nil
	}
	l.lease, l.until = instance, now+ms(ttl)
	return ttl > 0, now, nil
}

// Load implements queue.Pool.
func (s *Store) Load(_ context.Context, name string) (queue.Feed, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.line(name)
	feed := queue.Feed{Cursor: queue.Cursor{Seq: int64(len(l.changes))}}
	for _, t := range l.standing() {
		feed.Tickets = append(feed.Tickets, *t)
	}
	return feed, nil
}

// standing returns the tickets that wait or are held, oldest first.
func (l *line) standing() []*queue.Ticket {
	var all []*queue.Ticket
	for _, t := range l.tickets {
		if t.State != queue.Matched {
			all = append(all, t)
		}
	}
	slices.SortFunc(all, func(a, b *queue.Ticket) int {
		return cmp.Or(cmp.Compare(a.QueuedAt, b.QueuedAt), cmp.Compare(a.ID, b.ID))
	})
	return all
}

func (l *line) position(id string) int64 {
	return int64(slices.IndexFunc(l.standing(), func(t *queue.Ticket) bool { return t.ID == id }) + 1)
}

// Follow implements queue.Pool.
func (s *Store) Follow(ctx context.Context, name string, from queue.Cursor, wait time.Duration) (queue.Feed, error) {
	timeout := time.NewTimer(wait)
	defer timeout.Stop()
	for {
		s.mu.Lock()
		changes, changed := s.line(name).changes, s.changed
		s.mu.Unlock()
		switch {
		case from.Seq > int64(len(changes)):
			return queue.Feed{}, queue.ErrHole
		case from.Seq < int64(len(changes)):
			return queue.Feed{Tickets: slices.Clone(changes[from.Seq:]), Cursor: queue.Cursor{Seq: int64(len(changes))}}, nil
		}
		select {
		case <-ctx.Done():
			return queue.Feed{}, ctx.Err()
		case <-timeout.C:
			return queue.Feed{Cursor: from}, nil
		case <-changed:
		}
	}
}

// Commit implements queue.Pool.
func (s *Store) Commit(_ context.Context, name string, proposals []queue.Proposal) ([]queue.Commitment, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]queue.Commitment, len(proposals))
	for i, p := range proposals {
		out[i] = s.commit(name, p)
	}
	return out, nil
}

func (s *Store) commit(name string, p queue.Proposal) queue.Commitment {
	now, l := s.now(), s.line(name)
	var stale []string
	for _, planned := range p.Tickets {
		if t := l.tickets[planned.ID]; t == nil || t.V != planned.V || !t.Matchable(now) {
			stale = append(stale, planned.ID)
		}
	}
	if len(stale) > 0 {
		return queue.Commitment{Outcome: queue.Refused, Stale: stale}
	}
	m := &match{Match: queue.Match{ID: p.Match, Queue: name, State: queue.Forming, V: now, CreatedAt: now}}
	for _, planned := range p.Tickets {
		t := l.tickets[planned.ID]
		m.Members = append(m.Members, queue.Member{Player: t.Player, SID: t.SID, Ticket: t.ID, Status: queue.Asked})
		t.State, t.Match, t.Leaving = queue.Matched, p.Match, ""
		move(&t.V, now)
		s.change(*t)
	}
	s.matches[p.Match] = m
	s.look(name, "m:"+p.Match, now+ms(queue.FormingTimeout))
	s.emitMatch(queue.EventMatchForming, m, m.Members[0], "")
	return queue.Commitment{Outcome: queue.Done}
}

func (s *Store) emitMatch(kind string, m *match, about queue.Member, reason string) {
	fields := map[string]string{"queue": m.Queue, "match": m.ID}
	if reason != "" {
		fields["reason"] = reason
	}
	s.emit(kind, about.Player, about.SID, fields)
}

// shardOf tells whether an id is one of ours.
func (s *Store) shardOf(match string) (int, bool) {
	n, ok := id.ShardOf(match)
	return n, ok && n < s.shards.N()
}
