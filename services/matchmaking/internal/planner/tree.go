package planner

import "math"

// none is greater than every value a tree holds.
const none = math.MaxInt64

// tree holds a number for each of n places and finds the nearest place with a
// number small enough, each in log n.
type tree struct {
	size int
	min  []int64 // min[1] is the root, the leaves start at size
}

func newTree(n int) *tree {
	size := 1
	for size < n {
		size *= 2
	}
	t := &tree{size: size, min: make([]int64, 2*size)}
	for i := range t.min {
		t.min[i] = none
	}
	return t
}

func (t *tree) set(at int, value int64) {
	i := at + t.size
	t.min[i] = value
	for i > 1 {
		i /= 2
		t.min[i] = min(t.min[2*i], t.min[2*i+1])
	}
}

func (t *tree) clear(at int) { t.set(at, none) }

// after returns the first place past at whose number is at most limit, or -1.
func (t *tree) after(at int, limit int64) int {
	for i := at + t.size; i > 1; i /= 2 {
		if sibling := i + 1; i%2 == 0 && t.min[sibling] <= limit {
			return t.descend(sibling, limit, 0)
		}
	}
	return -1
}

// before returns the last place short of at whose number is at most limit, or -1.
func (t *tree) before(at int, limit int64) int {
	for i := at + t.size; i > 1; i /= 2 {
		if sibling := i - 1; i%2 == 1 && t.min[sibling] <= limit {
			return t.descend(sibling, limit, 1)
		}
	}
	return -1
}

// descend finds the leaf under i whose number is at most limit: the first one
// when prefer is 0, the last one when it is 1.
func (t *tree) descend(i int, limit int64, prefer int) int {
	for i < t.size {
		if child := 2*i + prefer; t.min[child] <= limit {
			i = child
		} else {
			i = 2*i + 1 - prefer
		}
	}
	return i - t.size
}
