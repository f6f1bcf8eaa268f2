package planner

import (
	"cmp"
	"slices"

	"github.com/holdfast-games/holdfast/services/matchmaking/internal/queue"
	"github.com/holdfast-games/holdfast/services/matchmaking/internal/rules"
)

// pair makes matches of two, the oldest choosing first. Windows grow with
// waiting, so of the one who chooses and a younger partner, the partner's
// window is the smaller: it alone decides. With the players in the order of
// their ratings, a tree over the ends of their windows finds the nearest
// partner on either side in log n, however many there are between.
func pair(w rules.Window, tickets []queue.Ticket, now int64) [][]queue.Ticket {
	byRating := make([]int, len(tickets))
	for i := range byRating {
		byRating[i] = i
	}
	slices.SortStableFunc(byRating, func(a, b int) int { return cmp.Compare(tickets[a].Rating, tickets[b].Rating) })
	place := make([]int, len(tickets))
	low, high := newTree(len(tickets)), newTree(len(tickets))
	for at, i := range byRating {
		place[i] = at
		window := w.At(now - tickets[i].QueuedAt)
		low.set(at, tickets[i].Rating-window)
		high.set(at, -(tickets[i].Rating + window))
	}
	taken := make([]bool, len(tickets))
	take := func(i int) {
		taken[i] = true
		low.clear(place[i])
		high.clear(place[i])
	}
	var matches [][]queue.Ticket
	for i, t := range tickets {
		if taken[i] {
			continue
		}
		take(i)
		above := low.after(place[i], t.Rating)
		below := high.before(place[i], -t.Rating)
		if partner := nearer(tickets, byRating, i, below, above); partner >= 0 {
			take(partner)
			matches = append(matches, []queue.Ticket{t, tickets[partner]})
		}
	}
	return matches
}

// nearer chooses between the partners found on either side; -1 = none.
// Tickets are oldest first, and so are those of one rating in byRating: the
// one below is then the youngest of its rating, and the eldest is sought.
func nearer(tickets []queue.Ticket, byRating []int, i, below, above int) int {
	switch {
	case below < 0 && above < 0:
		return -1
	case below < 0:
		return byRating[above]
	case above < 0:
		return byRating[below]
	}
	down, up := byRating[below], byRating[above]
	byGap := cmp.Compare(tickets[i].Rating-tickets[down].Rating, tickets[up].Rating-tickets[i].Rating)
	if cmp.Or(byGap, cmp.Compare(down, up)) < 0 {
		return down
	}
	return up
}
