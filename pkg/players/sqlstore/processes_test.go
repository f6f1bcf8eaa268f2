package sqlstore_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/holdfast-games/holdfast/pkg/id"
	"github.com/holdfast-games/holdfast/pkg/players"
	"github.com/holdfast-games/holdfast/pkg/players/sqlstore"
	"github.com/holdfast-games/holdfast/pkg/testkit"
	"github.com/holdfast-games/holdfast/pkg/testkit/postgres"
)

const (
	processEnv = "HOLDFAST_TEST_PLAYERS_URL"
	identities = 20
)

var shared postgres.Shared

func TestMain(m *testing.M) {
	if url := os.Getenv(processEnv); url != "" {
		if err := logEverybodyIn(url); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	testkit.Main(m, shared.Stop)
}

// logEverybodyIn is what each process of TestProcessesShareOneDatabase does: it
// migrates, and prints who each identity is.
func logEverybodyIn(url string) error {
	ctx := context.Background()
	s, err := sqlstore.Open(url, sqlstore.Options{})
	if err != nil {
		return err
	}
	defer func() { _ = s.Close() }()
	if err := s.Migrate(ctx); err != nil {
		return err
	}
	for n := range identities {
		identity := players.Identity{Provider: "guest", SubjectHash: fmt.Sprint(n)}
		p, _, err := s.FindOrCreate(ctx, identity, players.NewPlayer{ID: id.New()}, now)
		if err != nil {
			return err
		}
		fmt.Println(n, p.ID)
		if _, err := s.Revoke(ctx, p.ID, players.Banned, now); err != nil {
			return err
		}
	}
	return nil
}

func TestProcessesShareOneDatabase(t *testing.T) {
	const processes = 6
	for _, name := range []string{"sqlite", "postgres"} {
		t.Run(name, func(t *testing.T) {
			url := databases[name](t)
			outputs := make([]string, processes)
			var wg sync.WaitGroup
			for i := range processes {
				wg.Go(func() {
					command := exec.CommandContext(t.Context(), os.Args[0])
					command.Env = append(os.Environ(), processEnv+"="+url)
					output, err := command.CombinedOutput()
					if err != nil {
						t.Errorf("process %d: %v\n%s", i, err, output)
					}
					outputs[i] = string(output)
				})
			}
			wg.Wait()
			for i, output := range outputs {
				if output != outputs[0] || strings.Count(output, "\n") != identities {
					t.Fatalf("process %d saw\n%s\nprocess 0 saw\n%s", i, output, outputs[0])
				}
			}
			s := open(t, url)
			for line := range strings.Lines(outputs[0]) {
				_, playerID, _ := strings.Cut(strings.TrimSpace(line), " ")
				if p, err := s.Get(t.Context(), playerID); err != nil || p.Rev != processes {
					t.Errorf("player %s: rev %d, %v; want %d", playerID, p.Rev, err, processes)
				}
			}
		})
	}
}
