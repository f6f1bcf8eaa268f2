package platform_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-games/holdfast/pkg/apperr"
	"github.com/holdfast-games/holdfast/pkg/config"
	"github.com/holdfast-games/holdfast/pkg/id"
	"github.com/holdfast-games/holdfast/pkg/platform"
	"github.com/holdfast-games/holdfast/pkg/players"
	"github.com/holdfast-games/holdfast/pkg/service"
	"github.com/holdfast-games/holdfast/pkg/session"
	"github.com/holdfast-games/holdfast/pkg/telemetry"
	"github.com/holdfast-games/holdfast/pkg/testkit"
	"github.com/holdfast-games/holdfast/pkg/testkit/redisserver"
)

const (
	// patience is how long tests wait for what takes no time.
	patience = 20 * time.Second
	hidden   = "s3cr3t-value"
)

var shared redisserver.Shared

func TestMain(m *testing.M) { testkit.Main(m, shared.Stop) }

// open opens a platform with the variables given, which are named without the
// prefix; those not given fit the test.
func open(t *testing.T, vars map[string]string) (*platform.Platform, error) {
	t.Helper()
	base := config.Environ{}.With(map[string]string{
		"REDIS_URL": "redis://127.0.0.1:1", "DATABASE_URL": "sqlite://" + filepath.Join(t.TempDir(), "players.db"),
		"JWT_KEYS_DIR": t.TempDir(),
	})
	c, err := config.Parse[platform.Config](base.With(vars))
	if err != nil {
		t.Fatal(err)
	}
	return platform.Open(t.Context(), c, service.Env{Log: slog.New(slog.DiscardHandler)})
}

func mustOpen(t *testing.T, vars map[string]string) *platform.Platform {
	t.Helper()
	p, err := open(t, vars)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return p
}

func TestOpenRefusesWhatCannotBeRight(t *testing.T) {
	redis := shared.Server(t)
	for name, value := range map[string]string{
		"MODE": "staging", "SHARDS": "0", "REDIS_URL": "http://user:" + hidden + "@localhost", "DATABASE_URL": "mysql://user:" + hidden + "@localhost/db",
		"GRACE_IDLE": "0s", "HTTP_REACH": "1ms",
	} {
		t.Run(name, func(t *testing.T) {
			vars := map[string]string{"REDIS_URL": redis.URL()}
			vars[name] = value
			p, err := open(t, vars)
			if err == nil {
				_ = p.Close()
				t.Fatalf("HOLDFAST_%s=%s was accepted", name, value)
			}
			if !strings.Contains(err.Error(), "HOLDFAST_"+name) {
				t.Errorf("the error does not name the variable: %v", err)
			}
			if strings.Contains(err.Error(), hidden) {
				t.Errorf("the error holds a secret: %v", err)
			}
		})
	}
}

func TestMalformedURLsKeepTheirPasswords(t *testing.T) {
	for name, values := range map[string][]string{
		"REDIS_URL": {
			"redis://user:" + hidden + "@local host:1", "redis://user:" + hidden + "@localhost/no-number", "redis://user:" + hidden + "@localhost:port",
			"redis+cluster://user:" + hidden + "@a,,b", "redis+sentinel://user:" + hidden + "@a", "redis://user:%zz" + hidden + "@a", hidden,
		},
		"DATABASE_URL": {"postgres://user:" + hidden + "@local host/db", "postgres://user:%zz" + hidden + "@a/db", "postgres://u:" + hidden + "@a:port/db", hidden},
	} {
		for _, value := range values {
			p, err := open(t, map[string]string{name: value})
			if err == nil {
				_ = p.Close()
				t.Errorf("HOLDFAST_%s=%s was accepted", name, value)
				continue
			}
			if strings.Contains(err.Error(), hidden) || !strings.Contains(err.Error(), "HOLDFAST_"+name) {
				t.Errorf("want an error that names the variable and keeps the secret: %v", err)
			}
		}
	}
}

func TestNothingSecretPrints(t *testing.T) {
	c := platform.Config{RedisURL: hidden, DatabaseURL: hidden}
	var log bytes.Buffer
	telemetry.Logger(&log, "info").Info("settings", "config", c)
	for _, text := range []string{fmt.Sprintf("%v %+v %#v", c, c, c), log.String()} {
		if strings.Contains(text, hidden) {
			t.Errorf("printed: %s", text)
		}
	}
}

func TestAnotherNumberOfShardsIsRefused(t *testing.T) {
	redis := shared.Server(t)
	mustOpen(t, map[string]string{"REDIS_URL": redis.URL(), "SHARDS": "8"})
	mustOpen(t, map[string]string{"REDIS_URL": redis.URL(), "SHARDS": "8"})
	if p, err := open(t, map[string]string{"REDIS_URL": redis.URL(), "SHARDS": "16"}); err == nil {
		_ = p.Close()
		t.Error("two numbers of shards on one Redis")
	} else if !strings.Contains(err.Error(), "8 shards") || !strings.Contains(err.Error(), "16") {
		t.Errorf("the error names no numbers: %v", err)
	}
}

func TestStartsWithoutRedisAndIsReadyLater(t *testing.T) {
	redis := shared.Server(t)
	redis.Stop()
	p := mustOpen(t, map[string]string{"REDIS_URL": redis.URL(), "SHARDS": "8"})
	if err := p.Ready(t.Context()); apperr.From(err).Kind != apperr.Unavailable {
		t.Fatalf("ready without Redis: %v", err)
	}
	redis.Restart(t)
	wantReady(t, p)
	redis.Stop()
	testkit.Eventually(t, patience, func() bool { return p.Ready(t.Context()) != nil }, "unready without Redis")
	redis.Restart(t)
	wantReady(t, p)
}

// Redis was set up by somebody else while this process could not see it.
func TestForeignRedisNeverMakesReady(t *testing.T) {
	redis := shared.Server(t)
	redis.Stop()
	p := mustOpen(t, map[string]string{"REDIS_URL": redis.URL(), "SHARDS": "16"})
	redis.Restart(t)
	mustOpen(t, map[string]string{"REDIS_URL": redis.URL(), "SHARDS": "8"})
	testkit.Eventually(t, patience, func() error {
		if err := p.Ready(t.Context()); err == nil || !strings.Contains(err.Error(), "8 shards") {
			return fmt.Errorf("ready says %w", err)
		}
		return nil
	}, "a refusal that names the shards")
}

func wantReady(t *testing.T, p *platform.Platform) {
	t.Helper()
	testkit.Eventually(t, patience, func() error { return p.Ready(t.Context()) }, "readiness")
}

// The database may have no schema yet, or be away: valid tokens work.
func TestTokensStandInForTheDatabase(t *testing.T) {
	redis := shared.Server(t)
	p := mustOpen(t, map[string]string{
		"REDIS_URL": redis.URL(), "DATABASE_URL": "postgres://nobody:nothing@127.0.0.1:1/none?sslmode=disable",
	})
	wantReady(t, p)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	res, err := p.Keeper.Ensure(ctx, session.Claims{Player: "p1", Name: "Token"}, true)
	if err != nil || res.Record.Name != "Token" || res.Record.Durable {
		t.Errorf("%+v, %v", res.Record, err)
	}
}

func TestSessionsHealFromTheDatabase(t *testing.T) {
	redis := shared.Server(t)
	p := mustOpen(t, map[string]string{"REDIS_URL": redis.URL()})
	if err := p.MigratePlayers(t.Context()); err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	known, _, err := p.Players.FindOrCreate(t.Context(), players.Identity{Provider: "guest", SubjectHash: "x"},
		players.NewPlayer{ID: id.New(), DisplayName: "Durable"}, now)
	if err != nil {
		t.Fatal(err)
	}
	claims := session.Claims{Player: known.ID, Name: "Token"}
	res, err := p.Keeper.Ensure(t.Context(), claims, true)
	if err != nil || res.Record.Name != "Durable" || !res.Record.Durable || !res.Record.Healed {
		t.Errorf("%+v, %v", res.Record, err)
	}

	// A wiped Redis does not bring back what the database says is revoked.
	if _, err := p.Players.Revoke(t.Context(), known.ID, players.Banned, now); err != nil {
		t.Fatal(err)
	}
	redis.FlushAll(t)
	if _, err := p.Keeper.Ensure(t.Context(), claims, true); !errors.Is(err, session.ErrRevoked) {
		t.Errorf("ensure: %v, want ErrRevoked", err)
	}
	old := session.NewConnectionID(now.UnixMilli(), now.UnixMilli(), "10.0.0.1:1000")
	if res, err := p.Keeper.Connected(t.Context(), known.ID, old, "node"); err != nil || res.Outcome != session.Refused {
		t.Errorf("connected: %s, %v; want refused", res.Outcome, err)
	}
}

func TestCloseEndsBlockingClientsToo(t *testing.T) {
	redis := shared.Server(t)
	p, err := open(t, map[string]string{"REDIS_URL": redis.URL()})
	if err != nil {
		t.Fatal(err)
	}
	blocking, err := p.Blocking()
	if err != nil {
		t.Fatal(err)
	}
	if blocking == p.Redis {
		t.Error("a reader that blocks shares its connections")
	}
	if err := blocking.Ping(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if err := blocking.Ping(t.Context()).Err(); err == nil {
		t.Error("the blocking client is still open")
	}
	if err := p.Players.Ping(t.Context()); err == nil {
		t.Error("the database is still open")
	}
}

// Whatever Open opened before it failed is closed: the leak check of TestMain
// sees what is not. The database is opened first, so its folder is there.
func TestOpenThatFailsLeavesNothingBehind(t *testing.T) {
	redis := shared.Server(t)
	for range 3 {
		if _, err := open(t, map[string]string{"REDIS_URL": redis.URL(), "GRACE_IDLE": "0s"}); err == nil {
			t.Fatal("accepted")
		}
	}
	if entries, err := os.ReadDir("data"); err == nil {
		t.Errorf("files outside of the test's folders: %v", entries)
	}
}
