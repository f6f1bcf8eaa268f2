package sessiontest

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"
)

// Variables of the environment.
const (
	HistoriesEnv = "HOLDFAST_HISTORIES" // multiplies how many histories are played
	SeedEnv      = "HOLDFAST_SEED"      // of the first history, to play the same ones again
)

// Compare plays n random histories (times HistoriesEnv) on the map and on the
// stores that the others make. It fails with a short history after which an
// answer, a record or an event differs, or after which one of the Properties
// does not hold, and with the seed to see it again.
func Compare(t *testing.T, n int, model Factory, others ...Factory) {
	t.Helper()
	first := uint64(time.Now().UnixNano())
	if raw := os.Getenv(SeedEnv); raw != "" {
		var err error
		if first, err = strconv.ParseUint(raw, 10, 64); err != nil {
			t.Fatalf("%s: %v", SeedEnv, err)
		}
	}
	cast := newCast(t, model, others...)
	for seed := first; seed < first+uint64(histories(t, n)); seed++ {
		if wrong := cast.complaint(t, tell(seed)); wrong != "" {
			short := shorten(tell(seed), func(s Story) bool { return cast.complaint(t, s) != "" })
			t.Fatalf("%s=%d: %s\n%s", SeedEnv, seed, cast.complaint(t, short), short)
		}
	}
}

// Detect plays n histories, always the same ones, on stores of which one is
// known to be wrong, and returns the first complaint, or "" when none showed it.
func Detect(tb testing.TB, n int, model Factory, others ...Factory) string {
	tb.Helper()
	cast := newCast(tb, model, others...)
	for seed := range uint64(n) {
		if wrong := cast.complaint(tb, tell(seed)); wrong != "" {
			return wrong
		}
	}
	return ""
}

func histories(tb testing.TB, n int) int {
	tb.Helper()
	raw := os.Getenv(HistoriesEnv)
	if testing.Short() {
		n = max(1, n/20)
	}
	if raw == "" {
		return n
	}
	factor, err := strconv.ParseFloat(raw, 64)
	if err != nil || factor <= 0 {
		tb.Fatalf("%s=%q is not a positive number", HistoriesEnv, raw)
	}
	return max(1, int(float64(n)*factor))
}

// cast is the stores that play the same stories, the model first, with each of
// the settings that stories come in.
type cast map[bool][]*Backend

func newCast(tb testing.TB, model Factory, others ...Factory) cast {
	tb.Helper()
	c := cast{}
	for _, reconciling := range []bool{false, true} {
		for _, open := range slices.Concat([]Factory{model}, others) {
			c[reconciling] = append(c[reconciling], open(tb, NewWorld(storyStart()), storySettings(reconciling)))
		}
	}
	return c
}

// complaint plays a story on all stores and says what is wrong, or "".
func (c cast) complaint(tb testing.TB, story Story) string {
	tb.Helper()
	model := play(tb, c[story.Reconciling][0], story)
	for _, p := range Properties() {
		if wrong := p.Violated(model); wrong != "" {
			return fmt.Sprintf("%s: %s", p.Name, wrong)
		}
	}
	for _, b := range c[story.Reconciling][1:] {
		if d := difference(model, play(tb, b, story)); d != "" {
			return fmt.Sprintf("the %s and the map disagree\n%s", b.Label, d)
		}
	}
	return ""
}

// openAlike compares what is open at the end. What a lost record had open
// stays listed until an event or the sweep tells that it is over.
func openAlike(want, got Trace) bool {
	open := slices.Clone(got.Open)
	if slices.ContainsFunc(want.Moments, func(m Moment) bool { return m.Step.Op == opLose }) {
		open = slices.DeleteFunc(open, func(member string) bool { return !slices.Contains(want.Open, member) })
	}
	return slices.Equal(open, want.Open)
}

// difference returns the first moment in which two traces of one story differ.
func difference(want, got Trace) string {
	for i, m := range want.Moments {
		if w, g := m.String(), got.Moments[i].String(); w != g {
			return fmt.Sprintf("step %d (%s)\n--- the map\n%s--- the other\n%s", i, m.Step, w, g)
		}
	}
	if !openAlike(want, got) {
		return fmt.Sprintf("open at the end: %v on the map, %v on the other", want.Open, got.Open)
	}
	if !maps.Equal(want.Deadlines, got.Deadlines) {
		return fmt.Sprintf("deadlines at the end: %v on the map, %v on the other", want.Deadlines, got.Deadlines)
	}
	return ""
}
