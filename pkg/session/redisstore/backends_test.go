package redisstore_test

import (
	"testing"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/holdfast-games/holdfast/pkg/session"
	"github.com/holdfast-games/holdfast/pkg/session/redisstore"
	"github.com/holdfast-games/holdfast/pkg/session/sessiontest"
	"github.com/holdfast-games/holdfast/pkg/shard"
	"github.com/holdfast-games/holdfast/pkg/testkit"
	"github.com/holdfast-games/holdfast/pkg/testkit/redisserver"
)

var shared redisserver.Shared

func TestMain(m *testing.M) { testkit.Main(m, shared.Stop) }

func newShards(tb testing.TB, n int) shard.Map {
	tb.Helper()
	shards, err := shard.New(n)
	if err != nil {
		tb.Fatal(err)
	}
	return shards
}

// backend returns the contract's view of a store on an empty Redis.
func backend(
	tb testing.TB, label string, client redis.UniversalClient, shards shard.Map, world *sessiontest.World, settings session.Settings,
) *sessiontest.Backend {
	tb.Helper()
	store, err := redisstore.New(client, shards, settings, redisstore.WithTestClock(world.Now, world.NewSID))
	if err != nil {
		tb.Fatalf("new redisstore: %v", err)
	}
	return sessiontest.OnRedis(label, store, client, shards, world)
}

func realClient(tb testing.TB) *redis.Client {
	tb.Helper()
	client := redis.NewClient(&redis.Options{Addr: shared.Server(tb).Addr()})
	tb.Cleanup(func() { _ = client.Close() })
	return client
}

func clusterClient(tb testing.TB) *redis.ClusterClient {
	tb.Helper()
	client := redis.NewClusterClient(&redis.ClusterOptions{Addrs: shared.Cluster(tb).Addrs()})
	tb.Cleanup(func() { _ = client.Close() })
	return client
}

func fakeClient(tb testing.TB) *redis.Client {
	tb.Helper()
	server := miniredis.RunT(tb)
	client := redis.NewClient(&redis.Options{Addr: server.Addr()})
	tb.Cleanup(func() { _ = client.Close() })
	return client
}

func onMiniredis(tb testing.TB, world *sessiontest.World, settings session.Settings) *sessiontest.Backend {
	tb.Helper()
	return backend(tb, "miniredis", fakeClient(tb), newShards(tb, 2), world, settings)
}

func onRedis(tb testing.TB, world *sessiontest.World, settings session.Settings) *sessiontest.Backend {
	tb.Helper()
	return backend(tb, "redis", realClient(tb), newShards(tb, 2), world, settings)
}

// onCluster has a shard on every node.
func onCluster(tb testing.TB, world *sessiontest.World, settings session.Settings) *sessiontest.Backend {
	tb.Helper()
	return backend(tb, "cluster", clusterClient(tb), newShards(tb, 4), world, settings)
}
