package auth_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-games/holdfast/pkg/config"
	"github.com/holdfast-games/holdfast/pkg/service"
	"github.com/holdfast-games/holdfast/pkg/telemetry"
	"github.com/holdfast-games/holdfast/pkg/testkit/redisserver"
	"github.com/holdfast-games/holdfast/proto/authapi"
	"github.com/holdfast-games/holdfast/proto/wire"
	"github.com/holdfast-games/holdfast/services/auth"
)

// stack is what a deployment of the service stands on: a Redis, a database and
// a folder of keys, for any number of instances.
type stack struct {
	redis *redisserver.Server
	vars  map[string]string
	logs  *logBuffer
	spec  *spec
}

// newStack returns a stack on the shared Redis and a new SQLite database.
// Settings are named without the prefix.
func newStack(tb testing.TB, settings ...string) *stack {
	tb.Helper()
	redis := sharedRedis.Server(tb)
	s := &stack{redis: redis, logs: &logBuffer{}, spec: loadSpec(tb), vars: map[string]string{
		"REDIS_URL": redis.URL(), "DATABASE_URL": "sqlite://" + filepath.Join(tb.TempDir(), "players.db"),
		"JWT_KEYS_DIR": filepath.Join(tb.TempDir(), "keys"),
	}}
	for _, setting := range settings {
		name, value, _ := strings.Cut(setting, "=")
		s.vars[name] = value
	}
	tb.Cleanup(func() { s.logs.check(tb) })
	return s
}

// instance is one running auth service.
type instance struct {
	*stack

	tb     testing.TB
	origin string
	client *http.Client
}

// start runs one more instance, until the test is over.
func (s *stack) start(tb testing.TB) *instance {
	tb.Helper()
	env := s.env()
	svc, err := auth.New(tb.Context(), env)
	if err != nil {
		tb.Fatalf("start auth: %v", err)
	}
	loops := service.StartLoops(svc.Loops, env.Log)
	server := httptest.NewServer(service.Mux(svc, &service.Health{Ready: svc.Ready}, env.Registry))
	transport := &http.Transport{MaxIdleConnsPerHost: 100}
	tb.Cleanup(func() {
		transport.CloseIdleConnections()
		server.Close()
		loops.Stop()
		if err := svc.Close(); err != nil {
			tb.Errorf("close auth: %v", err)
		}
	})
	return &instance{stack: s, tb: tb, origin: server.URL, client: &http.Client{Transport: transport}}
}

func (s *stack) env() service.Env {
	return service.Env{
		Vars: config.Environ{}.With(s.vars), Log: telemetry.Logger(s.logs, "debug"), Registry: telemetry.Registry(),
	}
}

// startError returns why an instance does not start.
func (s *stack) startError(tb testing.TB) error {
	tb.Helper()
	svc, err := auth.New(tb.Context(), s.env())
	if err == nil {
		err = svc.Close()
	}
	return err
}

// in returns the instance for the calls of a subtest.
func (i *instance) in(tb testing.TB) *instance {
	c := *i
	c.tb = tb
	return &c
}

func newInstance(tb testing.TB, settings ...string) *instance {
	tb.Helper()
	return newStack(tb, settings...).start(tb)
}

// answer is what a call got.
type answer struct {
	tb     testing.TB
	call   string
	status int
	header http.Header
	body   []byte
}

// testPatience is how long tests wait for what takes no time.
const testPatience = 20 * time.Second

const (
	guestPath   = "/api/auth/guest"
	refreshPath = "/api/auth/refresh"
	logoutPath  = "/api/auth/logout"
	mePath      = "/api/auth/me"
	jwksPath    = "/.well-known/jwks.json"
)

// post sends a value as JSON, nil as no body.
func (i *instance) post(path, token string, body any) answer {
	i.tb.Helper()
	if body == nil {
		return i.do(http.MethodPost, path, token, nil)
	}
	b, err := json.Marshal(body)
	if err != nil {
		i.tb.Fatalf("encode %v: %v", body, err)
	}
	return i.do(http.MethodPost, path, token, bytes.NewReader(b))
}

func (i *instance) get(path, token string) answer {
	i.tb.Helper()
	return i.do(http.MethodGet, path, token, nil)
}

func (i *instance) do(method, path, token string, body io.Reader) answer {
	i.tb.Helper()
	return i.send(i.request(method, path, token, body))
}

func (i *instance) request(method, path, token string, body io.Reader) *http.Request {
	i.tb.Helper()
	r, err := http.NewRequestWithContext(i.tb.Context(), method, i.origin+path, body)
	if err != nil {
		i.tb.Fatal(err)
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	return r
}

// send makes the call and holds the answer to the contract.
func (i *instance) send(r *http.Request) answer {
	i.tb.Helper()
	res, err := i.client.Do(r)
	if err != nil {
		i.tb.Fatalf("%s %s: %v", r.Method, r.URL.Path, err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		i.tb.Fatalf("%s %s: read the answer: %v", r.Method, r.URL.Path, err)
	}
	a := answer{tb: i.tb, call: r.Method + " " + r.URL.Path, status: res.StatusCode, header: res.Header, body: body}
	if got := res.Header.Get("Content-Length"); len(body) > 0 && got != strconv.Itoa(len(body)) {
		i.tb.Errorf("%s: Content-Length %q for %d bytes", a.call, got, len(body))
	}
	i.spec.validate(i.tb, r, a)
	return a
}

// wants fails the test unless the answer has the status, and for an error the
// code.
func (a answer) wants(status int, code wire.Code) answer {
	a.tb.Helper()
	if a.status != status {
		a.tb.Fatalf("%s: status %d, want %d: %s", a.call, a.status, status, a.body)
	}
	if code == "" {
		return a
	}
	var p wire.Problem
	a.into(&p)
	if p.Code != code {
		a.tb.Fatalf("%s: code %q, want %q: %s", a.call, p.Code, code, a.body)
	}
	if waits := a.header.Get("Retry-After") != ""; waits != (p.RetryAfterMs > 0) {
		a.tb.Errorf("%s: Retry-After %q with retryAfterMs %d", a.call, a.header.Get("Retry-After"), p.RetryAfterMs)
	}
	return a
}

func (a answer) into(v any) {
	a.tb.Helper()
	if err := json.Unmarshal(a.body, v); err != nil {
		a.tb.Fatalf("%s: decode %s: %v", a.call, a.body, err)
	}
}

// login logs a device in.
func (i *instance) login(device string) authapi.Login {
	i.tb.Helper()
	return i.loginAs(device, "")
}

func (i *instance) loginAs(device, name string) authapi.Login {
	i.tb.Helper()
	var l authapi.Login
	i.post(guestPath, "", authapi.GuestLoginRequest{DeviceID: device, DisplayName: name}).wants(http.StatusOK, "").into(&l)
	i.logs.secret(device, l.Token, l.RefreshToken)
	return l
}

// renew trades a refresh token.
func (i *instance) renew(token string) authapi.Tokens {
	i.tb.Helper()
	var t authapi.Tokens
	i.post(refreshPath, "", authapi.RefreshRequest{RefreshToken: token}).wants(http.StatusOK, "").into(&t)
	i.logs.secret(t.Token, t.RefreshToken)
	return t
}

func (i *instance) me(token string) authapi.Me {
	i.tb.Helper()
	var m authapi.Me
	i.get(mePath, token).wants(http.StatusOK, "").into(&m)
	return m
}

// refused fails the test unless the access token is refused with the code.
func (i *instance) refused(token string, code wire.Code) {
	i.tb.Helper()
	i.get(mePath, token).wants(http.StatusUnauthorized, code)
}

// logBuffer keeps what was logged and the secrets that must not be in there.
type logBuffer struct {
	mu      sync.Mutex
	text    bytes.Buffer
	secrets []string
}

// Write implements io.Writer.
func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logBuffer) secret(values ...string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.secrets = append(l.secrets, values...)
}

func (l *logBuffer) contains(text string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Contains(l.text.String(), text)
}

func (l *logBuffer) check(tb testing.TB) {
	tb.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.secrets {
		if strings.Contains(l.text.String(), s) {
			tb.Errorf("the secret %q was logged:\n%s", s, l.text.String())
		}
	}
}
