package guest_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/holdfast-games/holdfast/pkg/players"
	"github.com/holdfast-games/holdfast/services/auth/internal/guest"
)

// An identity that is hashed in another way belongs to nobody: every guest
// would lose the account.
func TestHashStays(t *testing.T) {
	got, err := guest.New("key").Identity("device")
	want := players.Identity{
		Provider: "guest", SubjectHash: "85fa53acdc653fda6ac4109ac895a7a9920ed14eded808f9caafcd965ca952bd",
	}
	if err != nil || got != want {
		t.Errorf("Identity = %+v, %v, want %+v", got, err, want)
	}
}

func TestIdentitiesDiffer(t *testing.T) {
	seen := map[players.Identity]string{}
	for name, identity := range map[string]func() (players.Identity, error){
		"a":             func() (players.Identity, error) { return guest.New("key").Identity("a") },
		"A":             func() (players.Identity, error) { return guest.New("key").Identity("A") },
		"a and a space": func() (players.Identity, error) { return guest.New("key").Identity("a ") },
		"another key":   func() (players.Identity, error) { return guest.New("another key").Identity("a") },
	} {
		got, err := identity()
		if err != nil || got.Validate() != nil {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
		if other, ok := seen[got]; ok {
			t.Errorf("%s and %s are the same identity", name, other)
		}
		seen[got] = name
	}
}

func TestIdentityRefuses(t *testing.T) {
	for _, device := range []string{
		"", strings.Repeat("a", 129), "a\x00", "a\n", "\t", "a\x7f", "a\u00a0b", "\u200b", "a\u202e", "a\xff", "a\ufffd",
	} {
		if got, err := guest.New("key").Identity(device); !errors.Is(err, guest.ErrDeviceID) {
			t.Errorf("Identity(%q) = %+v, %v", device, got, err)
		}
	}
}
