package players_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/holdfast-games/holdfast/pkg/apperr"
	"github.com/holdfast-games/holdfast/pkg/players"
)

func TestIdentityValidate(t *testing.T) {
	for _, c := range []struct {
		identity players.Identity
		want     error
	}{
		{players.Identity{Provider: "guest", SubjectHash: "hash"}, nil},
		{players.Identity{Provider: "guest", SubjectHash: strings.Repeat("x", 256)}, nil},
		{players.Identity{Provider: "guest", SubjectHash: strings.Repeat("x", 257)}, players.ErrInvalid},
		{players.Identity{Provider: "guest"}, players.ErrInvalid},
		{players.Identity{SubjectHash: "hash"}, players.ErrInvalid},
		{players.Identity{Provider: "guest", SubjectHash: "a\x00"}, players.ErrInvalid},
		{players.Identity{Provider: "g\xff", SubjectHash: "a"}, players.ErrInvalid},
	} {
		if err := c.identity.Validate(); !errors.Is(err, c.want) {
			t.Errorf("%q: %v, want %v", c.identity, err, c.want)
		}
	}
}

func TestNewPlayerValidate(t *testing.T) {
	for _, c := range []struct {
		player players.NewPlayer
		want   error
	}{
		{players.NewPlayer{ID: "a-B_9"}, nil},
		{players.NewPlayer{ID: "a", DisplayName: "Ada ♥"}, nil},
		{players.NewPlayer{DisplayName: "Ada"}, players.ErrInvalid},
		{players.NewPlayer{ID: "a b"}, players.ErrInvalid},
		{players.NewPlayer{ID: "a", DisplayName: "\x00"}, players.ErrInvalid},
	} {
		if err := c.player.Validate(); !errors.Is(err, c.want) {
			t.Errorf("%q: %v, want %v", c.player, err, c.want)
		}
	}
}

func TestErrorsAreToldApart(t *testing.T) {
	all := []*apperr.Error{
		players.ErrUnavailable, players.ErrNotFound, players.ErrInvalid,
		players.ErrChanged, players.ErrIdentityTaken, players.ErrLastIdentity,
	}
	for i, a := range all {
		for j, b := range all {
			if errors.Is(a, b) != (i == j) {
				t.Errorf("errors.Is(%v, %v) = %v", a, b, i != j)
			}
		}
	}
	if !errors.Is(apperr.Away("asking", errors.ErrUnsupported), players.ErrUnavailable) {
		t.Error("a dependency that is away does not match ErrUnavailable")
	}
}
