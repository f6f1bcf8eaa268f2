package matchmaking_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/legacy"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/holdfast-games/holdfast/pkg/clock"
	"github.com/holdfast-games/holdfast/pkg/config"
	"github.com/holdfast-games/holdfast/pkg/jwtkit"
	"github.com/holdfast-games/holdfast/pkg/rediskit"
	"github.com/holdfast-games/holdfast/pkg/service"
	"github.com/holdfast-games/holdfast/pkg/session"
	sessions "github.com/holdfast-games/holdfast/pkg/session/redisstore"
	"github.com/holdfast-games/holdfast/pkg/shard"
	"github.com/holdfast-games/holdfast/pkg/testkit"
	"github.com/holdfast-games/holdfast/pkg/testkit/redisserver"
	"github.com/holdfast-games/holdfast/proto/openapi"
	"github.com/holdfast-games/holdfast/services/matchmaking"
)

var shared redisserver.Shared

func TestMain(m *testing.M) { testkit.Main(m, shared.Stop) }

// house is what instances share: keys, and sessions on one Redis.
type house struct {
	testing.TB

	keysDir  string
	signer   *jwtkit.Signer
	sessions *sessions.Store
	shards   shard.Map
	router   routers.Router
}

func newHouse(t *testing.T, redisURL string) *house {
	t.Helper()
	h := &house{TB: t, keysDir: filepath.Join(t.TempDir(), "keys")}
	keys, err := jwtkit.LoadOrCreate(h.keysDir)
	h.must(err)
	h.signer, err = jwtkit.NewSigner(keys, 15*time.Minute, clock.System{})
	h.must(err)
	client, err := rediskit.Open(redisURL)
	h.must(err)
	t.Cleanup(func() { _ = client.Close() })
	h.shards, err = shard.New(shard.Default)
	h.must(err)
	h.sessions, err = sessions.New(client, h.shards, session.Defaults())
	h.must(err)
	h.router = newRouter(t)
	return h
}

func (h *house) must(err error) {
	h.Helper()
	if err != nil {
		h.Fatal(err)
	}
}

// instance is one running matchmaking service.
type instance struct {
	*house

	svc   *service.Service
	loops *service.Loops
}

// start runs an instance until the test is over.
func (h *house) start(redisURL string, vars map[string]string) *instance {
	h.Helper()
	env := service.Env{
		Vars: config.Environ{}.With(map[string]string{
			"REDIS_URL": redisURL, "JWT_KEYS_DIR": h.keysDir, "DATABASE_URL": "sqlite://" + filepath.Join(h.keysDir, "none.db"),
		}).With(vars),
		Log: slog.New(slog.DiscardHandler), Registry: prometheus.NewRegistry(), Drain: make(chan struct{}),
	}
	svc, err := matchmaking.New(context.Background(), env)
	h.must(err)
	i := &instance{house: h, svc: svc, loops: service.StartLoops(svc.Loops, env.Log)}
	h.Cleanup(func() {
		i.loops.Stop()
		_ = svc.Close()
	})
	return i
}

func (h *house) token(player string) string {
	h.Helper()
	token, _, err := h.signer.Sign(jwtkit.Claims{Player: player, Family: "f", Name: player, Provider: "guest"})
	h.must(err)
	return token
}

// connect makes a player reachable.
func (h *house) connect(player string) {
	h.Helper()
	ctx := h.Context()
	claims := session.Claims{Player: player, Family: "f", Name: player}
	facts := session.Facts{Name: player, Durable: true, Login: true}
	_, epoch, err := h.sessions.Begin(ctx, claims, &facts)
	h.must(err)
	_, err = h.sessions.Connected(ctx, player, session.NewConnectionID(epoch, 1, "127.0.0.1:1"), "node", nil)
	h.must(err)
}

func (h *house) record(player string) session.Record {
	h.Helper()
	res, err := h.sessions.Get(h.Context(), player)
	h.must(err)
	return res.Record
}

// inMatch returns the match that is real in the player's session, or "".
func (h *house) inMatch(player string) string {
	h.Helper()
	for _, p := range h.record(player).Held(session.Match) {
		return p.ID
	}
	return ""
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   map[string]any
}

func (a answer) code() string {
	code, _ := a.body["code"].(string)
	return code
}

// call sends a request and checks the answer against the OpenAPI document.
func (i *instance) call(method, target, token string, body any, header ...string) answer {
	i.Helper()
	var content io.Reader = http.NoBody
	if body != nil {
		text, isText := body.(string)
		if !isText {
			encoded, err := json.Marshal(body)
			i.must(err)
			text = string(encoded)
		}
		content = strings.NewReader(text)
	}
	request := httptest.NewRequestWithContext(i.Context(), method, "http://localhost"+target, content)
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	for n := 0; n+1 < len(header); n += 2 {
		request.Header.Set(header[n], header[n+1])
	}
	recorder := httptest.NewRecorder()
	i.svc.Public.ServeHTTP(recorder, request)
	i.checkContract(request, recorder)
	a := answer{status: recorder.Code, header: recorder.Header()}
	if recorder.Body.Len() > 0 {
		i.must(json.Unmarshal(recorder.Body.Bytes(), &a.body))
	}
	return a
}

func (i *instance) checkContract(request *http.Request, recorder *httptest.ResponseRecorder) {
	i.Helper()
	route, params, err := i.router.FindRoute(request)
	i.must(err)
	err = openapi3filter.ValidateResponse(i.Context(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: request, PathParams: params, Route: route},
		Status:                 recorder.Code, Header: recorder.Header(),
		Body:    io.NopCloser(bytes.NewReader(recorder.Body.Bytes())),
		Options: &openapi3filter.Options{IncludeResponseStatus: true},
	})
	if err != nil {
		i.Errorf("%s %s answered %d %s, which the document does not allow: %v",
			request.Method, request.URL, recorder.Code, recorder.Body, err)
	}
	if recorder.Body.Len() > 0 && recorder.Header().Get("Content-Length") == "" {
		i.Errorf("%s %s: no Content-Length", request.Method, request.URL)
	}
}

func newRouter(tb testing.TB) routers.Router {
	tb.Helper()
	loader := openapi3.NewLoader()
	loader.IsExternalRefsAllowed = true
	loader.ReadFromURIFunc = func(_ *openapi3.Loader, uri *url.URL) ([]byte, error) {
		return openapi.Read(path.Base(uri.Path))
	}
	document, err := loader.LoadFromURI(&url.URL{Path: "matchmaking.yaml"})
	if err != nil {
		tb.Fatal(err)
	}
	document.Servers = nil // any address will do
	router, err := legacy.NewRouter(document)
	if err != nil {
		tb.Fatal(err)
	}
	return router
}
