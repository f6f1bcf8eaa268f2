package redisstore_test

import (
	"maps"
	"testing"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/holdfast-games/holdfast/pkg/outbox"
	"github.com/holdfast-games/holdfast/pkg/rediskit"
	"github.com/holdfast-games/holdfast/pkg/testkit"
	"github.com/holdfast-games/holdfast/pkg/testkit/redisserver"
	"github.com/holdfast-games/holdfast/services/matchmaking/internal/queuetest"
	"github.com/holdfast-games/holdfast/services/matchmaking/internal/redisstore"
)

var shared redisserver.Shared

func TestMain(m *testing.M) { testkit.Main(m, shared.Stop) }

// backends opens the store on each kind of server, by name.
var backends = map[string]func(t *testing.T) queuetest.Backend{
	"miniredis": func(t *testing.T) queuetest.Backend {
		t.Helper()
		mr := miniredis.RunT(t)
		b := backend(t, "redis://"+mr.Addr())
		b.Age = mr.FastForward
		return b
	},
	"redis": func(t *testing.T) queuetest.Backend {
		t.Helper()
		return backend(t, shared.Server(t).URL())
	},
	"cluster": func(t *testing.T) queuetest.Backend {
		t.Helper()
		return backend(t, shared.Cluster(t).URL())
	},
}

func backend(t *testing.T, url string) queuetest.Backend {
	t.Helper()
	return on(t, open(t, url))
}

func on(t *testing.T, client redis.UniversalClient) queuetest.Backend {
	t.Helper()
	c := queuetest.NewClock()
	s, err := redisstore.New(client, client, queuetest.Shards(t), redisstore.WithTestClock(c.Now))
	if err != nil {
		t.Fatal(err)
	}
	return queuetest.Backend{Store: s, Clock: c, Events: func(tb testing.TB) []queuetest.Event {
		return events(tb, client)
	}}
}

func open(t *testing.T, url string) redis.UniversalClient {
	t.Helper()
	client, err := rediskit.Open(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return client
}

func events(tb testing.TB, client redis.UniversalClient) []queuetest.Event {
	tb.Helper()
	var all []queuetest.Event
	for n := range queuetest.NumShards {
		entries, err := client.XRange(tb.Context(), outbox.Key(n), "-", "+").Result()
		if err != nil {
			tb.Fatal(err)
		}
		for _, entry := range entries {
			e := queuetest.Event{Fields: map[string]string{}}
			for k, v := range entry.Values {
				e.Fields[k], _ = v.(string)
			}
			e.Type, e.Player, e.SID = e.Fields["type"], e.Fields["player"], e.Fields["sid"]
			maps.DeleteFunc(e.Fields, func(k, _ string) bool {
				return k == "type" || k == "player" || k == "sid" || k == "v" || k == "prev" || k == "at"
			})
			all = append(all, e)
		}
	}
	return all
}

// TestSuite tries the promises on each kind of server.
func TestSuite(t *testing.T) {
	for name, open := range backends {
		t.Run(name, func(t *testing.T) { queuetest.Run(t, open) })
	}
}

// TestHistories compares random histories on each kind of server with the
// model.
func TestHistories(t *testing.T) {
	t.Run("miniredis", func(t *testing.T) {
		mr := miniredis.RunT(t)
		client := open(t, "redis://"+mr.Addr())
		queuetest.Compare(t, func() queuetest.Backend {
			mr.FlushAll()
			b := on(t, client)
			b.Age = mr.FastForward
			return b
		})
	})
	t.Run("redis", func(t *testing.T) {
		server := shared.Server(t)
		client := open(t, server.URL())
		queuetest.Compare(t, func() queuetest.Backend {
			server.FlushAll(t)
			return on(t, client)
		})
	})
	t.Run("cluster", func(t *testing.T) {
		if testing.Short() {
			t.Skip("the cluster takes seconds to start")
		}
		cluster := shared.Cluster(t)
		client := open(t, cluster.URL())
		queuetest.Compare(t, func() queuetest.Backend {
			cluster.FlushAll(t)
			return on(t, client)
		})
	})
}
