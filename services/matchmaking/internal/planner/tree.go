package planner

import "math"

// none is greater than every value a tree holds.
const none = math.MaxInt64

// tree holds a number for each place and finds the next place with a number
// small enough, each in log n.
type tree struct {
	size int
	min  []int64 // min[1] is the root, the leaves start at size
}

func newTree(values []int64) *tree {
	size := 1
	for size < len(values) {
		size *= 2
	}
	t := &tree{size: size, min: make([]int64, 2*size)}
	copy(t.min[size:], values)
	for i := size + len(values); i < 2*size; i++ {
		t.min[i] = none
	}
	for i := size - 1; i > 0; i-- {
		t.min[i] = min(t.min[2*i], t.min[2*i+1])
	}
	return t
}

// clear takes the number of a place away.
func (t *tree) clear(at int) {
	i := at + t.size
	t.min[i] = none
	for i > 1 {
		i /= 2
		least := min(t.min[2*i], t.min[2*i+1])
		if t.min[i] == least {
			return
		}
		t.min[i] = least
	}
}

// after returns the first place past at whose number is at most limit, or -1.
func (t *tree) after(at int, limit int64) int {
	for i := at + t.size; i > 1; i /= 2 {
		if right := i + 1; i%2 == 0 && t.min[right] <= limit {
			return t.first(right, limit)
		}
	}
	return -1
}

// first returns the first place under node i whose number is at most limit;
// there is one.
func (t *tree) first(i int, limit int64) int {
	for i < t.size {
		i *= 2
		if t.min[i] > limit {
			i++
		}
	}
	return i - t.size
}
