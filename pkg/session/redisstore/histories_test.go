package redisstore_test

import (
	"testing"

	"github.com/holdfast-games/holdfast/pkg/session/sessiontest"
)

func TestHistoriesOnMiniredis(t *testing.T) {
	sessiontest.Compare(t, 120, sessiontest.OnMap(newShards(t, 2)), onMiniredis)
}

func TestHistoriesOnRedis(t *testing.T) {
	sessiontest.Compare(t, 600, sessiontest.OnMap(newShards(t, 2)), onRedis)
}

func TestHistoriesOnCluster(t *testing.T) {
	sessiontest.Compare(t, 50, sessiontest.OnMap(newShards(t, 4)), onCluster)
}
