// Package planner decides who meets whom: rules, tickets and a time go in,
// matches come out. It does no I/O and keeps nothing.
package planner

import (
	"cmp"
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
	var matches [][]int
	for _, group := range groups(q, tickets, candidates(tickets, now)) {
		if q.Rating != nil {
			matches = append(matches, pair(*q.Rating, tickets, group, now)...)
		} else {
			matches = append(matches, fill(q, tickets, group, now)...)
		}
	}
	slices.SortFunc(matches, func(a, b []int) int { return cmp.Compare(a[0], b[0]) })
	out := make([][]queue.Ticket, len(matches))
	for i, match := range matches {
		for _, at := range match {
			out[i] = append(out[i], tickets[at])
		}
	}
	return out
}

// candidates returns the tickets, by index, that can be matched now. Of two
// of one player, the older is what an earlier life of the session left behind.
func candidates(tickets []queue.Ticket, now int64) []int {
	newest := make(map[string]int, len(tickets))
	for i := range tickets {
		newest[tickets[i].Player] = i
	}
	out := make([]int, 0, len(tickets))
	for i := range tickets {
		if tickets[i].Matchable(now) && newest[tickets[i].Player] == i {
			out = append(out, i)
		}
	}
	return out
}

// groups splits tickets by the attributes that must be equal.
func groups(q rules.Queue, tickets []queue.Ticket, pool []int) [][]int {
	if len(q.Equal) == 0 {
		return [][]int{pool}
	}
	index := map[string]int{}
	var out [][]int
	for _, t := range pool {
		key := attributeKey(q.Equal, tickets[t])
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
func fill(q rules.Queue, tickets []queue.Ticket, group []int, now int64) [][]int {
	var matches [][]int
	for len(group) >= q.Max {
		matches = append(matches, group[:q.Max])
		group = group[q.Max:]
	}
	if len(group) >= q.Min && now-tickets[group[0]].QueuedAt >= q.FillTime.Milliseconds() {
		matches = append(matches, group)
	}
	return matches
}
