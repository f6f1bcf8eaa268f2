package sqlstore_test

import (
	"testing"
	"time"

	"github.com/holdfast-games/holdfast/pkg/players"
)

// prepared is a store that knows one player with one family.
func prepared(b *testing.B, url string) players.Store {
	b.Helper()
	s := migrated(b, url)
	if _, _, err := s.FindOrCreate(b.Context(), ada, players.NewPlayer{ID: "ada"}, now); err != nil {
		b.Fatal(err)
	}
	err := s.CreateFamily(b.Context(), players.NewFamily{
		ID: "family", PlayerID: "ada", CreatedAt: now, ExpiresAt: now.Add(time.Hour), AbsoluteExpiresAt: now.Add(time.Hour),
	})
	if err != nil {
		b.Fatal(err)
	}
	return s
}

func BenchmarkFindOrCreateKnown(b *testing.B) {
	for name, database := range databases {
		b.Run(name, func(b *testing.B) {
			s := prepared(b, database(b))
			for b.Loop() {
				if _, created, err := s.FindOrCreate(b.Context(), ada, players.NewPlayer{ID: "eve"}, now); err != nil || created {
					b.Fatalf("created %v, %v", created, err)
				}
			}
		})
	}
}

func BenchmarkRotateFamily(b *testing.B) {
	for name, database := range databases {
		b.Run(name, func(b *testing.B) {
			s := prepared(b, database(b))
			presented := int64(players.FirstCounter)
			for b.Loop() {
				r, err := s.RotateFamily(b.Context(), players.Rotation{
					FamilyID: "family", Presented: presented, Now: now, Sliding: time.Hour,
				})
				if err != nil || r.Outcome != players.Rotated {
					b.Fatalf("%v, %v", r.Outcome, err)
				}
				presented = r.Counter
			}
		})
	}
}

func BenchmarkFacts(b *testing.B) {
	for name, database := range databases {
		b.Run(name, func(b *testing.B) {
			s := prepared(b, database(b))
			for b.Loop() {
				if _, err := s.Facts(b.Context(), "ada", "family"); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
