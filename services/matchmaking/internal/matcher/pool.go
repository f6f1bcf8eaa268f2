package matcher

import (
	"slices"

	"github.com/holdfast-games/holdfast/services/matchmaking/internal/queue"
)

// pool is the picture of a queue: the tickets that wait or are held.
type pool struct {
	tickets map[string]queue.Ticket
	gone    map[string]int64    // version with which a ticket was committed, until that is heard of
	order   []queue.Ticket      // oldest first, as of the last call of sorted
	touched map[string]struct{} // changed since then
}

func newPool() *pool {
	return &pool{tickets: map[string]queue.Ticket{}, gone: map[string]int64{}, touched: map[string]struct{}{}}
}

// apply takes in changes, newest last. It reports whether something changed
// that a plan may depend on.
func (p *pool) apply(changes []queue.Ticket) bool {
	changed := false
	for _, t := range changes {
		have, known := p.tickets[t.ID]
		committed, left := p.gone[t.ID]
		if known && have.V > t.V || left && committed >= t.V {
			continue
		}
		delete(p.gone, t.ID)
		p.put(t)
		changed = true
	}
	return changed
}

// put puts the truth about a ticket in place of what was believed.
func (p *pool) put(t queue.Ticket) {
	if t.State == queue.Waiting || t.State == queue.Held {
		p.tickets[t.ID] = t
	} else {
		delete(p.tickets, t.ID)
	}
	p.touched[t.ID] = struct{}{}
}

// drop removes tickets that were just committed. News from before that, which
// is still on its way, must not bring them back.
func (p *pool) drop(tickets []queue.Ticket) {
	for _, t := range tickets {
		p.gone[t.ID] = t.V
		delete(p.tickets, t.ID)
		p.touched[t.ID] = struct{}{}
	}
}

// sorted returns all tickets, oldest first, until the next call. It sorts
// only what has changed.
func (p *pool) sorted() []queue.Ticket {
	if len(p.touched) == 0 {
		return p.order
	}
	fresh := make([]queue.Ticket, 0, len(p.touched))
	for id := range p.touched {
		if t, ok := p.tickets[id]; ok {
			fresh = append(fresh, t)
		}
	}
	slices.SortFunc(fresh, byAge)
	merged := make([]queue.Ticket, 0, len(p.tickets))
	for _, t := range p.order {
		if _, ok := p.touched[t.ID]; ok {
			continue
		}
		for len(fresh) > 0 && fresh[0].Older(t) {
			merged, fresh = append(merged, fresh[0]), fresh[1:]
		}
		merged = append(merged, t)
	}
	merged = append(merged, fresh...)
	p.order = merged
	clear(p.touched)
	return p.order
}

func byAge(a, b queue.Ticket) int {
	switch {
	case a.Older(b):
		return -1
	case b.Older(a):
		return 1
	default:
		return 0
	}
}
