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
func pair(w rules.Window, tickets []queue.Ticket, group []int, now int64) [][]int {
	players := make([]player, len(group))
	for i, t := range group {
		players[i] = player{rating: tickets[t].Rating, window: w.At(now - tickets[t].QueuedAt)}
	}
	above, below := newSide(players, 1), newSide(players, -1)
	taken := make([]bool, len(players))
	take := func(i int) {
		taken[i] = true
		above.remove(i)
		below.remove(i)
	}
	var matches [][]int
	for i, p := range players {
		if taken[i] {
			continue
		}
		take(i)
		up, down := above.next(i, p.rating), below.next(i, -p.rating)
		if partner := nearer(players, i, up, down); partner >= 0 {
			take(partner)
			matches = append(matches, []int{group[i], group[partner]})
		}
	}
	return matches
}

// player is what matters of a ticket here.
type player struct{ rating, window int64 }

// nearer chooses between the partners found on either side; -1 = none.
func nearer(players []player, i, up, down int) int {
	if up < 0 || down < 0 {
		return max(up, down)
	}
	gapUp, gapDown := players[up].rating-players[i].rating, players[i].rating-players[down].rating
	if cmp.Or(cmp.Compare(gapUp, gapDown), cmp.Compare(up, down)) <= 0 {
		return up
	}
	return down
}

// side is the players in the order of their ratings as seen in one direction,
// equal ones oldest first.
type side struct {
	byPlace []int // player
	place   []int // of a player
	reach   *tree // by place: how far towards the one who chooses a window goes
}

// newSide orders players by growing (sign 1) or falling (sign -1) rating.
func newSide(players []player, sign int64) *side {
	s := &side{byPlace: make([]int, len(players)), place: make([]int, len(players))}
	for i := range s.byPlace {
		s.byPlace[i] = i
	}
	slices.SortFunc(s.byPlace, func(a, b int) int {
		return cmp.Or(cmp.Compare(sign*players[a].rating, sign*players[b].rating), cmp.Compare(a, b))
	})
	reach := make([]int64, len(players))
	for at, i := range s.byPlace {
		s.place[i] = at
		reach[at] = sign*players[i].rating - players[i].window
	}
	s.reach = newTree(reach)
	return s
}

func (s *side) remove(i int) { s.reach.clear(s.place[i]) }

// next returns the nearest player past i whose window reaches back to limit,
// or -1.
func (s *side) next(i int, limit int64) int {
	if at := s.reach.after(s.place[i], limit); at >= 0 {
		return s.byPlace[at]
	}
	return -1
}
