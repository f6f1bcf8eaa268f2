package memstore_test

import (
	"testing"

	"github.com/holdfast-games/holdfast/pkg/players"
	"github.com/holdfast-games/holdfast/pkg/players/memstore"
	"github.com/holdfast-games/holdfast/pkg/players/playerstest"
)

func TestContract(t *testing.T) {
	playerstest.Run(t, func(testing.TB) (first, second players.Store) {
		s := memstore.New()
		return s, s
	})
}
