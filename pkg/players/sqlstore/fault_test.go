package sqlstore_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/holdfast-games/holdfast/pkg/id"
	"github.com/holdfast-games/holdfast/pkg/players"
	"github.com/holdfast-games/holdfast/pkg/players/sqlstore"
	"github.com/holdfast-games/holdfast/pkg/testkit"
	"github.com/holdfast-games/holdfast/pkg/testkit/faultproxy"
	"github.com/holdfast-games/holdfast/pkg/testkit/postgres"
)

const patience = 30 * time.Second

// hurried gives up soon on a database that does not answer.
func hurried(t *testing.T, url string) *sqlstore.Store {
	t.Helper()
	s, err := sqlstore.Open(url, sqlstore.Options{Timeout: 300 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func mustRecover(t *testing.T, s players.Store) {
	t.Helper()
	testkit.Eventually(t, patience, func() error {
		_, err := s.Get(t.Context(), "ada")
		return err
	}, "the store to recover by itself")
}

func TestPostgresBehindABadNetwork(t *testing.T) {
	server := postgres.Start(t)
	url := server.CreateDatabase(t)
	if _, _, err := migrated(t, url).FindOrCreate(t.Context(), ada, players.NewPlayer{ID: "ada"}, now); err != nil {
		t.Fatal(err)
	}
	proxy := faultproxy.Start(t, server.Addr())
	s := hurried(t, strings.Replace(url, server.Addr(), proxy.Addr(), 1))
	for _, fault := range []struct {
		name  string
		begin func()
	}{{"cut", proxy.Cut}, {"stalled", proxy.Stall}} {
		t.Run(fault.name, func(t *testing.T) {
			mustRecover(t, s) // so that there are connections to break
			fault.begin()
			for doing, err := range everyOperation(t.Context(), s) {
				mustBeUnavailable(t, doing, err)
			}
			proxy.Heal()
			mustRecover(t, s)
		})
	}
}

func TestPostgresThatIsDown(t *testing.T) {
	server := postgres.Start(t)
	s := migrated(t, server.CreateDatabase(t))
	if _, _, err := s.FindOrCreate(t.Context(), ada, players.NewPlayer{ID: "ada"}, now); err != nil {
		t.Fatal(err)
	}
	for name, end := range map[string]func(){"stopped": server.Stop, "killed": server.Kill} {
		end()
		for doing, err := range everyOperation(t.Context(), s) {
			mustBeUnavailable(t, doing+", "+name, err)
		}
		mustBeUnavailable(t, "Migrate, "+name, s.Migrate(short(t)))
		server.Restart(t)
		mustRecover(t, s)
	}
}

// TestPostgresKilledUnderLoad checks that every player who was told that it
// exists does, whenever the server died.
func TestPostgresKilledUnderLoad(t *testing.T) {
	server := postgres.Start(t)
	s := migrated(t, server.CreateDatabase(t))
	var (
		wg     sync.WaitGroup
		told   sync.Map
		logins atomic.Int64
	)
	ctx, stop := context.WithCancel(t.Context())
	for worker := range 4 {
		wg.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				identity := players.Identity{Provider: "guest", SubjectHash: fmt.Sprint(worker, "-", n)}
				if p, _, err := s.FindOrCreate(ctx, identity, players.NewPlayer{ID: id.New()}, now); err == nil {
					told.Store(identity, p)
					logins.Add(1)
				}
			}
		})
	}
	for range 2 {
		seen := logins.Load()
		testkit.Eventually(t, patience, func() bool { return logins.Load() > seen+50 }, "logins")
		server.Kill()
		server.Restart(t)
	}
	stop()
	wg.Wait()
	mustAnswer(t, s)
	told.Range(func(identity, p any) bool {
		got, created, err := s.FindOrCreate(t.Context(), identity.(players.Identity), players.NewPlayer{ID: id.New()}, now)
		if err != nil || created || got != p {
			t.Errorf("%v is %+v, created %v, %v; was told %+v", identity, got, created, err, p)
		}
		return !t.Failed()
	})
}

func mustAnswer(t *testing.T, s players.Store) {
	t.Helper()
	testkit.Eventually(t, patience, func() error { return s.Ping(t.Context()) }, "an answer")
}

func TestSQLiteLockedByAnotherForTooLong(t *testing.T) {
	url := databases["sqlite"](t)
	if _, _, err := migrated(t, url).FindOrCreate(t.Context(), ada, players.NewPlayer{ID: "ada"}, now); err != nil {
		t.Fatal(err)
	}
	s := hurried(t, url)
	other, err := sql.Open("sqlite", strings.TrimPrefix(url, "sqlite://")+"?_txlock=immediate")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = other.Close() })
	writing, err := other.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	mustBeUnavailable(t, "Rename", s.Rename(t.Context(), "ada", "Ada", now))
	_, err = s.Revoke(t.Context(), "ada", players.Banned, now)
	mustBeUnavailable(t, "Revoke", err)
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(20*time.Millisecond, cancel)
	if _, err := s.Revoke(ctx, "ada", players.Banned, now); !errors.Is(err, context.Canceled) ||
		errors.Is(err, players.ErrUnavailable) {
		t.Errorf("a caller that gives up waiting: %v, want context.Canceled alone", err)
	}
	if _, err := s.Get(t.Context(), "ada"); err != nil {
		t.Errorf("reading while another writes: %v", err)
	}
	if err := writing.Rollback(); err != nil {
		t.Fatal(err)
	}
	if rev, err := s.Revoke(t.Context(), "ada", players.Banned, now); err != nil || rev != 1 {
		t.Errorf("Revoke after that: %d, %v; the refused one must not count", rev, err)
	}
}
