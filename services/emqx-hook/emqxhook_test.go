package emqxhook

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"github.com/holdfast-games/holdfast/pkg/clock"
	"github.com/holdfast-games/holdfast/pkg/config"
	"github.com/holdfast-games/holdfast/pkg/jwtkit"
	"github.com/holdfast-games/holdfast/pkg/rediskit"
	"github.com/holdfast-games/holdfast/pkg/service"
	"github.com/holdfast-games/holdfast/pkg/session"
	"github.com/holdfast-games/holdfast/pkg/session/redisstore"
	"github.com/holdfast-games/holdfast/pkg/shard"
	"github.com/holdfast-games/holdfast/pkg/testkit"
	"github.com/holdfast-games/holdfast/pkg/testkit/redisserver"
	"github.com/holdfast-games/holdfast/proto/wire"
	"github.com/holdfast-games/holdfast/services/emqx-hook/internal/brokertest"
)

const patience = 20 * time.Second

var shared redisserver.Shared

func TestMain(m *testing.M) { testkit.Main(m, shared.Stop) }

// emqxAPI knows one client, until it is kicked.
type emqxAPI struct {
	url string

	mu     sync.Mutex
	epoch  string
	kicked bool
}

func newAPI(t *testing.T) *emqxAPI {
	t.Helper()
	a := &emqxAPI{}
	server := httptest.NewServer(a)
	t.Cleanup(server.Close)
	a.url = server.URL
	return a
}

func (a *emqxAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case r.URL.Path != "/api/v5/clients/ann" || a.kicked || a.epoch == "":
		w.WriteHeader(http.StatusNotFound)
		_, _ = w.Write([]byte(`{"code":"CLIENTID_NOT_FOUND","message":"Client ID not found"}`))
	case r.Method == http.MethodDelete:
		a.kicked = true
		w.WriteHeader(http.StatusNoContent)
	default:
		_, _ = w.Write([]byte(`{"clientid":"ann","client_attrs":{"player":"ann","epoch":"` + a.epoch + `"}}`))
	}
}

func (a *emqxAPI) connect(epoch string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.epoch = epoch
}

func (a *emqxAPI) wasKicked() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.kicked
}

// running is the service with everything it talks to.
type running struct {
	svc    *service.Service
	broker *brokertest.Broker
	api    *emqxAPI
	redis  redis.UniversalClient
	store  *redisstore.Store
	keys   string
}

func start(t *testing.T) *running {
	t.Helper()
	r := &running{broker: brokertest.Start(t), api: newAPI(t), keys: t.TempDir()}
	url := shared.Server(t).URL()
	var err error
	if r.redis, err = rediskit.Open(url); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.redis.Close() })
	shards, err := shard.New(4)
	if err != nil {
		t.Fatal(err)
	}
	if r.store, err = redisstore.New(r.redis, shards, session.Defaults()); err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	vars := config.Environ{}.With(map[string]string{
		"REDIS_URL": url, "DATABASE_URL": "sqlite://" + filepath.Join(t.TempDir(), "players.db"), "JWT_KEYS_DIR": r.keys, "SHARDS": "4",
		"HOOK_SECRET": "s", "MQTT_URL": "mqtt://" + r.broker.Addr, "EMQX_API_URL": r.api.url, "EMQX_API_KEY": "k", "EMQX_API_SECRET": "s",
	})
	ctx, signal := context.WithCancel(t.Context())
	r.svc, err = New(ctx, service.Env{Vars: vars, Log: log, Registry: prometheus.NewRegistry(), Drain: make(chan struct{})})
	if err != nil {
		t.Fatal(err)
	}
	loops := service.StartLoops(r.svc.Loops, log)
	t.Cleanup(func() {
		signal()
		loops.Stop()
		if err := r.svc.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return r
}

func (r *running) post(t *testing.T, path string, body any) *httptest.ResponseRecorder {
	t.Helper()
	raw, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	request := httptest.NewRequest(http.MethodPost, path, bytes.NewReader(raw))
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Authorization", "Bearer s")
	recorder := httptest.NewRecorder()
	service.Mux(r.svc, &service.Health{Ready: r.svc.Ready}, prometheus.NewRegistry()).ServeHTTP(recorder, request)
	return recorder
}

// TestTheWholeEdge walks one player through it: login, connection,
// subscription, snapshot, ban.
func TestTheWholeEdge(t *testing.T) {
	r := start(t)
	if err := r.svc.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	keys, err := jwtkit.LoadOrCreate(r.keys)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := jwtkit.NewSigner(keys, 15*time.Minute, clock.System{})
	if err != nil {
		t.Fatal(err)
	}
	token, claims, err := signer.Sign(jwtkit.Claims{Player: "ann", Family: "laptop", Name: "Ann"})
	if err != nil {
		t.Fatal(err)
	}
	var login struct {
		Result string            `json:"result"`
		Attrs  map[string]string `json:"client_attrs"`
	}
	answer := r.post(t, "/emqx/auth", map[string]string{"clientid": "ann", "username": "ann", "password": token})
	if err := json.Unmarshal(answer.Body.Bytes(), &login); err != nil || login.Result != "allow" {
		t.Fatalf("login: %s, %v", answer.Body, err)
	}
	r.api.connect(login.Attrs["epoch"])
	event := map[string]any{
		"event": "client.connected", "clientid": "ann", "client_attrs": login.Attrs, "peername": "127.0.0.1:1",
		"connected_at": time.Now().UnixMilli(), "node": "emqx@127.0.0.1",
	}
	if answer := r.post(t, "/emqx/webhook", event); answer.Code != http.StatusNoContent {
		t.Fatalf("connected: %d %s", answer.Code, answer.Body)
	}
	event["event"], event["topic"] = "session.subscribed", "player/ann/#"
	if answer := r.post(t, "/emqx/webhook", event); answer.Code != http.StatusNoContent {
		t.Fatalf("subscribed: %d %s", answer.Code, answer.Body)
	}
	testkit.Eventually(t, patience, func() bool {
		shots := r.broker.Messages("player/ann/session")
		return len(shots) > 0 && strings.Contains(shots[len(shots)-1], `"presence":"connected"`)
	}, "the snapshot")
	if _, _, err := r.store.End(t.Context(), claims.Player, session.Ending{Reason: "banned", Revoke: true}); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, patience, r.api.wasKicked, "the kick")
	testkit.Eventually(t, patience, func() bool {
		notes := r.broker.Messages("player/ann/notifications")
		return len(notes) == 1 && strings.Contains(notes[0], `"`+string(wire.NotificationBanned)+`"`)
	}, "the notification")
	testkit.Eventually(t, patience, func() error { return r.redis.HGet(t.Context(), "hf:{00}:clock", "beat:hook").Err() }, "a beat")
}

// TestNoBeatWithoutKeys: a hook that cannot let anybody in must not say that
// it is alive, or sessions would expire that nobody could save.
func TestNoBeatWithoutKeys(t *testing.T) {
	r := start(t)
	testkit.Eventually(t, patience, func() error { return r.redis.Get(t.Context(), "hf:{00}:reader:relay").Err() }, "the loops to run")
	if err := r.redis.HGet(t.Context(), "hf:{00}:clock", "beat:hook").Err(); !errors.Is(err, redis.Nil) {
		t.Errorf("it beats without a key: %v", err)
	}
	if _, err := jwtkit.LoadOrCreate(r.keys); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, patience, func() error { return r.redis.HGet(t.Context(), "hf:{00}:clock", "beat:hook").Err() }, "a beat once there is one")
}

func TestAPassThatFailsDoesNotEndTheLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		passes := 0
		ctx, stop := context.WithTimeout(t.Context(), 100*time.Second)
		defer stop()
		err := every(10*time.Second, slog.New(slog.DiscardHandler), "test", func(context.Context) error {
			passes++
			return errors.New("redis is away")
		})(ctx)
		if err != nil || passes < 8 || passes > 14 {
			t.Errorf("%d passes in 100 s, %v", passes, err)
		}
	})
}

func TestSettingsThatDoNotStart(t *testing.T) {
	production := map[string]string{
		"MODE": "production", "HOOK_SECRET": "a", "MQTT_PASSWORD": "b", "EMQX_API_URL": "http://127.0.0.1:1",
		"EMQX_API_KEY": "k", "EMQX_API_SECRET": "s", "REDIS_URL": "redis://" + miniredis.RunT(t).Addr(),
		"DATABASE_URL": "sqlite://" + filepath.Join(t.TempDir(), "players.db"),
	}
	for name, c := range map[string]struct {
		change map[string]string
		want   string // in the error; "" = it starts
	}{
		"as it should be":            {nil, ""},
		"the laptop's hook secret":   {map[string]string{"HOOK_SECRET": developmentHookSecret}, "HOOK_SECRET"},
		"no hook secret":             {map[string]string{"HOOK_SECRET": ""}, "HOOK_SECRET"},
		"no MQTT password":           {map[string]string{"MQTT_PASSWORD": ""}, ""},
		"no interface to the broker": {map[string]string{"EMQX_API_URL": ""}, "EMQX_API_URL"},
		"no key for it":              {map[string]string{"EMQX_API_KEY": ""}, "EMQX_API_URL"},
		"no secret for it":           {map[string]string{"EMQX_API_SECRET": ""}, "EMQX_API_URL"},
		"an MQTT URL without a host": {map[string]string{"MQTT_URL": "mqtt://"}, "MQTT_URL"},
		"a mode nobody knows":        {map[string]string{"MODE": "prod"}, "MODE"},
		"a laptop others can connect to": {
			map[string]string{"MODE": "development", "HOOK_SECRET": "", "ADDR": ":8105"}, "HOOK_SECRET",
		},
		"a laptop with nothing at all": {map[string]string{"MODE": "development", "HOOK_SECRET": "", "MQTT_PASSWORD": "", "EMQX_API_URL": ""}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			vars := config.Environ{}.With(production).With(c.change)
			svc, err := New(t.Context(), service.Env{Vars: vars, Log: slog.New(slog.DiscardHandler), Registry: prometheus.NewRegistry()})
			if svc != nil {
				if err := svc.Close(); err != nil {
					t.Error(err)
				}
			}
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
}

func TestThePublisherPasswordIsTheSameInEveryInstance(t *testing.T) {
	one, other := Config{HookSecret: "a"}, Config{HookSecret: "a"}
	if p := one.publisherPassword(); !p.Equal(other.publisherPassword().Reveal()) || p.Equal("a") {
		t.Error("two instances with one hook secret have different passwords, or the secret is the password")
	}
	if p := (Config{HookSecret: "b"}).publisherPassword(); p.Equal(one.publisherPassword().Reveal()) {
		t.Error("the password does not depend on the hook secret")
	}
	if p := (Config{HookSecret: "a", MQTTPassword: "own"}).publisherPassword(); !p.Equal("own") {
		t.Error("a password that is set is not used")
	}
}
