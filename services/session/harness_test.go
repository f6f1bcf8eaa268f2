package session_test

import (
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/holdfast-games/holdfast/pkg/clock"
	"github.com/holdfast-games/holdfast/pkg/config"
	"github.com/holdfast-games/holdfast/pkg/id"
	"github.com/holdfast-games/holdfast/pkg/jwtkit"
	"github.com/holdfast-games/holdfast/pkg/outbox"
	"github.com/holdfast-games/holdfast/pkg/platform"
	"github.com/holdfast-games/holdfast/pkg/players"
	"github.com/holdfast-games/holdfast/pkg/service"
	kernel "github.com/holdfast-games/holdfast/pkg/session"
	"github.com/holdfast-games/holdfast/pkg/testkit/redisserver"
	"github.com/holdfast-games/holdfast/proto/wire"
	"github.com/holdfast-games/holdfast/services/session"
)

const (
	// patience is how long tests wait for what takes no time.
	patience     = 20 * time.Second
	serviceToken = "service-s3cr3t"
	sessionPath  = "/api/session"
)

// stack is what a deployment of the service stands on: a Redis, a database and
// a folder of keys, for any number of instances. The platform is the tests'
// own: it stands for the other services.
type stack struct {
	*platform.Platform

	tb     testing.TB
	redis  *redisserver.Server
	vars   config.Environ
	keys   []jwtkit.Key
	spec   *spec
	logins int
}

// newStack returns a stack on the shared Redis and a new SQLite database.
// Settings are NAME=value, without the prefix.
func newStack(tb testing.TB, settings ...string) *stack {
	tb.Helper()
	s := &stack{tb: tb, redis: sharedRedis.Server(tb), spec: loadSpec(tb)}
	dir := tb.TempDir()
	vars := map[string]string{
		"REDIS_URL": s.redis.URL(), "DATABASE_URL": "sqlite://" + filepath.Join(dir, "players.db"), "JWT_KEYS_DIR": filepath.Join(dir, "keys"),
		"SERVICE_TOKEN": serviceToken, "SWEEP_INTERVAL": "1h", "SHARDS": "8",
	}
	for _, setting := range settings {
		name, value, _ := strings.Cut(setting, "=")
		vars[name] = value
	}
	s.vars = config.Environ{}.With(vars)
	var err error
	if s.keys, err = jwtkit.LoadOrCreate(filepath.Join(dir, "keys")); err != nil {
		tb.Fatal(err)
	}
	c, err := config.Parse[platform.Config](s.vars)
	if err != nil {
		tb.Fatal(err)
	}
	if s.Platform, err = platform.Open(tb.Context(), c, service.Env{Log: discard()}); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = s.Platform.Close() })
	if err := s.MigratePlayers(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	return s
}

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

// instance is one running session service.
type instance struct {
	*stack

	origin string
	client *http.Client
	drain  func()
}

// start runs one more instance until the test is over, with the loops named.
func (s *stack) start(tb testing.TB, loops ...string) *instance {
	tb.Helper()
	drain := make(chan struct{})
	env := service.Env{Vars: s.vars, Log: discard(), Registry: prometheus.NewRegistry(), Drain: drain}
	svc, err := session.New(tb.Context(), env)
	if err != nil {
		tb.Fatalf("start session: %v", err)
	}
	running := service.StartLoops(slices.DeleteFunc(svc.Loops, func(l service.Loop) bool { return !slices.Contains(loops, l.Name) }), env.Log)
	server := httptest.NewServer(service.Mux(svc, &service.Health{Ready: svc.Ready}, env.Registry))
	transport := &http.Transport{MaxIdleConnsPerHost: 100}
	tb.Cleanup(func() {
		transport.CloseIdleConnections()
		server.Close()
		running.Stop()
		if err := svc.Close(); err != nil {
			tb.Errorf("close session: %v", err)
		}
	})
	return &instance{
		stack: s, origin: server.URL, client: &http.Client{Transport: transport}, drain: func() { close(drain) },
	}
}

func newInstance(tb testing.TB, settings ...string) *instance {
	tb.Helper()
	return newStack(tb, settings...).start(tb)
}

// on returns the instance for a test inside another one.
func (i *instance) on(tb testing.TB) *instance {
	s, c := *i.stack, *i
	s.tb, c.stack = tb, &s
	return &c
}

// login is a player with a token.
type login struct {
	player, family, token string
	claims                kernel.Claims
}

// login makes a player in the database and logs it in.
func (s *stack) login(name string) login {
	s.tb.Helper()
	s.logins++
	p, _, err := s.Players.FindOrCreate(s.tb.Context(), players.Identity{Provider: "guest", SubjectHash: strconv.Itoa(s.logins)},
		players.NewPlayer{ID: id.New(), DisplayName: name}, time.Now())
	if err != nil {
		s.tb.Fatal(err)
	}
	return s.loginAgain(p.ID)
}

// loginAgain logs a player in once more.
func (s *stack) loginAgain(player string) login {
	s.tb.Helper()
	p, err := s.Players.Get(s.tb.Context(), player)
	if err != nil {
		s.tb.Fatal(err)
	}
	now := time.Now()
	family := players.NewFamily{
		ID: id.New(), PlayerID: p.ID, Rev: p.Rev, CreatedAt: now, ExpiresAt: now.Add(time.Hour), AbsoluteExpiresAt: now.Add(time.Hour),
	}
	if err := s.Players.CreateFamily(s.tb.Context(), family); err != nil {
		s.tb.Fatal(err)
	}
	token, claims := s.sign(now, jwtkit.Claims{Player: p.ID, Rev: p.Rev, Family: family.ID, Name: "from the token", Provider: p.Provider})
	return login{player: p.ID, family: family.ID, token: token, claims: kernel.ClaimsFrom(claims)}
}

// sign makes a token at a moment; it lives for 15 minutes.
func (s *stack) sign(at time.Time, c jwtkit.Claims) (string, jwtkit.Claims) {
	s.tb.Helper()
	signer, err := jwtkit.NewSigner(s.keys, 15*time.Minute, clock.NewFake(at))
	if err != nil {
		s.tb.Fatal(err)
	}
	token, c, err := signer.Sign(c)
	if err != nil {
		s.tb.Fatal(err)
	}
	return token, c
}

// revoke refuses every token the player has, in the database and in Redis.
func (s *stack) revoke(player string) {
	s.tb.Helper()
	rev, err := s.Players.Revoke(s.tb.Context(), player, players.Banned, time.Now())
	if err != nil {
		s.tb.Fatal(err)
	}
	if _, _, err := s.Store.End(s.tb.Context(), player, kernel.Ending{Reason: "banned", Revoke: true, Rev: rev}); err != nil {
		s.tb.Fatal(err)
	}
}

// logout refuses the tokens of one login.
func (s *stack) logout(l login) {
	s.tb.Helper()
	if err := s.Players.RevokeFamily(s.tb.Context(), l.family, players.Logout, time.Now()); err != nil {
		s.tb.Fatal(err)
	}
	if _, _, err := s.Store.End(s.tb.Context(), l.player, kernel.Ending{Reason: "logout", Family: l.family}); err != nil {
		s.tb.Fatal(err)
	}
}

// record returns the player's session as it is.
func (s *stack) record(player string) kernel.Record {
	s.tb.Helper()
	res, err := s.Store.Get(s.tb.Context(), player)
	if err != nil {
		s.tb.Fatal(err)
	}
	return res.Record
}

// event is what the outbox says about a player.
type event struct {
	kind, sid, reason string
	fields            map[string]any
}

// events returns the outbox of one player, oldest first.
func (s *stack) events(player string) []event {
	s.tb.Helper()
	messages, err := s.Redis.XRange(s.tb.Context(), outbox.Key(s.Shards.Of(player)), "-", "+").Result()
	if err != nil {
		s.tb.Fatal(err)
	}
	var all []event
	for _, m := range messages {
		if m.Values["player"] == player {
			e := event{fields: m.Values}
			e.kind, _ = m.Values["type"].(string)
			e.sid, _ = m.Values["sid"].(string)
			e.reason, _ = m.Values["reason"].(string)
			all = append(all, e)
		}
	}
	return all
}

func (s *stack) lastEvent(player string) event {
	s.tb.Helper()
	all := s.events(player)
	if len(all) == 0 {
		s.tb.Fatalf("the outbox has nothing about %s", player)
	}
	return all[len(all)-1]
}

// answer is what a call got.
type answer struct {
	tb     testing.TB
	call   string
	status int
	header http.Header
	body   []byte
}

func (i *instance) get(path, token string) answer {
	i.tb.Helper()
	return i.do(http.MethodGet, path, token, "")
}

// snapshot returns the caller's session.
func (i *instance) snapshot(token string) wire.Snapshot {
	i.tb.Helper()
	return i.get(sessionPath, token).snapshot()
}

func (i *instance) do(method, path, token, body string) answer {
	i.tb.Helper()
	return i.send(i.request(method, path, token, body))
}

func (i *instance) request(method, path, token, body string) *http.Request {
	i.tb.Helper()
	r, err := http.NewRequestWithContext(i.tb.Context(), method, i.origin+path, strings.NewReader(body))
	if err != nil {
		i.tb.Fatal(err)
	}
	if body != "" {
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
	a, err := i.try(r)
	if err != nil {
		i.tb.Fatal(err)
	}
	return i.check(r, a)
}

// sendAll makes several calls at once and returns their answers in order.
func (i *instance) sendAll(requests ...*http.Request) []answer {
	i.tb.Helper()
	answers, errs := make([]answer, len(requests)), make([]error, len(requests))
	var sending sync.WaitGroup
	for n, r := range requests {
		sending.Go(func() { answers[n], errs[n] = i.try(r) })
	}
	sending.Wait()
	if err := errors.Join(errs...); err != nil {
		i.tb.Fatal(err)
	}
	for n, r := range requests {
		i.check(r, answers[n])
	}
	return answers
}

func (i *instance) check(r *http.Request, a answer) answer {
	i.tb.Helper()
	if got := a.header.Get("Content-Length"); len(a.body) > 0 && got != strconv.Itoa(len(a.body)) && r.URL.Path != "/metrics" {
		i.tb.Errorf("%s: Content-Length %q for %d bytes", a.call, got, len(a.body))
	}
	i.spec.validate(i.tb, r, a)
	return a
}

// try makes the call from any goroutine.
func (i *instance) try(r *http.Request) (answer, error) {
	res, err := i.client.Do(r)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	return answer{tb: i.tb, call: r.Method + " " + r.URL.RequestURI(), status: res.StatusCode, header: res.Header, body: body}, err
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
	if waits := a.header.Get("Retry-After") != ""; waits != (p.RetryAfterMs > 0) || waits != (code == wire.CodeUnavailable) {
		a.tb.Errorf("%s: %s with Retry-After %q and retryAfterMs %d", a.call, code, a.header.Get("Retry-After"), p.RetryAfterMs)
	}
	return a
}

func (a answer) snapshot() wire.Snapshot {
	a.tb.Helper()
	var s wire.Snapshot
	a.wants(http.StatusOK, "").into(&s)
	return s
}

func (a answer) into(v any) {
	a.tb.Helper()
	if err := json.Unmarshal(a.body, v); err != nil {
		a.tb.Fatalf("%s: decode %s: %v", a.call, a.body, err)
	}
}
