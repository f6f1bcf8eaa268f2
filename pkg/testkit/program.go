package testkit

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
)

// RequireServersEnv names the variable that, set to anything, turns a missing
// server program from a skipped into a failed test. CI=true does the same.
const RequireServersEnv = "HOLDFAST_TEST_REQUIRE_SERVERS"

// Program returns the path of an installed program, looked up in PATH and then
// in the folders that the glob patterns in elsewhere match. Where there is
// none the test is skipped, or fails if this run must have every server.
func Program(tb testing.TB, name string, elsewhere ...string) string {
	tb.Helper()
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	for _, pattern := range elsewhere {
		matches, _ := filepath.Glob(filepath.Join(pattern, name))
		for _, match := range slices.Backward(matches) { // the newest version sorts last
			if path, err := exec.LookPath(match); err == nil {
				return path
			}
		}
	}
	Missing(tb, "the program "+name)
	return ""
}

// Missing ends a test that needs something this machine does not have: skipped
// on a laptop, failed in CI or where RequireServersEnv is set.
func Missing(tb testing.TB, what string) {
	tb.Helper()
	if os.Getenv("CI") == "true" || os.Getenv(RequireServersEnv) != "" {
		tb.Fatalf("%s is not installed, and this run must not do without it", what)
	}
	tb.Skipf("NOT TESTED: %s is not installed; install it, or see what is missed with %s=1", what, RequireServersEnv)
}
