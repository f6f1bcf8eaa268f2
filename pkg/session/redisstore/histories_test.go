package redisstore_test

import (
	"testing"

	"github.com/holdfast-games/holdfast/pkg/session/sessiontest"
)

func TestHistoriesOnMiniredis(t *testing.T) {
	sessiontest.Compare(t, 300, sessiontest.OnMap(newShards(t, 4)), onMiniredis)
}

func TestHistoriesOnRedis(t *testing.T) {
	sessiontest.Compare(t, 1000, sessiontest.OnMap(newShards(t, 4)), onRedis)
}

func TestHistoriesOnCluster(t *testing.T) {
	sessiontest.Compare(t, 100, sessiontest.OnMap(newShards(t, 4)), onCluster)
}
