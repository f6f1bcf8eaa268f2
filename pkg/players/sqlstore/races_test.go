package sqlstore_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast-games/holdfast/pkg/players"
	"github.com/holdfast-games/holdfast/pkg/testkit"
)

// rival is another client of the same Postgres database, in a transaction that
// the test ends when it wants: it holds races open that are too short to meet
// by chance.
type rival struct {
	t  *testing.T
	tx pgx.Tx
}

func newRival(t *testing.T, url string, statements ...string) *rival {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
	tx, err := conn.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, statement := range statements {
		if _, err := tx.Exec(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	return &rival{t: t, tx: tx}
}

// commitWhenMet starts a step, commits when the step waits for a lock of the
// rival's, and returns when the step is over.
func (r *rival) commitWhenMet(step func()) {
	r.t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		step()
	}()
	r.awaitWaiter()
	if err := r.tx.Commit(r.t.Context()); err != nil {
		r.t.Fatal(err)
	}
	<-done
}

func (r *rival) awaitWaiter() {
	r.t.Helper()
	testkit.Eventually(r.t, patience, func() bool {
		var waiting int
		err := r.tx.QueryRow(r.t.Context(), "SELECT count(*) FROM pg_locks WHERE NOT granted").Scan(&waiting)
		return err == nil && waiting > 0
	}, "the store to wait for the rival")
}

const (
	revokeAda = "UPDATE players SET rev = rev + 1 WHERE id = 'ada'"
	endAll    = "UPDATE refresh_families SET ended_at = 1, expires_at = 1, ended_reason = 'banned' WHERE ended_at IS NULL"
	renameAda = "UPDATE players SET display_name = 'Countess' WHERE id = 'ada'"
)

func family(id string) players.NewFamily {
	return players.NewFamily{
		ID: id, PlayerID: "ada", CreatedAt: now, ExpiresAt: now.Add(time.Hour), AbsoluteExpiresAt: now.Add(time.Hour),
	}
}

func withAda(t *testing.T, url string) players.Store {
	t.Helper()
	s := migrated(t, url)
	if _, _, err := s.FindOrCreate(t.Context(), ada, players.NewPlayer{ID: "ada"}, now); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestLoginMeetsARevocationThatIsUnderWay(t *testing.T) {
	url := shared.CreateDatabase(t)
	s := withAda(t, url)
	newRival(t, url, revokeAda, endAll).commitWhenMet(func() {
		if err := s.CreateFamily(t.Context(), family("family")); !errors.Is(err, players.ErrChanged) {
			t.Errorf("CreateFamily: %v, want ErrChanged", err)
		}
	})
}

func TestRefreshMeetsARevocationThatIsUnderWay(t *testing.T) {
	url := shared.CreateDatabase(t)
	s := withAda(t, url)
	if err := s.CreateFamily(t.Context(), family("family")); err != nil {
		t.Fatal(err)
	}
	newRival(t, url, revokeAda, endAll).commitWhenMet(func() {
		r, err := s.RotateFamily(t.Context(), players.Rotation{
			FamilyID: "family", Presented: 1, Now: now, Sliding: time.Hour,
		})
		if err != nil || r.Outcome != players.Ended || r.EndReason != players.Banned || r.Player.Rev != 1 {
			t.Errorf("RotateFamily: %+v, %v; want it ended", r, err)
		}
	})
}

func TestCallerThatGivesUpWaitingIsNotAnOutage(t *testing.T) {
	url := shared.CreateDatabase(t)
	s := withAda(t, url)
	r := newRival(t, url, renameAda)
	ctx, cancel := context.WithCancel(t.Context())
	refused := make(chan error, 1)
	go func() { refused <- s.Rename(ctx, "ada", "Ada", now) }()
	r.awaitWaiter()
	cancel()
	if err := <-refused; !errors.Is(err, context.Canceled) || errors.Is(err, players.ErrUnavailable) {
		t.Errorf("Rename: %v, want context.Canceled alone", err)
	}
	if err := r.tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
}
