package rediskit_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/holdfast-games/holdfast/pkg/apperr"
	"github.com/holdfast-games/holdfast/pkg/rediskit"
)

// open returns a client that is closed when the test ends.
func open(t *testing.T, rawURL string) redis.UniversalClient {
	t.Helper()
	c, err := rediskit.Open(rawURL)
	if err != nil {
		t.Fatalf("open %s: %v", rawURL, err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func options(t *testing.T, rawURL string) *redis.Options {
	t.Helper()
	c, ok := open(t, rawURL).(*redis.Client)
	if !ok {
		t.Fatalf("%s opens another kind of client", rawURL)
	}
	return c.Options()
}

func TestOpenOneServer(t *testing.T) {
	o := options(t, "redis://ann:pa%40ss@cache:7000/3?pool_size=7")
	if o.Addr != "cache:7000" || o.Username != "ann" || o.Password != "pa@ss" || o.DB != 3 || o.PoolSize != 7 || o.TLSConfig != nil {
		t.Errorf("got %+v", o)
	}
	if o.DialTimeout != 2*time.Second || o.ReadTimeout != 2*time.Second || o.WriteTimeout != 2*time.Second || !o.ContextTimeoutEnabled {
		t.Errorf("timeouts: got %+v", o)
	}
	if o := options(t, "redis://cache"); o.Addr != "cache:6379" || o.DB != 0 || o.Password != "" {
		t.Errorf("got %+v", o)
	}
	if o := options(t, "rediss://:secret@cache:7000"); o.TLSConfig == nil || o.TLSConfig.ServerName != "cache" || o.Password != "secret" {
		t.Errorf("got %+v", o)
	}
}

func TestOpenCluster(t *testing.T) {
	c, ok := open(t, "redis+cluster://ann:p,w@a:1,b:2,c:3?pool_size=9").(*redis.ClusterClient)
	if !ok {
		t.Fatal("not a cluster client")
	}
	o := c.Options()
	if !slices.Equal(o.Addrs, []string{"a:1", "b:2", "c:3"}) || o.Username != "ann" || o.Password != "p,w" || o.PoolSize != 9 {
		t.Errorf("got %+v", o)
	}
	if !rediskit.Clustered(c) || rediskit.Clustered(open(t, "redis://a:1")) {
		t.Error("a cluster is taken for a server, or a server for a cluster")
	}
}

func TestOpenSentinel(t *testing.T) {
	c := open(t, "redis+sentinel://ann:pw@a:1,b:2/4?master=main")
	o := c.(*redis.Client).Options()
	if o.Username != "ann" || o.Password != "pw" || o.DB != 4 || o.Addr != "FailoverClient" {
		t.Errorf("got %+v", o)
	}
	if rediskit.Clustered(c) {
		t.Error("it is taken for a cluster")
	}
}

func TestOpenPool(t *testing.T) {
	for rawURL, want := range map[string]int{"redis://a:1": 33, "redis://a:1?pool_size=7": 7} {
		c, err := rediskit.OpenPool(rawURL, 33)
		if err != nil {
			t.Fatal(err)
		}
		if got := c.(*redis.Client).Options().PoolSize; got != want {
			t.Errorf("%s: got a pool of %d, want %d", rawURL, got, want)
		}
		_ = c.Close()
	}
}

func TestOpenRefuses(t *testing.T) {
	for _, bad := range []string{
		"", "localhost:6379", "http://a:1", "redis://", "redis://a:1,", "redis://,a:1", "redis://a:port", "redis://a:1/x",
		"redis://a:1?pool_size=0", "redis://a:1?pool_size=x", "redis+cluster://", "redis+cluster://a:1,,b:2",
		"redis+sentinel://a:1", "redis+sentinel://a:1/x?master=m", "redis://a:1?nonsense=1",
	} {
		if c, err := rediskit.Open(bad); err == nil {
			t.Errorf("%q was taken", bad)
			_ = c.Close()
		}
	}
}

// TestPasswordsStayOutOfErrors tries passwords that were not percent-encoded,
// as people paste them, in URLs that cannot be opened.
func TestPasswordsStayOutOfErrors(t *testing.T) {
	for _, password := range []string{
		"hunter2", "hunter%zz", "hun ter", "hunter/2", "2/hunter", "hunter?2", "2?hunter", "hunter#2", "2#hunter", "hunter:2",
		"hunter@2", "hunter[2", "hunter\x7f", "[hunter", "hunter,2",
	} {
		for _, form := range []string{
			"redis://ann:%s@host:6379", "redis://ann:%s@host:port", "redis://:%s@host:6379/x", "redis://ann:%s@host?no=1",
			"redis+cluster://ann:%s@a:1,", "redis+cluster://ann:%s@a:1,b:2?pool_size=x", "redis+sentinel://:%s@a:1/x",
			"rediss://ann:%s@:x", "nothing://ann:%s@host",
		} {
			c, err := rediskit.Open(fmt.Sprintf(form, password))
			if err == nil {
				_ = c.Close()
				continue
			}
			if strings.Contains(err.Error(), "hun") || strings.Contains(err.Error(), "zz") {
				t.Errorf(form+": the error tells the password: %v", password, err)
			}
		}
	}
}

func TestPing(t *testing.T) {
	err := rediskit.Ping(t.Context(), open(t, "redis://ann:hunter2@127.0.0.1:1"))
	if apperr.From(err).Kind != apperr.Unavailable || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("got %v", err)
	}
}

// FuzzOpen writes the password into the URL as it is.
func FuzzOpen(f *testing.F) {
	for _, scheme := range []string{"redis", "rediss", "redis+cluster", "redis+sentinel", "other"} {
		f.Add(scheme, "ann", "pa ss/wo?rd#%zz", "a:1,b:2", "/0?master=x&pool_size=3")
	}
	f.Fuzz(func(t *testing.T, scheme, user, password, hosts, tail string) {
		const marked = "never-shown"
		if strings.Contains(scheme, "://") { // the rest of it would be taken for the host
			return
		}
		c, err := rediskit.Open(scheme + "://" + user + ":" + marked + password + "@" + hosts + tail)
		switch {
		case err == nil:
			_ = c.Close()
		case strings.Contains(strings.TrimPrefix(err.Error(), scheme), marked) && !strings.Contains(scheme, marked):
			t.Errorf("the error tells the password: %v", err)
		}
	})
}
