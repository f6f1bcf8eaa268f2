// Package planner decides who meets whom: rules, tickets and a time go in,
// matches come out. It does no I/O and keeps nothing.
package planner

import (
	"slices"
	"strconv"
	"strings"

	"github.com/holdfast-games/holdfast/services/matchmaking/internal/queue"
	"github.com/holdfast-games/holdfast/services/matchmaking/internal/rules"
)

// Plan returns the matches that can be made now, in ms, among tickets given
// oldest first. No ticket and no player is in two of them, each is legal by
// the rules, and none that would be legal is left out. The oldest is served
// first, whoever cannot be served blocks nobody, and of several partners the
// nearest in rating is taken, then the oldest. The cost is n log n.
func Plan(q rules.Queue, tickets []queue.Ticket, now int64) [][]queue.Ticket {
	var matches [][]queue.Ticket
	for _, group := range groups(q, candidates(tickets, now)) {
		if q.Rating != nil {
			matches = append(matches, pair(*q.Rating, group, now)...)
		} else {
			matches = append(matches, fill(q, group, now)...)
		}
	}
	slices.SortStableFunc(matches, func(a, b []queue.Ticket) int { return order(a[0], b[0]) })
	return matches
}

func order(a, b queue.Ticket) int {
	switch {
	case a.Older(b):
		return -1
	case b.Older(a):
		return 1
	default:
		return 0
	}
}

// candidates leaves out who cannot be matched now. Of two tickets of one
// player, the older is what an earlier life of the session left behind.
func candidates(tickets []queue.Ticket, now int64) []queue.Ticket {
	newest := make(map[string]int, len(tickets))
	for i, t := range tickets {
		newest[t.Player] = i
	}
	out := make([]queue.Ticket, 0, len(tickets))
	for i, t := range tickets {
		if t.Matchable(now) && newest[t.Player] == i {
			out = append(out, t)
		}
	}
	return out
}

// groups splits tickets by the attributes that must be equal.
func groups(q rules.Queue, tickets []queue.Ticket) [][]queue.Ticket {
	if len(q.Equal) == 0 {
		return [][]queue.Ticket{tickets}
	}
	index := map[string]int{}
	var out [][]queue.Ticket
	for _, t := range tickets {
		key := attributeKey(q.Equal, t)
		i, ok := index[key]
		if !ok {
			i = len(out)
			index[key] = i
			out = append(out, nil)
		}
		out[i] = append(out[i], t)
	}
	return out
}

// attributeKey is equal for two tickets just when the named attributes are;
// the order of several values does not matter.
func attributeKey(names []string, t queue.Ticket) string {
	var b strings.Builder
	for _, name := range names {
		values := slices.Sorted(slices.Values(t.Attributes[name]))
		b.WriteString(strconv.Itoa(len(values)))
		for _, v := range values {
			b.WriteString(strconv.Quote(v))
		}
		b.WriteByte(';')
	}
	return b.String()
}

// fill makes full matches of the oldest, and one that is not full of those
// who are left once the first of them has waited for the fill time.
func fill(q rules.Queue, tickets []queue.Ticket, now int64) [][]queue.Ticket {
	var matches [][]queue.Ticket
	for len(tickets) >= q.Max {
		matches = append(matches, slices.Clone(tickets[:q.Max]))
		tickets = tickets[q.Max:]
	}
	if len(tickets) >= q.Min && now-tickets[0].QueuedAt >= q.FillTime.Milliseconds() {
		matches = append(matches, slices.Clone(tickets))
	}
	return matches
}
