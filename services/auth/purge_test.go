package auth

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-games/holdfast/pkg/clock"
	"github.com/holdfast-games/holdfast/pkg/players"
	"github.com/holdfast-games/holdfast/pkg/players/memstore"
)

// withFamilies returns a store with n logins that end an hour from now.
func withFamilies(t *testing.T, now time.Time, n int) players.Store {
	t.Helper()
	store := memstore.New()
	p, _, err := store.FindOrCreate(t.Context(), players.Identity{Provider: "guest", SubjectHash: "a"},
		players.NewPlayer{ID: "ada"}, now)
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		err := store.CreateFamily(t.Context(), players.NewFamily{
			ID: fmt.Sprint("family-", i), PlayerID: p.ID, CreatedAt: now,
			ExpiresAt: now.Add(time.Hour), AbsoluteExpiresAt: now.Add(time.Hour),
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return store
}

func TestPurgeKeepsALoginAsLongAsItsTokens(t *testing.T) {
	const keep = 30 * time.Minute
	fake := clock.NewFake(time.Date(2026, 11, 23, 18, 0, 0, 0, time.UTC))
	p := &purge{store: withFamilies(t, fake.Now(), 2*purgeBatch+1), keep: keep, clock: fake}
	fake.Advance(time.Hour + keep)
	if removed, err := p.pass(t.Context()); err != nil || removed != 0 {
		t.Errorf("removed %d at the last moment, %v", removed, err)
	}
	fake.Advance(time.Millisecond)
	if removed, err := p.pass(t.Context()); err != nil || removed != 2*purgeBatch+1 {
		t.Errorf("removed %d of %d, %v", removed, 2*purgeBatch+1, err)
	}
}

// A database that is away for a while does not end the loop.
func TestPurgeGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &failingPurge{Store: withFamilies(t, time.Now(), 3), failures: 2}
		p := &purge{store: store, clock: clock.System{}, log: slog.New(slog.DiscardHandler)}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- p.run(ctx) }()
		<-time.After(3 * time.Hour)
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("run ended with %v", err)
		}
		if store.failures != 0 || store.removed != 3 {
			t.Errorf("removed %d, %d failures to go", store.removed, store.failures)
		}
	})
}

type failingPurge struct {
	players.Store

	failures, removed int
}

func (f *failingPurge) PurgeExpired(ctx context.Context, before time.Time, limit int) (int, error) {
	if f.failures > 0 {
		f.failures--
		return 0, players.ErrUnavailable
	}
	n, err := f.Store.PurgeExpired(ctx, before, limit)
	f.removed += n
	return n, err
}
