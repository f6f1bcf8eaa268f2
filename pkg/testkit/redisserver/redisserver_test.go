//go:build unix

package redisserver_test

import (
	"context"
	"errors"
	"net"
	"os"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/holdfast-games/holdfast/pkg/testkit"
	"github.com/holdfast-games/holdfast/pkg/testkit/redisserver"
)

func TestMain(m *testing.M) { testkit.Main(m) }

func client(t *testing.T, server *redisserver.Server) *redis.Client {
	t.Helper()
	options, err := redis.ParseURL(server.URL())
	if err != nil {
		t.Fatalf("parse %q: %v", server.URL(), err)
	}
	options.MaxRetries, options.DialerRetries, options.ContextTimeoutEnabled = -1, 1, true
	c := redis.NewClient(options)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func set(t *testing.T, c redis.Cmdable, key, value string) {
	t.Helper()
	if err := c.Set(t.Context(), key, value, 0).Err(); err != nil {
		t.Fatalf("SET %s: %v", key, err)
	}
}

func TestServersAreSeparate(t *testing.T) {
	one, two := redisserver.Start(t), redisserver.Start(t)
	set(t, client(t, one), "key", "one")
	if err := client(t, two).Get(t.Context(), "key").Err(); !errors.Is(err, redis.Nil) {
		t.Errorf("the second server has the first one's key: %v", err)
	}
	one.FlushAll(t)
	if err := client(t, one).Get(t.Context(), "key").Err(); !errors.Is(err, redis.Nil) {
		t.Errorf("key after FlushAll: %v", err)
	}
}

func TestServersStartInParallel(t *testing.T) {
	for range 8 {
		t.Run("server", func(t *testing.T) {
			t.Parallel()
			set(t, client(t, redisserver.Start(t)), "key", "value")
		})
	}
}

func TestAnsweredWritesSurviveKillWithAOF(t *testing.T) {
	server := redisserver.Start(t, redisserver.AOF())
	c := client(t, server)
	addr := server.Addr()
	set(t, c, "key", "value")
	server.Kill()
	if err := c.Ping(t.Context()).Err(); err == nil {
		t.Fatal("a killed server answers")
	}
	server.Restart(t)
	if server.Addr() != addr {
		t.Errorf("address after Restart: %s, before: %s", server.Addr(), addr)
	}
	if got, err := c.Get(t.Context(), "key").Result(); err != nil || got != "value" {
		t.Errorf("key after Kill and Restart: %q, %v", got, err)
	}
}

func TestRestartedServerIsEmptyWithoutAOF(t *testing.T) {
	server := redisserver.Start(t)
	c := client(t, server)
	set(t, c, "key", "value")
	server.Stop()
	server.Restart(t)
	if n, err := c.DBSize(t.Context()).Result(); err != nil || n != 0 {
		t.Errorf("%d keys after a restart, %v", n, err)
	}
}

func TestPausedServerHoldsItsAnswers(t *testing.T) {
	server := redisserver.Start(t)
	c := client(t, server)
	server.Pause(t)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := c.Ping(ctx).Err(); err == nil {
		t.Error("a paused server answers")
	}
	server.Resume(t)
	if err := c.Ping(t.Context()).Err(); err != nil {
		t.Errorf("PING after Resume: %v", err)
	}
}

func TestArgsReachTheServer(t *testing.T) {
	c := client(t, redisserver.Start(t, redisserver.Args("--maxmemory", "7mb")))
	got, err := c.ConfigGet(t.Context(), "maxmemory").Result()
	if err != nil || got["maxmemory"] != "7340032" {
		t.Errorf("maxmemory = %v, %v", got, err)
	}
}

func TestClusterServesEverySlot(t *testing.T) {
	cluster := redisserver.StartCluster(t)
	c := redis.NewClusterClient(&redis.ClusterOptions{Addrs: cluster.Addrs()[:1]})
	t.Cleanup(func() { _ = c.Close() })
	for _, key := range []string{"a", "b", "c"} { // slots 15495, 3300, 7365
		set(t, c, key, key)
	}
	for _, node := range cluster.Nodes() {
		if n, err := client(t, node).DBSize(t.Context()).Result(); err != nil || n != 1 {
			t.Errorf("node %s holds %d keys, %v; want one of the three", node.Addr(), n, err)
		}
	}
	cluster.FlushAll(t)
	if err := c.Get(t.Context(), "a").Err(); !errors.Is(err, redis.Nil) {
		t.Errorf("key after FlushAll: %v", err)
	}
	want := "redis+cluster://" + cluster.Addrs()[0] + "," + cluster.Addrs()[1] + "," + cluster.Addrs()[2]
	if cluster.URL() != want {
		t.Errorf("URL = %q, want %q", cluster.URL(), want)
	}
}

func TestSharedServerIsEmptyAndAliveForEachTest(t *testing.T) {
	var shared redisserver.Shared
	t.Cleanup(shared.Stop)
	first := shared.Server(t)
	set(t, client(t, first), "key", "value")
	steps := map[string]func(){
		"used": func() {}, "killed": first.Kill, "paused": func() { first.Pause(t) },
	}
	for name, harm := range steps {
		harm()
		again := shared.Server(t)
		if again != first {
			t.Fatalf("after it was %s there is another server", name)
		}
		c := client(t, again)
		if n, err := c.DBSize(t.Context()).Result(); err != nil || n != 0 {
			t.Errorf("after it was %s the server has %d keys, %v", name, n, err)
		}
		set(t, c, "key", "value")
	}
}

func TestSharedClusterComesBackWhole(t *testing.T) {
	var shared redisserver.Shared
	t.Cleanup(shared.Stop)
	shared.Cluster(t).Nodes()[1].Kill()
	cluster := shared.Cluster(t)
	c := redis.NewClusterClient(&redis.ClusterOptions{Addrs: cluster.Addrs()})
	t.Cleanup(func() { _ = c.Close() })
	for _, key := range []string{"a", "b", "c"} {
		set(t, c, key, key)
	}
}

func TestNothingIsLeftBehind(t *testing.T) {
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	var addr string
	t.Run("server", func(t *testing.T) { addr = redisserver.Start(t, redisserver.AOF()).Addr() })
	if left, err := os.ReadDir(temp); err != nil || len(left) != 0 {
		t.Errorf("left in the temporary folder: %v, %v", left, err)
	}
	if conn, err := net.Dial("tcp", addr); err == nil {
		_ = conn.Close()
		t.Error("the server outlived its test")
	}
}

func BenchmarkStart(b *testing.B) {
	for b.Loop() {
		redisserver.Start(b).Stop()
	}
}
