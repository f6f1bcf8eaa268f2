package rediskit_test

import (
	"context"
	"errors"
	"testing"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/holdfast-games/holdfast/pkg/apperr"
	"github.com/holdfast-games/holdfast/pkg/rediskit"
	"github.com/holdfast-games/holdfast/pkg/testkit"
	"github.com/holdfast-games/holdfast/pkg/testkit/redisserver"
)

var shared redisserver.Shared

func TestMain(m *testing.M) { testkit.Main(m, shared.Stop) }

// site is an empty Redis.
type site struct {
	*testing.T

	client redis.UniversalClient
}

func onEach(t *testing.T, test func(*site)) {
	t.Helper()
	for name, rawURL := range map[string]func(*testing.T) string{
		"miniredis": func(t *testing.T) string { t.Helper(); return "redis://" + miniredis.RunT(t).Addr() },
		"redis":     func(t *testing.T) string { t.Helper(); return shared.Server(t).URL() },
		"cluster":   func(t *testing.T) string { t.Helper(); return shared.Cluster(t).URL() },
	} {
		t.Run(name, func(t *testing.T) { test(&site{T: t, client: open(t, rawURL(t))}) })
	}
}

var echo = rediskit.NewScript("test.echo", "local prefix = 'got '", "return {prefix .. ARGV[1], KEYS[1], 7, false}")

func TestRun(t *testing.T) {
	onEach(t, func(s *site) {
		t, c := s.T, s.client
		for range 2 { // whole the first time, by its hash the second
			reply, err := echo.Run(t.Context(), c, []string{"{1}k"}, "it")
			if err != nil {
				t.Fatal(err)
			}
			r := rediskit.Read(echo.Name(), reply)
			if a, b, n, nothing := r.String(), r.String(), r.Int(), r.String(); a != "got it" || b != "{1}k" || n != 7 || nothing != "" {
				t.Errorf("got %q, %q, %d, %q", a, b, n, nothing)
			}
			if err := r.Err(); err != nil {
				t.Error(err)
			}
		}
	})
}

func TestRunFails(t *testing.T) {
	onEach(t, func(s *site) {
		t, c := s.T, s.client
		broken := rediskit.NewScript("test.broken", "return redis.call('HGET', KEYS[1])")
		_, err := broken.Run(t.Context(), c, []string{"{1}k"})
		if apperr.From(err).Kind != apperr.Unavailable {
			t.Errorf("a broken script: got %v", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := echo.Run(ctx, c, []string{"{1}k"}, "it"); !errors.Is(err, context.Canceled) {
			t.Errorf("after the caller gave up: got %v", err)
		}
	})
}

// TestRunBatch: a pipeline sends hashes only, and so must mend what the server
// does not have, in whatever place it is.
func TestRunBatch(t *testing.T) {
	onEach(t, func(s *site) {
		t, c := s.T, s.client
		broken := rediskit.NewScript("test.broken", "return redis.call('HGET', KEYS[1])")
		other := rediskit.NewScript("test.other", "return {ARGV[1] .. '!'}")
		if _, err := echo.Run(t.Context(), c, []string{"{1}k"}, "warm"); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			results := rediskit.RunBatch(t.Context(), c, []rediskit.Call{
				{Script: echo, Keys: []string{"{1}k"}, Args: []any{"one"}},
				{Script: other, Keys: []string{"{2}k"}, Args: []any{"two"}},
				{Script: broken, Keys: []string{"{3}k"}},
				{Script: echo, Keys: []string{"{4}k"}, Args: []any{"four"}},
			})
			if len(results) != 4 || results[0].Err != nil || results[1].Err != nil || results[3].Err != nil {
				t.Fatalf("got %+v", results)
			}
			if results[0].Reply[0] != "got one" || results[1].Reply[0] != "two!" || results[3].Reply[0] != "got four" {
				t.Errorf("got %+v", results)
			}
			if apperr.From(results[2].Err).Kind != apperr.Unavailable {
				t.Errorf("the broken one: got %v", results[2].Err)
			}
		}
		if results := rediskit.RunBatch(t.Context(), c, nil); len(results) != 0 {
			t.Errorf("no calls: got %+v", results)
		}
	})
}

func TestReadTellsWhatIsWrong(t *testing.T) {
	for name, read := range map[string]func(*rediskit.Reply){
		"too short":    func(r *rediskit.Reply) { _, _, _ = r.String(), r.String(), r.String() },
		"not a number": func(r *rediskit.Reply) { r.Int() },
	} {
		r := rediskit.Read("test.x", []any{"a", int64(2)})
		read(r)
		if r.Err() == nil {
			t.Errorf("%s: no error", name)
		}
		if s, n, rest := r.String(), r.Int(), r.Rest(); s != "" || n != 0 || len(rest) != 0 {
			t.Errorf("%s: read on after the error: %q, %d, %v", name, s, n, rest)
		}
	}
	r := rediskit.Read("test.x", []any{"a", 1.5})
	if got := r.Rest(); r.Err() == nil {
		t.Errorf("a float was read as %v", got)
	}
}

func TestParseInt(t *testing.T) {
	for s, want := range map[string]int64{"": 0, "0": 0, "-7": -7, "1795461899000": 1795461899000, "9007199254740993": 9007199254740993} {
		if got, err := rediskit.ParseInt(s); err != nil || got != want {
			t.Errorf("%q: got %d, %v", s, got, err)
		}
	}
	for _, bad := range []string{"x", "1.5", "1e3", " 1", "9223372036854775808"} {
		if _, err := rediskit.ParseInt(bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}
