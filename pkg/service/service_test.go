package service

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/holdfast-games/holdfast/pkg/config"
	"github.com/holdfast-games/holdfast/pkg/telemetry"
	"github.com/holdfast-games/holdfast/pkg/testkit"
)

// patience is how long tests wait for what takes no time.
const patience = 20 * time.Second

// trace keeps what happened, in order.
type trace struct {
	mu     sync.Mutex
	events []string
}

func (t *trace) add(event string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.events = append(t.events, event)
}

func (t *trace) want(tb testing.TB, events ...string) {
	tb.Helper()
	t.mu.Lock()
	defer t.mu.Unlock()
	if !slices.Equal(t.events, events) {
		tb.Errorf("happened: %q, want %q", t.events, events)
	}
}

// process is a service that runs as Main runs it.
type process struct {
	origin string
	env    Env
	stop   context.CancelFunc // what SIGTERM does
	ended  <-chan error
}

// start runs a service on a free port until the test is over.
func start(t *testing.T, vars map[string]string, wire func(env Env) *Service) *process {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	p := &process{stop: cancel}
	listening, ended := make(chan net.Addr, 1), make(chan error, 1)
	p.ended = ended
	go func() {
		defer close(ended)
		ended <- run(ctx, "test", func(_ context.Context, env Env) (*Service, error) {
			p.env = env
			svc := wire(env)
			svc.Addr, svc.Listening = "127.0.0.1:0", func(a net.Addr) { listening <- a }
			return svc, nil
		}, config.Environ{}.With(vars))
	}()
	t.Cleanup(func() {
		cancel()
		for range ended {
		}
	})
	select {
	case a := <-listening:
		p.origin = "http://" + a.String()
	case err := <-ended:
		t.Fatalf("the service ended at once: %v", err)
	}
	return p
}

// result waits for the end of the service.
func (p *process) result(t *testing.T) error {
	t.Helper()
	select {
	case err := <-p.ended:
		return err
	case <-time.After(patience):
		t.Fatal("the service does not end")
		return nil
	}
}

// get returns "status body".
func get(url string) (string, error) {
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
	res, err := client.Get(url)
	if err != nil {
		return "", err
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	return fmt.Sprintf("%d %s", res.StatusCode, strings.TrimSpace(string(body))), err
}

func (p *process) wants(t *testing.T, path, want string) {
	t.Helper()
	if got, err := get(p.origin + path); err != nil || got != want {
		t.Errorf("GET %s: %q, %v; want %q", path, got, err, want)
	}
}

func TestStopsInOrder(t *testing.T) {
	const delay = time.Second
	var happened trace
	var drained time.Time
	entered, loopStopped := make(chan struct{}), make(chan struct{})
	p := start(t, map[string]string{"DRAIN_DELAY": delay.String()}, func(env Env) *Service {
		public := http.NewServeMux()
		public.HandleFunc("/work", func(w http.ResponseWriter, _ *http.Request) { text(w, http.StatusOK, "done") })
		public.HandleFunc("/wait", func(w http.ResponseWriter, _ *http.Request) {
			close(entered)
			<-env.Drain
			drained = time.Now()
			select { // a loop may be what the request waits for
			case <-loopStopped:
			case <-time.After(50 * time.Millisecond):
			}
			happened.add("request answered")
			text(w, http.StatusOK, "waited")
		})
		return &Service{
			Public: public,
			Loops: []Loop{{Name: "loop", Run: func(ctx context.Context) error {
				<-ctx.Done()
				happened.add("loop stopped")
				close(loopStopped)
				return ctx.Err()
			}}},
			Close: func() error { happened.add("closed"); return nil },
		}
	})
	p.wants(t, "/readyz", "200 ready")
	waited := make(chan string, 1)
	go func() {
		got, err := get(p.origin + "/wait")
		waited <- fmt.Sprint(got, err)
	}()
	<-entered

	stopped := time.Now()
	p.stop()
	testkit.Eventually(t, patience, func() error {
		got, err := get(p.origin + "/readyz")
		if got != "503 draining" {
			return fmt.Errorf("readyz says %q, %w", got, err)
		}
		return nil
	}, "readyz to say draining")
	p.wants(t, "/work", "200 done")
	p.wants(t, "/livez", "200 alive")
	if err := p.result(t); err != nil {
		t.Errorf("ended with %v", err)
	}
	if got := <-waited; got != "200 waited<nil>" {
		t.Errorf("the request in flight got %s", got)
	}
	if got := drained.Sub(stopped); got < delay {
		t.Errorf("Drain was closed after %s, DRAIN_DELAY is %s", got, delay)
	}
	happened.want(t, "request answered", "loop stopped", "closed")
	if got, err := get(p.origin + "/livez"); err == nil {
		t.Errorf("it still listens: %s", got)
	}
}

func TestRequestsThatTakeTooLongAreLeft(t *testing.T) {
	var happened trace
	entered, release := make(chan struct{}), make(chan struct{})
	p := start(t, map[string]string{"DRAIN_TIMEOUT": "20ms"}, func(Env) *Service {
		return &Service{
			Public: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
				close(entered)
				<-release
			}),
			Loops: []Loop{{Name: "loop", Run: func(ctx context.Context) error {
				<-ctx.Done()
				happened.add("loop stopped")
				return nil
			}}},
			Close: func() error { happened.add("closed"); return nil },
		}
	})
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		_, _ = get(p.origin + "/")
	}()
	<-entered
	p.stop()
	if err := p.result(t); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("ended with %v, want to hear that requests were left", err)
	}
	happened.want(t, "loop stopped", "closed")
	close(release)
	<-gone
}

func TestCloseErrorIsReported(t *testing.T) {
	broken := errors.New("broken")
	p := start(t, nil, func(Env) *Service { return &Service{Close: func() error { return broken }} })
	p.stop()
	if err := p.result(t); !errors.Is(err, broken) {
		t.Errorf("ended with %v", err)
	}
}

func TestTakenPort(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	var happened trace
	err = run(t.Context(), "test", func(context.Context, Env) (*Service, error) {
		return &Service{
			Addr:  taken.Addr().String(),
			Loops: []Loop{{Name: "loop", Run: func(context.Context) error { happened.add("loop ran"); return nil }}},
			Close: func() error { happened.add("closed"); return nil },
		}, nil
	}, nil)
	var failed *net.OpError
	if !errors.As(err, &failed) || !strings.Contains(err.Error(), taken.Addr().String()) {
		t.Errorf("error %v, want one that names the address", err)
	}
	happened.want(t, "closed")
}

func TestWiringThatFails(t *testing.T) {
	broken := errors.New("broken")
	err := run(t.Context(), "test", func(context.Context, Env) (*Service, error) { return nil, broken }, nil)
	if !errors.Is(err, broken) {
		t.Errorf("error %v", err)
	}
}

func TestMalformedSettingStopsTheStart(t *testing.T) {
	err := run(t.Context(), "test", func(context.Context, Env) (*Service, error) {
		t.Error("wired all the same")
		return &Service{}, nil
	}, config.Environ{}.With(map[string]string{"DRAIN_DELAY": "soon"}))
	if err == nil || !strings.Contains(err.Error(), "HOLDFAST_DRAIN_DELAY") {
		t.Errorf("error %v, want one that names the variable", err)
	}
}

func TestReadiness(t *testing.T) {
	serve := func(h *Health) string {
		w := httptest.NewRecorder()
		Probes(h, prometheus.NewRegistry()).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/readyz", http.NoBody))
		return fmt.Sprintf("%d %s", w.Code, strings.TrimSpace(w.Body.String()))
	}
	draining := &Health{Ready: func(context.Context) error { t.Error("asked while draining"); return nil }}
	draining.Draining.Store(true)
	for want, h := range map[string]*Health{
		"200 ready":                {},
		"503 a dependency is away": {Ready: func(context.Context) error { return errors.New("secret cause") }},
		"503 draining":             draining,
	} {
		if got := serve(h); got != want {
			t.Errorf("readyz says %q, want %q", got, want)
		}
	}
	var deadline bool
	serve(&Health{Ready: func(ctx context.Context) error {
		_, deadline = ctx.Deadline()
		return nil
	}})
	if !deadline {
		t.Error("a check may take for ever")
	}
}

func mark(name string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { text(w, http.StatusOK, name) })
}

func TestMux(t *testing.T) {
	public, internal := mark("public"), mark("internal")
	for name, c := range map[string]struct {
		service Service
		want    map[string]string // path → body; "" = not found
	}{
		"both": {Service{Public: public, Internal: internal}, map[string]string{
			"/": "public", "/api/session": "public", "/.well-known/jwks.json": "public", "/internals": "public",
			"/internal/sessions/x": "internal", "/emqx/auth": "internal", "/livez": "alive", "/readyz": "ready",
		}},
		"internal only": {Service{Internal: internal}, map[string]string{
			"/": "", "/api/session": "", "/emqx/auth": "internal", "/livez": "alive",
		}},
		"no handlers": {Service{}, map[string]string{"/": "", "/internal/x": "", "/emqx/auth": "", "/livez": "alive"}},
		"public only": {Service{Public: public}, map[string]string{"/": "public", "/livez": "alive"}},
		"public origin": {Service{Public: public, Internal: internal, OnlyPublic: true}, map[string]string{
			"/": "public", "/livez": "public", "/readyz": "public", "/metrics": "public", "/internal/x": "public", "/emqx/auth": "public",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			mux := Mux(&c.service, &Health{}, prometheus.NewRegistry())
			for path, want := range c.want {
				w := httptest.NewRecorder()
				mux.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, http.NoBody))
				if got := strings.TrimSpace(w.Body.String()); w.Code == http.StatusOK && got != want || w.Code != http.StatusOK && want != "" {
					t.Errorf("GET %s: %d %q, want %q", path, w.Code, got, want)
				}
			}
		})
	}
}

func TestMetricsAreServed(t *testing.T) {
	registry := telemetry.Registry()
	w := httptest.NewRecorder()
	Probes(&Health{}, registry).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", http.NoBody))
	if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), "go_goroutines ") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestSettingsAreListed(t *testing.T) {
	want := []string{"HOLDFAST_LOG_LEVEL", "HOLDFAST_DRAIN_DELAY", "HOLDFAST_DRAIN_TIMEOUT"}
	if got := SettingNames(); !slices.Equal(got, want) {
		t.Errorf("names %v, want %v", got, want)
	}
	for _, name := range want {
		if !strings.Contains(Settings(), name) {
			t.Errorf("the table lacks %s", name)
		}
	}
}

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }
