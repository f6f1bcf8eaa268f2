package testkit

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func TestMain(m *testing.M) { Main(m) }

// verdict stands for a test and records how it was ended.
type verdict struct {
	testing.TB
	failed, skipped string
}

func (v *verdict) Helper() {}

func (v *verdict) Fatalf(format string, args ...any) {
	v.failed = fmt.Sprintf(format, args...)
	panic(v)
}

func (v *verdict) Skipf(format string, args ...any) {
	v.skipped = fmt.Sprintf(format, args...)
	panic(v)
}

func judge(t *testing.T, test func(tb testing.TB)) (v *verdict) {
	t.Helper()
	v = &verdict{TB: t}
	defer func() {
		if r := recover(); r != nil && r != any(v) {
			panic(r)
		}
	}()
	test(v)
	return v
}

func TestEventuallyWaitsForSuccess(t *testing.T) {
	var calls atomic.Int32
	v := judge(t, func(tb testing.TB) {
		Eventually(tb, time.Minute, func() bool { return calls.Add(1) == 5 }, "the fifth call")
	})
	if v.failed != "" || calls.Load() != 5 {
		t.Errorf("after %d calls: %q", calls.Load(), v.failed)
	}
}

func TestEventuallyFailsWithTheLastError(t *testing.T) {
	calls := 0
	v := judge(t, func(tb testing.TB) {
		Eventually(tb, 20*time.Millisecond, func() error {
			calls++
			return fmt.Errorf("error number %d", calls)
		}, "the impossible")
	})
	want := fmt.Sprintf("error number %d", calls)
	if !strings.Contains(v.failed, "the impossible") || !strings.Contains(v.failed, want) {
		t.Errorf("failed with %q; want the purpose and %q", v.failed, want)
	}
	if calls < 2 {
		t.Errorf("%d calls in 20 ms", calls)
	}
}

func TestEventuallyCallsOnceWithoutTime(t *testing.T) {
	v := judge(t, func(tb testing.TB) {
		Eventually(tb, 0, func() error { return errors.ErrUnsupported }, "anything")
	})
	if !strings.Contains(v.failed, errors.ErrUnsupported.Error()) {
		t.Errorf("failed with %q", v.failed)
	}
	if v := judge(t, func(tb testing.TB) { Eventually(tb, 0, func() bool { return true }, "") }); v.failed != "" {
		t.Errorf("a probe that holds at once failed: %q", v.failed)
	}
}

func TestMissingProgramSkipsOrFails(t *testing.T) {
	for _, c := range []struct {
		name, ci, required string
		fails              bool
	}{
		{name: "laptop"},
		{name: "CI unset to false", ci: "false"},
		{name: "CI", ci: "true", fails: true},
		{name: "required", required: "1", fails: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Setenv("CI", c.ci)
			t.Setenv(RequireServersEnv, c.required)
			v := judge(t, func(tb testing.TB) { Program(tb, "no-such-program") })
			if (v.failed != "") != c.fails || (v.skipped != "") == c.fails {
				t.Errorf("failed %q, skipped %q; want a failure: %v", v.failed, v.skipped, c.fails)
			}
			if !strings.Contains(v.failed+v.skipped, "no-such-program") {
				t.Errorf("the reason names no program: %q", v.failed+v.skipped)
			}
		})
	}
}

func TestProgramPrefersPathThenTheNewestVersion(t *testing.T) {
	install := func(parts ...string) string {
		t.Helper()
		path := filepath.Join(parts...)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("#!/bin/sh\n"), 0o700); err != nil {
			t.Fatal(err)
		}
		return path
	}
	dir, bin := t.TempDir(), t.TempDir()
	t.Setenv("PATH", bin)
	install(dir, "14", "bin", "server")
	newest := install(dir, "15", "bin", "server")
	if got := Program(t, "server", filepath.Join(dir, "*", "bin")); got != newest {
		t.Errorf("Program = %q, want %q", got, newest)
	}
	inPath := install(bin, "server")
	if got := Program(t, "server", filepath.Join(dir, "*", "bin")); got != inPath {
		t.Errorf("Program = %q, want %q", got, inPath)
	}
}

type fixedCode int

func (c fixedCode) Run() int { return int(c) }

func TestRunStopsInOrderAndKeepsTheCode(t *testing.T) {
	var order []string
	stop := func(name string) func() { return func() { order = append(order, name) } }
	code := run{tests: fixedCode(3), stop: []func(){stop("one"), stop("two")}}.Run()
	if code != 3 || strings.Join(order, " ") != "one two" {
		t.Errorf("code %d, stopped %v", code, order)
	}
}

func TestFreePortsDiffer(t *testing.T) {
	if one, two := FreePort(t), FreePort(t); one == two {
		t.Errorf("got port %d twice", one)
	}
}
