// Package playerstest holds every players.Store to the contract in its
// comments: on a map, on SQLite and on Postgres.
package playerstest

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/holdfast-games/holdfast/pkg/id"
	"github.com/holdfast-games/holdfast/pkg/players"
)

// Open returns two handles on one new, empty database; a store that allows only
// one returns it twice. They are closed when the test is over.
type Open func(tb testing.TB) (first, second players.Store)

const (
	sliding  = 30 * 24 * time.Hour
	absolute = 90 * 24 * time.Hour
)

// start is when every test begins; stores keep milliseconds.
var start = time.Date(2026, 3, 1, 12, 0, 0, int(7*time.Millisecond), time.UTC)

// Run runs the whole suite.
func Run(t *testing.T, open Open) {
	t.Helper()
	t.Run("players", func(t *testing.T) { runAll(t, open, playerTests) })
	t.Run("identities", func(t *testing.T) { runAll(t, open, identityTests) })
	t.Run("families", func(t *testing.T) { runAll(t, open, familyTests) })
	t.Run("concurrency", func(t *testing.T) { runAll(t, open, concurrencyTests) })
	t.Run("histories", func(t *testing.T) { testHistories(t, open) })
}

type testCase struct {
	name string
	run  func(b *backend)
}

func runAll(t *testing.T, open Open, tests []testCase) {
	t.Helper()
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			first, second := open(t)
			test.run(&backend{Store: first, other: second, t: t})
		})
	}
}

// backend is a store with steps that must succeed.
type backend struct {
	players.Store

	other players.Store
	t     *testing.T
}

func (b *backend) player(identity players.Identity, name string) players.Player {
	b.t.Helper()
	p, created, err := b.FindOrCreate(b.t.Context(), identity, newPlayer(name), start)
	if err != nil || !created {
		b.t.Fatalf("FindOrCreate(%v) = created %v, %v", identity, created, err)
	}
	return p
}

func (b *backend) family(p players.Player) string {
	b.t.Helper()
	f := newFamily(p)
	if err := b.CreateFamily(b.t.Context(), f); err != nil {
		b.t.Fatalf("CreateFamily: %v", err)
	}
	return f.ID
}

func (b *backend) rotate(familyID string, presented int64, now time.Time) players.RotateResult {
	b.t.Helper()
	r, err := b.RotateFamily(b.t.Context(), players.Rotation{
		FamilyID: familyID, Presented: presented, Now: now, Sliding: sliding,
	})
	if err != nil {
		b.t.Fatalf("RotateFamily(%d): %v", presented, err)
	}
	return r
}

func (b *backend) get(playerID string) players.Player {
	b.t.Helper()
	p, err := b.Get(b.t.Context(), playerID)
	if err != nil {
		b.t.Fatalf("Get: %v", err)
	}
	return p
}

func (b *backend) facts(playerID, familyID string) players.Facts {
	b.t.Helper()
	f, err := b.Facts(b.t.Context(), playerID, familyID)
	if err != nil {
		b.t.Fatalf("Facts: %v", err)
	}
	return f
}

func (b *backend) revoke(playerID string, now time.Time) int64 {
	b.t.Helper()
	rev, err := b.Revoke(b.t.Context(), playerID, players.Banned, now)
	if err != nil {
		b.t.Fatalf("Revoke: %v", err)
	}
	return rev
}

func guest(n int) players.Identity {
	return players.Identity{Provider: "guest", SubjectHash: fmt.Sprintf("hash-%d", n)}
}

func steam(n int) players.Identity {
	return players.Identity{Provider: "steam", SubjectHash: fmt.Sprintf("hash-%d", n)}
}

func newPlayer(name string) players.NewPlayer {
	return players.NewPlayer{ID: id.New(), DisplayName: name}
}

func newFamily(p players.Player) players.NewFamily {
	return players.NewFamily{
		ID: id.New(), PlayerID: p.ID, Rev: p.Rev,
		CreatedAt: start, ExpiresAt: start.Add(sliding), AbsoluteExpiresAt: start.Add(absolute),
	}
}

func mustBe(t *testing.T, what string, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

func equal[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s:\n got %+v\nwant %+v", what, got, want)
	}
}
