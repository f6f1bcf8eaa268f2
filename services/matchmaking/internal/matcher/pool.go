package matcher

import (
	"slices"

	"github.com/holdfast-games/holdfast/services/matchmaking/internal/queue"
)

// pool is the picture of a queue: the tickets that wait or are held.
type pool struct {
	tickets map[string]queue.Ticket
	gone    map[string]int64 // version with which a ticket left, until it is heard of
	order   []queue.Ticket   // oldest first; nil = to be made again
}

func newPool() *pool {
	return &pool{tickets: map[string]queue.Ticket{}, gone: map[string]int64{}}
}

// apply takes in changes, newest last. It reports whether something changed
// that a plan may depend on.
func (p *pool) apply(changes []queue.Ticket) bool {
	changed := false
	for _, t := range changes {
		if have, ok := p.tickets[t.ID]; (ok && have.V > t.V) || p.gone[t.ID] >= t.V && p.gone[t.ID] > 0 {
			continue
		}
		delete(p.gone, t.ID)
		p.put(t)
		changed = true
	}
	return changed
}

func (p *pool) put(t queue.Ticket) {
	if t.State == queue.Waiting || t.State == queue.Held {
		p.tickets[t.ID] = t
	} else {
		delete(p.tickets, t.ID)
	}
	p.order = nil
}

// drop removes tickets that were just committed. News from before that, which
// is still on its way, must not bring them back.
func (p *pool) drop(tickets []queue.Ticket) {
	for _, t := range tickets {
		p.gone[t.ID] = t.V
		delete(p.tickets, t.ID)
	}
	p.order = nil
}

// replace puts the truth about a ticket in place of what was believed.
func (p *pool) replace(id string, t queue.Ticket) {
	if t.ID == "" {
		t.ID = id
	}
	p.put(t)
}

// sorted returns all tickets, oldest first.
func (p *pool) sorted() []queue.Ticket {
	if p.order == nil {
		p.order = make([]queue.Ticket, 0, len(p.tickets))
		for _, t := range p.tickets {
			p.order = append(p.order, t)
		}
		slices.SortFunc(p.order, func(a, b queue.Ticket) int {
			switch {
			case a.Older(b):
				return -1
			case b.Older(a):
				return 1
			default:
				return 0
			}
		})
	}
	return p.order
}
