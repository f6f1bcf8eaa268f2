// Package service runs a service as a process: it starts in order, is ready
// last, survives panics in its loops, and on SIGTERM turns unready, drains,
// stops its loops and closes, in that order.
package service

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/holdfast-games/holdfast/pkg/config"
	"github.com/holdfast-games/holdfast/pkg/telemetry"
)

// Env is what a process gives to the services in it.
type Env struct {
	Vars     config.Environ
	Log      *slog.Logger
	Registry *prometheus.Registry
	// Drain is closed when the process begins to stop: whoever makes a client
	// wait should answer it now.
	Drain <-chan struct{}
}

// Loop is something a service does besides answering requests. Run returns
// when ctx ends; if it returns or panics earlier, it is started again.
type Loop struct {
	Name string
	Run  func(ctx context.Context) error
}

// Service is one wired service.
type Service struct {
	Name     string
	Addr     string       // where it listens when it has a process of its own
	Public   http.Handler // what a gateway may route to, nil for none
	Internal http.Handler // /internal/* or /emqx/*, never routed from outside, nil for none
	Loops    []Loop
	Ready    func(ctx context.Context) error // nil error = can do its work
	Close    func() error

	// OnlyPublic says that the listener is the public origin itself: probes
	// and metrics are somewhere else.
	OnlyPublic bool
	// Listening, if there is one, is called once the listener is open.
	Listening func(net.Addr)
}

// New wires a service. It may connect, and must release what it opened when
// it fails.
type New func(ctx context.Context, env Env) (*Service, error)

// processConfig are the settings of any process.
type processConfig struct {
	LogLevel   string        `env:"LOG_LEVEL" envDefault:"info" doc:"debug, info, warn or error"`
	DrainDelay time.Duration `env:"DRAIN_DELAY" envDefault:"0s" doc:"how long to keep answering, unready, after SIGTERM: longer than the load balancer needs to notice"`
	DrainTime  time.Duration `env:"DRAIN_TIMEOUT" envDefault:"20s" doc:"how long requests in flight may take after that"`
}

// Settings renders the settings that every process has as a Markdown table.
func Settings() string { return config.Table[processConfig]() }

// SettingNames lists the variables that every process reads.
func SettingNames() []string { return config.Names[processConfig]() }

// Main runs one service as this process. It exits with 1 when the service
// fails, and with 0 after SIGTERM or SIGINT.
func Main(name string, wire New) {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := run(ctx, name, wire, config.OS()); err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
		os.Exit(1) //nolint:gocritic // the process ends; the signal handler with it
	}
}

func run(ctx context.Context, name string, wire New, vars config.Environ) error {
	pc, err := config.Parse[processConfig](vars)
	if err != nil {
		return err
	}
	drain := make(chan struct{})
	log := telemetry.Logger(os.Stderr, pc.LogLevel).With("service", name)
	env := Env{Vars: vars, Log: log, Registry: telemetry.Registry(), Drain: drain}
	svc, err := wire(ctx, env)
	if err != nil {
		return err
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", svc.Addr)
	if err != nil {
		return errors.Join(err, svc.close())
	}
	loops := StartLoops(svc.Loops, log)
	health := &Health{Ready: svc.Ready}
	server := &http.Server{
		Handler: Mux(svc, health, env.Registry), ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	log.Info("listening", "addr", listener.Addr().String())
	if svc.Listening != nil {
		svc.Listening(listener.Addr())
	}
	select {
	case err = <-failed:
	case <-ctx.Done():
	}
	log.Info("stopping")
	health.Draining.Store(true)
	pause(pc.DrainDelay)
	close(drain)
	shutdown, cancel := context.WithTimeout(context.WithoutCancel(ctx), pc.DrainTime)
	defer cancel()
	if late := server.Shutdown(shutdown); late != nil {
		err = errors.Join(err, late, server.Close())
	}
	loops.Stop()
	return errors.Join(err, svc.close())
}

func pause(d time.Duration) {
	if d > 0 {
		<-time.After(d)
	}
}

func (s *Service) close() error {
	if s.Close == nil {
		return nil
	}
	return s.Close()
}

// Health answers the probes.
type Health struct {
	Ready    func(ctx context.Context) error
	Draining atomic.Bool
}

func (h *Health) livez(w http.ResponseWriter, _ *http.Request) { text(w, http.StatusOK, "alive\n") }

func (h *Health) readyz(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
	defer cancel()
	switch {
	case h.Draining.Load():
		text(w, http.StatusServiceUnavailable, "draining\n")
	case h.Ready != nil && h.Ready(ctx) != nil:
		text(w, http.StatusServiceUnavailable, "a dependency is away\n")
	default:
		text(w, http.StatusOK, "ready\n")
	}
}

func text(w http.ResponseWriter, status int, body string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(body))
}

// Probes returns a mux with /livez, /readyz and /metrics.
func Probes(h *Health, registry *prometheus.Registry) *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", h.livez)
	mux.HandleFunc("GET /readyz", h.readyz)
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	return mux
}

// Mux routes everything a service answers on one listener.
func Mux(s *Service, h *Health, registry *prometheus.Registry) http.Handler {
	if s.OnlyPublic {
		return s.Public
	}
	mux := Probes(h, registry)
	if s.Internal != nil {
		mux.Handle("/internal/", s.Internal)
		mux.Handle("/emqx/", s.Internal)
	}
	if s.Public != nil {
		mux.Handle("/", s.Public)
	}
	return mux
}

// Loops are running loops.
type Loops struct {
	cancel context.CancelFunc
	done   sync.WaitGroup
}

// StartLoops starts every loop in the background.
func StartLoops(loops []Loop, log *slog.Logger) *Loops {
	ctx, cancel := context.WithCancel(context.Background())
	l := &Loops{cancel: cancel}
	for _, loop := range loops {
		l.done.Go(func() { keepRunning(ctx, loop, log.With("loop", loop.Name)) })
	}
	return l
}

// Stop ends the loops and waits for them. Stopping twice is safe.
func (l *Loops) Stop() {
	l.cancel()
	l.done.Wait()
}

const restartDelay = 500 * time.Millisecond

func keepRunning(ctx context.Context, loop Loop, log *slog.Logger) {
	for ctx.Err() == nil {
		err := runOnce(ctx, loop)
		if ctx.Err() != nil {
			return
		}
		log.Error("loop ended, starting it again", "error", err)
		select {
		case <-ctx.Done():
		case <-time.After(restartDelay + rand.N(restartDelay)):
		}
	}
}

func runOnce(ctx context.Context, loop Loop) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	return loop.Run(ctx)
}
