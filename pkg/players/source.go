package players

import (
	"context"
	"errors"

	"github.com/holdfast-games/holdfast/pkg/session"
)

// NewSource lets sessions be rebuilt from the store's records.
func NewSource(store Store) session.FactsSource { return source{store} }

type source struct{ store Store }

// Facts implements session.FactsSource. The tokens of a deleted player count
// as revoked.
func (s source) Facts(ctx context.Context, player, family string) (session.Facts, error) {
	f, err := s.store.Facts(ctx, player, family)
	switch {
	case errors.Is(err, ErrNotFound):
		return session.Facts{}, session.ErrNoPlayer
	case err != nil:
		return session.Facts{}, err
	}
	return session.Facts{
		Name: f.DisplayName, Provider: f.Provider, Rev: f.Rev, RevokedAt: f.EndedAt,
		FamilyRevoked: f.FamilyRevoked || f.Deleted, Durable: true,
	}, nil
}
