package hook

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"github.com/holdfast-games/holdfast/pkg/clock"
	"github.com/holdfast-games/holdfast/pkg/id"
	"github.com/holdfast-games/holdfast/pkg/jwtkit"
	"github.com/holdfast-games/holdfast/pkg/rediskit"
	"github.com/holdfast-games/holdfast/pkg/session"
	"github.com/holdfast-games/holdfast/pkg/session/redisstore"
	"github.com/holdfast-games/holdfast/pkg/shard"
	"github.com/holdfast-games/holdfast/pkg/testkit"
	"github.com/holdfast-games/holdfast/pkg/testkit/redisserver"
	"github.com/holdfast-games/holdfast/services/emqx-hook/internal/api"
)

const (
	hookSecret        = "the-hook-secret"
	publisherName     = "holdfast-relay"
	publisherPassword = "the-publisher-password"
	shards            = 8
)

var shared redisserver.Shared

func TestMain(m *testing.M) { testkit.Main(m, shared.Stop) }

// trips counts the round trips of a Redis client.
type trips struct{ n atomic.Int64 }

func (t *trips) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) { return next(ctx, network, addr) }
}

func (t *trips) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		t.n.Add(1)
		return next(ctx, cmd)
	}
}

func (t *trips) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		t.n.Add(1)
		return next(ctx, cmds)
	}
}

// take returns the round trips since the last call.
func (t *trips) take() int64 { return t.n.Swap(0) }

// testClock is the time of the session scripts, in ms.
type testClock struct{ ms atomic.Int64 }

func (c *testClock) now() int64              { return c.ms.Load() }
func (c *testClock) advance(d time.Duration) { c.ms.Add(d.Milliseconds()) }
func (c *testClock) reach(ms int64)          { c.ms.Store(max(ms, c.ms.Load())) }
func newTestClock(start time.Time) *testClock {
	c := &testClock{}
	c.ms.Store(start.UnixMilli())
	return c
}
func withClock(c *testClock) redisstore.Option { return redisstore.WithTestClock(c.now, id.New) }

// rig is a hook on a Redis.
type rig struct {
	handler  http.Handler
	keeper   *session.Keeper
	signer   *jwtkit.Signer
	tokens   *clock.Fake
	trips    *trips
	registry *prometheus.Registry
}

// newRig returns a hook on the Redis at url, with sessions that follow the
// time of that Redis unless an option says otherwise.
func newRig(tb testing.TB, url string, options ...redisstore.Option) *rig {
	tb.Helper()
	client, err := rediskit.Open(url)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { client.Close() })
	r := &rig{trips: &trips{}, tokens: clock.NewFake(time.Now()), registry: prometheus.NewRegistry()}
	client.AddHook(r.trips)
	m, err := shard.New(shards)
	if err != nil {
		tb.Fatal(err)
	}
	store, err := redisstore.New(client, m, session.Defaults(), options...)
	if err != nil {
		tb.Fatal(err)
	}
	quiet := slog.New(slog.DiscardHandler)
	r.keeper = session.NewKeeper(store, nil, clock.System{}, quiet)
	dir := tb.TempDir()
	keys, err := jwtkit.LoadOrCreate(dir)
	if err != nil {
		tb.Fatal(err)
	}
	if r.signer, err = jwtkit.NewSigner(keys, 15*time.Minute, r.tokens); err != nil {
		tb.Fatal(err)
	}
	r.handler = New(Config{
		Secret: hookSecret, PublisherUsername: publisherName, PublisherPassword: publisherPassword,
		Sessions: r.keeper, Tokens: jwtkit.NewVerifier(dir, r.tokens), Log: quiet, Registry: r.registry,
	}).Handler()
	return r
}

// token makes an access token of a player.
func (r *rig) token(tb testing.TB, player string) string {
	tb.Helper()
	token, _, err := r.signer.Sign(jwtkit.Claims{Player: player, Family: "laptop", Name: "Ann"})
	if err != nil {
		tb.Fatal(err)
	}
	return token
}

// post sends a body as the broker does.
func (r *rig) post(path string, body []byte) *httptest.ResponseRecorder {
	return post(r.handler, path, body)
}

func post(handler http.Handler, path string, body []byte) *httptest.ResponseRecorder {
	return postAs(handler, path, "Bearer "+hookSecret, "application/json", bytes.NewReader(body))
}

func postAs(handler http.Handler, path, authorization, contentType string, body io.Reader) *httptest.ResponseRecorder {
	request := httptest.NewRequest(http.MethodPost, path, body)
	request.Header.Set("Content-Type", contentType)
	if authorization != "" {
		request.Header.Set("Authorization", authorization)
	}
	recorder := httptest.NewRecorder()
	handler.ServeHTTP(recorder, request)
	return recorder
}

func encode(tb testing.TB, v any) []byte {
	tb.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// login asks the hook as the broker does for a CONNECT.
func (r *rig) login(tb testing.TB, clientID, username, password string) api.AuthenticateAnswer {
	tb.Helper()
	return decision(tb, r.post("/emqx/auth", encode(tb, map[string]string{
		"clientid": clientID, "username": username, "password": password, "peerhost": "127.0.0.1",
	})))
}

// decision reads the answer to a login. Whatever it is, its form must be what
// EMQX obeys.
func decision(tb testing.TB, answer *httptest.ResponseRecorder) api.AuthenticateAnswer {
	tb.Helper()
	var a api.AuthenticateAnswer
	if err := json.Unmarshal(answer.Body.Bytes(), &a); err != nil || answer.Code != http.StatusOK ||
		answer.Header().Get("Content-Type") != "application/json" || !a.Result.Valid() {
		tb.Fatalf("a decision EMQX would not obey: %d %q %q", answer.Code, answer.Header().Get("Content-Type"), answer.Body)
	}
	return a
}

// enter logs a player in and returns the epoch of its next connection.
func (r *rig) enter(tb testing.TB, player string) string {
	tb.Helper()
	a := r.login(tb, player, player, r.token(tb, player))
	if a.Result != api.ResultAllow {
		tb.Fatalf("%s was not let in", player)
	}
	return a.ClientAttrs.Epoch
}

// row is an event as EMQX sends it.
type row map[string]any

func connectedRow(player, epoch string) row {
	return row{
		"event": clientConnected, "clientid": player, "username": player, "peername": "127.0.0.1:47244",
		"node": "emqx@127.0.0.1", "connected_at": 1795439368227, "proto_ver": 5, "mountpoint": "undefined",
		"client_attrs": map[string]string{"player": player, "epoch": epoch}, "clean_start": true,
	}
}

func disconnectedRow(player, epoch, reason string) row {
	return connectedRow(player, epoch).with(row{"event": clientDisconnected, "reason": reason, "disconnected_at": 1795439368268})
}

func subscribedRow(player, filter string) row {
	return row{
		"event": sessionSubscribed, "clientid": player, "username": player, "topic": filter, "qos": 1,
		"peername": "127.0.0.1:51378", "client_attrs": map[string]string{"player": player, "epoch": "7"},
	}
}

// with returns a copy with some fields changed; nil takes a field away.
func (r row) with(changes row) row {
	c := maps.Clone(r)
	for k, v := range changes {
		c[k] = v
		if v == nil {
			delete(c, k)
		}
	}
	return c
}

// send posts an event and returns the status.
func (r *rig) send(tb testing.TB, event row) int {
	tb.Helper()
	return r.post("/emqx/webhook", encode(tb, event)).Code
}

// record returns the session of a player as it is.
func (r *rig) record(tb testing.TB, player string) session.Record {
	tb.Helper()
	res, err := r.keeper.Get(tb.Context(), player)
	if err != nil {
		tb.Fatal(err)
	}
	return res.Record
}

// counter returns the value of a counter with these label values.
func (r *rig) counter(tb testing.TB, name string, labels ...string) float64 {
	tb.Helper()
	families, err := r.registry.Gather()
	if err != nil {
		tb.Fatal(err)
	}
	total := 0.0
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			have := map[string]bool{}
			for _, l := range m.GetLabel() {
				have[l.GetValue()] = true
			}
			wanted := true
			for _, l := range labels {
				wanted = wanted && have[l]
			}
			if wanted {
				total += m.GetCounter().GetValue()
			}
		}
	}
	return total
}
