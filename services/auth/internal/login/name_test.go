package login_test

import (
	"errors"
	"regexp"
	"strings"
	"testing"

	"github.com/holdfast-games/holdfast/services/auth/internal/login"
)

func TestCleanName(t *testing.T) {
	for raw, want := range map[string]string{
		"":                            "",
		"Ada":                         "Ada",
		"  Ada Lovelace\t":            "Ada Lovelace",
		strings.Repeat("é", 32):       strings.Repeat("é", 32),
		"عائشة":                       "عائشة",
		"می\u200cخواهم":               "می\u200cخواهم",
		"👨\u200d👩\u200d👧":             "👨\u200d👩\u200d👧",
		"e\u0301":                     "e\u0301",
		" " + strings.Repeat("a", 32): strings.Repeat("a", 32),
	} {
		if got, err := login.CleanName(raw); err != nil || got != want {
			t.Errorf("CleanName(%q) = %q, %v, want %q", raw, got, err, want)
		}
	}
	for _, raw := range []string{
		" ", "\n", "a\nb", "a\x00b", "\u202ea", "\u200d", "\u0301", strings.Repeat("a", 33), "a\xff", "a\ufffd", "a\u2028b",
	} {
		if got, err := login.CleanName(raw); !errors.Is(err, login.ErrDisplayName) {
			t.Errorf("CleanName(%q) = %q, %v", raw, got, err)
		}
	}
}

func TestMadeUpNamesVary(t *testing.T) {
	shape := regexp.MustCompile(`^Player-[2-9A-HJ-NP-Z]{4}$`)
	seen := map[string]bool{}
	for range 100 {
		l := newDesk(t).logIn(t, "")
		if !shape.MatchString(l.Player.DisplayName) {
			t.Fatalf("made-up name %q", l.Player.DisplayName)
		}
		seen[l.Player.DisplayName] = true
	}
	if len(seen) < 90 {
		t.Errorf("100 players share %d names", len(seen))
	}
}
