package sqlstore_test

import (
	"path/filepath"
	"testing"

	"github.com/holdfast-games/holdfast/pkg/players"
	"github.com/holdfast-games/holdfast/pkg/players/playerstest"
	"github.com/holdfast-games/holdfast/pkg/players/sqlstore"
)

// databases are the URLs of one new, empty database of each kind.
var databases = map[string]func(tb testing.TB) string{
	"sqlite": func(tb testing.TB) string {
		tb.Helper()
		return "sqlite://" + filepath.Join(tb.TempDir(), "players.db")
	},
	"memory":   func(testing.TB) string { return "sqlite://:memory:" },
	"postgres": func(tb testing.TB) string { tb.Helper(); return shared.CreateDatabase(tb) },
}

func open(tb testing.TB, url string) *sqlstore.Store {
	tb.Helper()
	s, err := sqlstore.Open(url, sqlstore.Options{})
	if err != nil {
		tb.Fatalf("Open: %v", err)
	}
	tb.Cleanup(func() {
		if err := s.Close(); err != nil {
			tb.Errorf("Close: %v", err)
		}
	})
	return s
}

func migrated(tb testing.TB, url string) *sqlstore.Store {
	tb.Helper()
	s := open(tb, url)
	if err := s.Migrate(tb.Context()); err != nil {
		tb.Fatalf("Migrate: %v", err)
	}
	return s
}

func TestContract(t *testing.T) {
	for name, database := range databases {
		t.Run(name, func(t *testing.T) {
			playerstest.Run(t, func(tb testing.TB) (first, second players.Store) {
				url := database(tb)
				s := migrated(tb, url)
				if name == "memory" { // nobody else can open it
					return s, s
				}
				return s, open(tb, url)
			})
		})
	}
}
