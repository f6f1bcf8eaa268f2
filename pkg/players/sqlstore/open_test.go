package sqlstore_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-games/holdfast/pkg/players"
	"github.com/holdfast-games/holdfast/pkg/players/sqlstore"
)

var (
	now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	ada = players.Identity{Provider: "guest", SubjectHash: "ada"}
)

func TestOpenRefusesWhatCannotBeRight(t *testing.T) {
	for _, url := range []string{
		"", "players.db", "sqlite:", "sqlite://", "mysql://root:secret@localhost/db", "://",
		"postgres://", "postgres://ada:secret@host:notaport/db", "postgres://ada:secret@%zz/db",
	} {
		s, err := sqlstore.Open(url, sqlstore.Options{})
		if err == nil {
			_ = s.Close()
			t.Errorf("Open(%q) succeeded", url)
		} else if strings.Contains(err.Error(), "secret") {
			t.Errorf("the error repeats the password: %v", err)
		}
	}
}

func TestOpenNeedsNoDatabase(t *testing.T) {
	for name, url := range map[string]string{
		"postgres": "postgres://ada:secret@127.0.0.1:1/db", "sqlite": "sqlite:///no/such/folder/players.db",
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t, url)
			for doing, err := range map[string]error{"Ping": s.Ping(t.Context()), "Migrate": s.Migrate(short(t))} {
				mustBeUnavailable(t, doing, err)
				if err != nil && strings.Contains(err.Error(), "secret") {
					t.Errorf("the error repeats the password: %v", err)
				}
			}
		})
	}
}

func short(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	t.Cleanup(cancel)
	return ctx
}

func mustBeUnavailable(t *testing.T, doing string, err error) {
	t.Helper()
	if !errors.Is(err, players.ErrUnavailable) || errors.Is(err, players.ErrNotFound) {
		t.Errorf("%s: %v, want ErrUnavailable", doing, err)
	}
}

func TestSQLitePathsAreTakenLiterally(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	for url, file := range map[string]string{
		"sqlite://relative.db":                          "relative.db",
		"sqlite://" + filepath.Join(dir, "absolute.db"): "absolute.db",
		"sqlite://what? 100% #1.db":                     "what? 100% #1.db",
	} {
		migrated(t, url)
		if _, err := os.Stat(filepath.Join(dir, file)); err != nil {
			t.Errorf("%s: %v", url, err)
		}
	}
}

func TestSQLiteKeepsPlayersOverARestart(t *testing.T) {
	url := databases["sqlite"](t)
	first := migrated(t, url)
	want, _, err := first.FindOrCreate(t.Context(), ada, players.NewPlayer{ID: "ada"}, now)
	if err != nil {
		t.Fatal(err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if got, err := migrated(t, url).Get(t.Context(), "ada"); err != nil || got != want {
		t.Errorf("after a restart: %+v, %v", got, err)
	}
}

func TestSchemaThatIsNotThereYetIsUnavailable(t *testing.T) {
	for name, database := range databases {
		t.Run(name, func(t *testing.T) {
			s := open(t, database(t))
			for doing, err := range everyOperation(t.Context(), s) {
				if doing != "Ping" {
					mustBeUnavailable(t, doing, err)
				}
			}
		})
	}
}

// everyOperation calls each method once and returns its error.
func everyOperation(ctx context.Context, s players.Store) map[string]error {
	errs := map[string]error{"Ping": s.Ping(ctx), "Rename": s.Rename(ctx, "ada", "Ada", now)}
	_, _, errs["FindOrCreate"] = s.FindOrCreate(ctx, ada, players.NewPlayer{ID: "ada"}, now)
	_, errs["Get"] = s.Get(ctx, "ada")
	_, errs["Facts"] = s.Facts(ctx, "ada", "family")
	_, errs["Identities"] = s.Identities(ctx, "ada")
	_, errs["Link"] = s.Link(ctx, "ada", ada, now)
	_, errs["Unlink"] = s.Unlink(ctx, "ada", "guest", now)
	errs["CreateFamily"] = s.CreateFamily(ctx, players.NewFamily{
		ID: "family", PlayerID: "ada", CreatedAt: now, ExpiresAt: now.Add(time.Hour), AbsoluteExpiresAt: now.Add(time.Hour),
	})
	_, errs["RotateFamily"] = s.RotateFamily(ctx, players.Rotation{FamilyID: "family", Presented: 1, Now: now})
	errs["RevokeFamily"] = s.RevokeFamily(ctx, "family", players.Logout, now)
	_, errs["Revoke"] = s.Revoke(ctx, "ada", players.Banned, now)
	_, errs["Delete"] = s.Delete(ctx, "ada", now)
	_, errs["PurgeExpired"] = s.PurgeExpired(ctx, now, 10)
	return errs
}

func TestClosedStoreIsUnavailable(t *testing.T) {
	for name, database := range databases {
		t.Run(name, func(t *testing.T) {
			s := migrated(t, database(t))
			if err := s.Close(); err != nil { // and again when the test is over
				t.Fatal(err)
			}
			for doing, err := range everyOperation(t.Context(), s) {
				mustBeUnavailable(t, doing, err)
			}
		})
	}
}

func TestCallerThatGivesUpIsNotAnOutage(t *testing.T) {
	for name, database := range databases {
		t.Run(name, func(t *testing.T) {
			s := migrated(t, database(t))
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			for doing, err := range everyOperation(ctx, s) {
				if !errors.Is(err, context.Canceled) || errors.Is(err, players.ErrUnavailable) {
					t.Errorf("%s: %v, want context.Canceled alone", doing, err)
				}
			}
		})
	}
}

func TestInstancesMigrateAtOnce(t *testing.T) {
	const instances = 8
	for _, name := range []string{"sqlite", "postgres"} {
		t.Run(name, func(t *testing.T) {
			url := databases[name](t)
			var wg sync.WaitGroup
			for range instances {
				s := open(t, url)
				wg.Go(func() {
					if err := s.Migrate(t.Context()); err != nil {
						t.Errorf("Migrate: %v", err)
					}
					if _, _, err := s.FindOrCreate(t.Context(), ada, players.NewPlayer{ID: "ada"}, now); err != nil {
						t.Errorf("FindOrCreate: %v", err)
					}
				})
			}
			wg.Wait()
		})
	}
}
