package memstore_test

import (
	"testing"

	"github.com/holdfast-games/holdfast/services/matchmaking/internal/queuetest"
)

func TestSuite(t *testing.T) {
	queuetest.Run(t, func(t *testing.T) queuetest.Backend {
		t.Helper()
		return queuetest.Model(t)
	})
}
