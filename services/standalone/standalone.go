// Package standalone is the whole of Holdfast in one process, for laptops,
// demos and tests: the services are the ones that run alone in production, and
// they talk to each other through Redis, HTTP and MQTT as they do there.
package standalone

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"time"

	"github.com/holdfast-games/holdfast/pkg/config"
	"github.com/holdfast-games/holdfast/pkg/secret"
	"github.com/holdfast-games/holdfast/pkg/service"
	"github.com/holdfast-games/holdfast/services/auth"
	emqxhook "github.com/holdfast-games/holdfast/services/emqx-hook"
	"github.com/holdfast-games/holdfast/services/matchmaking"
	"github.com/holdfast-games/holdfast/services/session"
	"github.com/holdfast-games/holdfast/services/standalone/internal/embedded"
)

// Config are the settings of the process beyond those of the services in it.
type Config struct {
	HTTPAddr     string `env:"STANDALONE_HTTP_ADDR" envDefault:"127.0.0.1:8080" doc:"the public origin: what a gateway would route to"`
	InternalAddr string `env:"STANDALONE_INTERNAL_ADDR" envDefault:"127.0.0.1:8090" doc:"/emqx, /internal, /metrics, /livez, /readyz"`
	MQTTAddr     string `env:"STANDALONE_MQTT_ADDR" envDefault:"127.0.0.1:1883" doc:"MQTT over TCP; empty = no embedded broker"`
	MQTTWSAddr   string `env:"STANDALONE_MQTT_WS_ADDR" envDefault:"127.0.0.1:8083" doc:"MQTT over WebSocket, path /mqtt; empty = none"`
	Faults       FaultConfig
	RedisURL     secret.Secret `env:"REDIS_URL" doc:"a real Redis; without it an embedded one is used, whose data ends with the process"`
	HookSecret   secret.Secret `env:"HOOK_SECRET" doc:"shared with the broker; made up when there is none"`
	MQTTPassword secret.Secret `env:"MQTT_PASSWORD" doc:"password of our own publisher; made up when there is none"`
	MQTTUsername string        `env:"MQTT_USERNAME" envDefault:"holdfast-relay" doc:"name of our own publisher"`
	MQTTURL      string        `env:"MQTT_URL" doc:"the broker; without it the embedded one"`
	EMQXAPIURL   string        `env:"EMQX_API_URL" doc:"REST API of the broker; without it the embedded one's"`
}

// embeddedShards is the number of shards on the embedded Redis, unless the
// environment chooses one.
const embeddedShards = "8"

// process is everything New started, to be closed in reverse.
type process struct {
	config   Config
	vars     config.Environ
	log      *slog.Logger
	services map[string]*service.Service
	closers  []func() error
}

// New wires all services behind one origin and starts the embedded parts.
func New(ctx context.Context, env service.Env) (*service.Service, error) {
	c, err := config.Parse[Config](env.Vars)
	if err != nil {
		return nil, err
	}
	p := &process{config: c, vars: env.Vars, log: env.Log, services: map[string]*service.Service{}}
	s, err := p.start(ctx, env)
	if err != nil {
		return nil, errors.Join(err, p.close())
	}
	return s, nil
}

func (p *process) start(ctx context.Context, env service.Env) (*service.Service, error) {
	if err := p.startRedis(); err != nil {
		return nil, err
	}
	internal, err := listen(ctx, "HOLDFAST_STANDALONE_INTERNAL_ADDR", p.config.InternalAddr)
	if err != nil {
		return nil, err
	}
	p.closers = append(p.closers, func() error { return ignoreClosed(internal.Close()) })
	p.config.InternalAddr = internal.Addr().String()
	if err := p.startBroker(ctx, internal.Addr()); err != nil {
		return nil, err
	}
	if err := p.wireServices(ctx, env); err != nil {
		return nil, err
	}
	p.serveInternal(internal, env)
	s := &service.Service{
		Name: "standalone", Addr: p.config.HTTPAddr, Public: publicMux(p.services), OnlyPublic: true,
		Ready: p.ready, Close: p.close, Listening: func(a net.Addr) { p.welcome(os.Stdout, a) },
	}
	for name, part := range p.services {
		for _, l := range part.Loops {
			s.Loops = append(s.Loops, service.Loop{Name: name + "/" + l.Name, Run: l.Run})
		}
	}
	return s, nil
}

// wireServices wires the same programs that run alone elsewhere.
func (p *process) wireServices(ctx context.Context, env service.Env) error {
	env.Vars = p.vars
	log := env.Log
	wire := func(name string, wire service.New) error {
		env.Log = log.With("part", name)
		s, err := wire(ctx, env)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		p.services[name] = s
		p.closers = append(p.closers, s.Close)
		return nil
	}
	if err := wire("auth", auth.New); err != nil {
		return err
	}
	if err := wire("session", session.New); err != nil {
		return err
	}
	if err := wire("matchmaking", matchmaking.New); err != nil {
		return err
	}
	return wire("emqx-hook", emqxhook.New)
}

func (p *process) startRedis() error {
	if p.config.RedisURL.Set() {
		return nil
	}
	r, err := embedded.StartRedis()
	if err != nil {
		return err
	}
	p.closers = append(p.closers, func() error { r.Close(); return nil })
	found := map[string]string{"REDIS_URL": r.URL()}
	if p.vars[envName("SHARDS")] == "" {
		found["SHARDS"] = embeddedShards // each one costs a laptop a little, all the time
	}
	p.vars = p.vars.With(found)
	return nil
}

// serveInternal serves what only the broker and back ends may reach.
func (p *process) serveInternal(l net.Listener, env service.Env) {
	mux := service.Probes(&service.Health{Ready: p.ready}, env.Registry)
	mux.Handle("/emqx/", p.services["emqx-hook"].Internal)
	mux.Handle("/internal/", p.services["session"].Internal)
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			p.log.Error("serve internal", "error", err)
		}
	}()
	p.closers = append(p.closers, func() error {
		err := server.Close()
		<-done
		return err
	})
}

func (p *process) ready(ctx context.Context) error {
	for name, s := range p.services {
		if err := s.Ready(ctx); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// close closes in the reverse order of starting.
func (p *process) close() error {
	var errs []error
	for _, v := range slices.Backward(p.closers) {
		errs = append(errs, v())
	}
	p.closers = nil
	return errors.Join(errs...)
}

func listen(ctx context.Context, name, addr string) (net.Listener, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return l, nil
}

func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// welcome prints where everything listens, and what to try.
func (p *process) welcome(w io.Writer, origin net.Addr) {
	redis := "embedded (data ends with this process)"
	if p.config.RedisURL.Set() {
		redis = "HOLDFAST_REDIS_URL"
	}
	_, _ = fmt.Fprintf(w, welcomeText, origin, p.config.InternalAddr, orNone(p.config.MQTTAddr), orNone(p.config.MQTTWSAddr), redis)
}

func orNone(addr string) string {
	if addr == "" {
		return "none"
	}
	return addr
}

const welcomeText = `
Holdfast is running.

  API       http://%[1]s
  internal  http://%[2]s
  MQTT      %[3]s
  MQTT/WS   %[4]s (path /mqtt)
  Redis     %[5]s

Log in, queue, and read your session:

  TOKEN=$(curl -s http://%[1]s/api/auth/guest -H 'Content-Type: application/json' -d '{"deviceId":"my-laptop"}' | sed 's/.*"token":"\([^"]*\)".*/\1/')
  curl -s http://%[1]s/api/matchmaking/queue -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' -d '{"queue":"casual"}'
  curl -s http://%[1]s/api/session -H "Authorization: Bearer $TOKEN"

`
