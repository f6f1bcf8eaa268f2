package players_test

import (
	"errors"
	"testing"
	"time"

	"github.com/holdfast-games/holdfast/pkg/players"
	"github.com/holdfast-games/holdfast/pkg/players/memstore"
	"github.com/holdfast-games/holdfast/pkg/session"
)

func TestSourceRebuildsSessionsFromTheRecord(t *testing.T) {
	store := memstore.New()
	source := players.NewSource(store)
	if _, err := source.Facts(t.Context(), "ada", ""); !errors.Is(err, session.ErrNoPlayer) {
		t.Errorf("an unknown player: %v, want session.ErrNoPlayer", err)
	}
	identity := players.Identity{Provider: "guest", SubjectHash: "hash"}
	if _, _, err := store.FindOrCreate(t.Context(), identity, players.NewPlayer{ID: "ada", DisplayName: "Ada"}, noon); err != nil {
		t.Fatal(err)
	}
	want := session.Facts{Name: "Ada", Provider: "guest", Durable: true}
	mustBeFacts(t, source, "", want)
	want.FamilyRevoked = true
	mustBeFacts(t, source, "no-such-family", want)

	later := noon.Add(time.Hour)
	if _, err := store.Revoke(t.Context(), "ada", players.Banned, later); err != nil {
		t.Fatal(err)
	}
	want.FamilyRevoked, want.Rev, want.RevokedAt = false, 1, later
	mustBeFacts(t, source, "", want)

	if _, err := store.Delete(t.Context(), "ada", later); err != nil {
		t.Fatal(err)
	}
	mustBeFacts(t, source, "", session.Facts{
		Provider: "guest", Rev: 2, RevokedAt: later, FamilyRevoked: true, Durable: true,
	})
}

func mustBeFacts(t *testing.T, source session.FactsSource, family string, want session.Facts) {
	t.Helper()
	if got, err := source.Facts(t.Context(), "ada", family); err != nil || got != want {
		t.Errorf("family %q:\n got %+v, %v\nwant %+v", family, got, err, want)
	}
}
