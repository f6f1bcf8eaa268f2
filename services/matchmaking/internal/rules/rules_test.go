package rules

import (
	"strings"
	"testing"
	"time"
)

func TestDefault(t *testing.T) {
	set, err := Default()
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]Queue{
		"casual": {Min: 2, Max: 4, FillTime: 15 * time.Second},
		"ranked": {Min: 2, Max: 2, Rating: &Window{Start: 150, Grow: 50, Every: 30 * time.Second, Cap: 600}},
		"duel":   {Min: 2, Max: 2},
	} {
		got, ok := set.Queue(name)
		if !ok || got.Min != want.Min || got.Max != want.Max || got.FillTime != want.FillTime || got.MaxDuration != DefaultDuration {
			t.Errorf("%s: %+v", name, got)
		}
		if (got.Rating == nil) != (want.Rating == nil) || got.Rating != nil && *got.Rating != *want.Rating {
			t.Errorf("%s: rating %+v", name, got.Rating)
		}
	}
	if _, ok := set.Queue("default:ranked"); !ok {
		t.Errorf("no queue has a name that modId and gameMode can say: %v", set.Names())
	}
}

func TestParse(t *testing.T) {
	set, err := Parse([]byte("queues:\n  \"mod:1v1\":\n    players: 2\n    maxDuration: 30m\n    attributes: {equal: [version]}\n"))
	if err != nil {
		t.Fatal(err)
	}
	q, _ := set.Queue("mod:1v1")
	if q.Name != "mod:1v1" || q.MaxDuration != 30*time.Minute || len(q.Equal) != 1 {
		t.Errorf("got %+v", q)
	}
}

func TestMistakesAreNamedWithTheirLine(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"unknown field":      {"queues:\n  a:\n    players: 2\n    plyers: 3\n", "line 4"},
		"not YAML":           {"queues:\n  a: {players: 2\n", "L2"},
		"no queue":           {"queues: {}\n", "1 to 1000 queues"},
		"empty":              {"", "queues"},
		"name":               {"queues:\n  a b:\n    players: 2\n", "line 2: queue \"a b\": a name is"},
		"no players":         {"queues:\n  a:\n    fillTime: 3s\n", "line 2: queue \"a\": players: is missing"},
		"one player":         {"queues:\n  a:\n    players: 1\n", "line 3: queue \"a\": players: must be 2"},
		"min above max":      {"queues:\n  a:\n    players: {min: 4, max: 3}\n", "line 3: queue \"a\": players: must be"},
		"players typo":       {"queues:\n  a:\n    players: {min: 4, mx: 3}\n", "line 3: queue \"a\": players: unknown field \"mx\""},
		"not a number":       {"queues:\n  a:\n    players: two\n", "line 3: queue \"a\": players: is not a number"},
		"no fill time":       {"queues:\n  a:\n    players: {min: 2, max: 4}\n", "line 3: queue \"a\": players: min below max needs"},
		"useless fill time":  {"queues:\n  a:\n    players: 2\n    fillTime: 3s\n", "line 4: queue \"a\": fillTime: means nothing"},
		"bad duration":       {"queues:\n  a:\n    players: 2\n    maxDuration: 5\n", "line 4: queue \"a\": maxDuration: \"5\""},
		"short duration":     {"queues:\n  a:\n    players: 2\n    maxDuration: 5ms\n", "line 4: queue \"a\": maxDuration: must be"},
		"rating of four":     {"queues:\n  a:\n    players: 4\n    rating: {window: 5}\n", "line 4: queue \"a\": rating: works for two"},
		"growth without end": {"queues:\n  a:\n    players: 2\n    rating: {window: 5, grow: 1, every: 1s, cap: 3}\n", "rating: cap must be"},
		"growth of no pace":  {"queues:\n  a:\n    players: 2\n    rating: {window: 5, grow: 1, cap: 30}\n", "rating: grow needs every"},
		"negative window":    {"queues:\n  a:\n    players: 2\n    rating: {window: -5}\n", "rating: window, grow and cap"},
		"attribute":          {"queues:\n  a:\n    players: 2\n    attributes: {equal: [\"\"]}\n", "line 4: queue \"a\": attributes"},
		"same queue twice":   {"queues:\n  a: {players: 2}\n  a: {players: 2}\n", "line 3"},
		"through an alias":   {"queues:\n  a: &x\n    players: 2\n    maxDuration: 1\n  b: *x\n", "line 4: queue \"b\""},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Parse([]byte(c.text))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestWindow(t *testing.T) {
	w := Window{Start: 150, Grow: 50, Every: 30 * time.Second, Cap: 600}
	for ms, want := range map[int64]int64{-5: 150, 0: 150, 15_000: 175, 30_000: 200, 270_000: 600, 1 << 50: 600} {
		if got := w.At(ms); got != want {
			t.Errorf("after %d ms: %d, want %d", ms, got, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(defaults)
	f.Add([]byte("queues:\n  a:\n    players: {min: 2, max: 4}\n    fillTime: 1s\n"))
	f.Add([]byte("queues: {a: {players: 2, rating: {window: 1, grow: 2, every: 3s, cap: 4}, attributes: {equal: [x]}}}"))
	f.Fuzz(func(t *testing.T, text []byte) {
		set, err := Parse(text)
		if err != nil {
			if len(set.Names()) != 0 {
				t.Errorf("an error and queues: %v, %v", err, set.Names())
			}
			return
		}
		for _, name := range set.Names() {
			q, _ := set.Queue(name)
			if q.Name != name || !ValidName(name) || q.Min < 2 || q.Max < q.Min || q.MaxDuration < time.Second {
				t.Errorf("accepted %+v", q)
			}
			if q.Rating != nil && (q.Max != 2 || q.Rating.At(1<<40) < q.Rating.At(0) || q.Rating.Every <= 0) {
				t.Errorf("accepted rating %+v of %+v", q.Rating, q)
			}
		}
	})
}
