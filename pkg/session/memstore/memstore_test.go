package memstore_test

import (
	"testing"

	"github.com/holdfast-games/holdfast/pkg/session/sessiontest"
	"github.com/holdfast-games/holdfast/pkg/shard"
)

func fourShards(tb testing.TB) shard.Map {
	tb.Helper()
	shards, err := shard.New(4)
	if err != nil {
		tb.Fatal(err)
	}
	return shards
}

func TestStore(t *testing.T) { sessiontest.Run(t, sessiontest.OnMap(fourShards(t))) }

func TestHistories(t *testing.T) { sessiontest.Compare(t, 3000, sessiontest.OnMap(fourShards(t))) }
