// Package stack runs the whole house for tests and demos: real processes of
// every service, two of each, behind a load balancer that alternates, with a
// real Redis and the embedded broker, each of which can be killed at any time.
package stack

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/holdfast-games/holdfast/proto/wire"
	"github.com/holdfast-games/holdfast/services/standalone"
)

// Services are the services that run as processes of their own.
func Services() []string { return []string{"auth", "session", "matchmaking", "emqx-hook"} }

// Options choose what to run. The zero value is two instances of everything.
type Options struct {
	BinDir    string            // the built programs, required
	Instances int               // of each service, 2 when zero
	Vars      map[string]string // settings for every service, without the prefix
	Takeover  int               // 0: EMQX 5.8, 1: EMQX 5.9
	Watch     Watch             // sees every answer that passes a load balancer, nil for nobody
}

// Stack is a running house.
type Stack struct {
	Origin string             // what players talk to
	Broker *standalone.Broker // the MQTT broker
	Redis  *redis.Client      // for looking behind the curtain

	options   Options
	dir       string
	redis     *program
	vars      map[string]string
	front     *balancer // public origin
	hooks     *balancer // what the broker calls
	mu        sync.Mutex
	instances map[string][]*program
}

const (
	hookSecret   = "stack-hook-secret"
	serviceToken = "stack-service-token"
	mqttPassword = "stack-mqtt-password"
	apiKey       = "stack"
	apiSecret    = "stack-api-secret"
	readyTimeout = 30 * time.Second
)

// Start starts everything and waits until it is ready.
func Start(ctx context.Context, o Options) (*Stack, error) {
	if o.Instances == 0 {
		o.Instances = 2
	}
	dir, err := os.MkdirTemp("", "holdfast-stack-")
	if err != nil {
		return nil, fmt.Errorf("stack: %w", err)
	}
	s := &Stack{options: o, dir: dir, instances: map[string][]*program{}}
	if err := s.start(ctx); err != nil {
		s.Close()
		return nil, fmt.Errorf("stack: %w", err)
	}
	return s, nil
}

func (s *Stack) start(ctx context.Context) error {
	if err := s.startRedis(ctx); err != nil {
		return err
	}
	var err error
	if s.hooks, err = newBalancer(true, s.options.Watch); err != nil {
		return err
	}
	if s.front, err = newBalancer(false, s.options.Watch); err != nil {
		return err
	}
	s.Origin = s.front.url()
	if err := s.startBroker(ctx); err != nil {
		return err
	}
	s.vars = map[string]string{
		"REDIS_URL": "redis://" + s.redis.addr, "DATABASE_URL": "sqlite://" + filepath.Join(s.dir, "holdfast.db"),
		"JWT_KEYS_DIR": filepath.Join(s.dir, "keys"), "HOOK_SECRET": hookSecret, "SERVICE_TOKEN": serviceToken,
		"MQTT_URL": "mqtt://" + s.Broker.TCPAddr(), "MQTT_USERNAME": "holdfast-relay", "MQTT_PASSWORD": mqttPassword,
		"MQTT_PUBLIC_URL": "mqtt://" + s.Broker.TCPAddr(), "EMQX_API_URL": "http://" + s.Broker.APIAddr() + "/api/v5",
		"EMQX_API_KEY": apiKey, "EMQX_API_SECRET": apiSecret, "LOG_LEVEL": "warn",
	}
	maps.Copy(s.vars, s.options.Vars)
	for _, name := range Services() {
		s.instances[name] = make([]*program, s.options.Instances)
	}
	return s.StartAll(ctx)
}

func (s *Stack) startRedis(ctx context.Context) error {
	path, err := exec.LookPath("redis-server")
	if err != nil {
		return errors.New("redis-server is not installed")
	}
	s.redis = &program{name: "redis", path: path, dir: s.dir}
	s.redis.args = func(addr string) []string {
		return []string{"--port", port(addr), "--bind", "127.0.0.1", "--dir", s.dir, "--appendonly", "yes", "--save", ""}
	}
	if err := s.redis.start(ctx, nil); err != nil {
		return err
	}
	s.Redis = redis.NewClient(&redis.Options{Addr: s.redis.addr})
	return await(ctx, func() error { return s.Redis.Ping(ctx).Err() })
}

func (s *Stack) startBroker(ctx context.Context) error {
	c := standalone.BrokerConfig{
		TCPAddr: "127.0.0.1:0", WSAddr: "127.0.0.1:0", APIAddr: "127.0.0.1:0", APIKey: apiKey, APISecret: apiSecret,
		AuthURL: s.hooks.url() + "/emqx/auth", AuthzURL: s.hooks.url() + "/emqx/authz",
		WebhookURL: s.hooks.url() + "/emqx/webhook", HookSecret: hookSecret, ResumeInterval: 200 * time.Millisecond,
	}
	if s.options.Takeover == 1 {
		c.Takeover = standalone.Takeover59
	}
	b, err := standalone.NewBroker(c)
	if err != nil {
		return err
	}
	s.Broker = b
	return b.Start(ctx)
}

// BuildPrograms builds every program into dir. root is the root of the
// repository, or a path to it.
func BuildPrograms(ctx context.Context, root, dir string) error {
	args := []string{"build", "-o", dir}
	for _, name := range append(Services(), "standalone") {
		args = append(args, "./"+filepath.Join("services", name, "cmd", name))
	}
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build the programs: %w\n%s", err, out)
	}
	return nil
}

// Publisher returns how our own publisher connects to the broker.
func (s *Stack) Publisher() (url, username, password string) {
	return "mqtt://" + s.Broker.TCPAddr(), "holdfast-relay", mqttPassword
}

// Hook sends a request to the hook as the broker does, with the secret.
func (s *Stack) Hook(r *http.Request) (*http.Response, error) {
	r.Header.Set("Authorization", "Bearer "+hookSecret)
	r.Header.Set("Content-Type", "application/json")
	return newClient().Do(r)
}

// Lose makes every request of the broker vanish whose body holds the text,
// until it is called with "".
func (s *Stack) Lose(text string) {
	s.hooks.mu.Lock()
	defer s.hooks.mu.Unlock()
	s.hooks.lose = text
}

// HookURL is where the broker finds its hooks.
func (s *Stack) HookURL() string { return s.hooks.url() }

// LookUp reads a session as a game server does: the player does not count as
// seen. ok is false when there is none.
func (s *Stack) LookUp(ctx context.Context, playerID string) (snapshot wire.Snapshot, ok bool, err error) {
	s.mu.Lock()
	instances := s.instances["session"]
	s.mu.Unlock()
	for _, p := range instances {
		if snapshot, ok, err = LookUp(ctx, "http://"+p.addr, serviceToken, playerID); err == nil {
			break
		}
	}
	return snapshot, ok, err
}

// LookUp is Stack.LookUp at an instance of the session service.
func LookUp(ctx context.Context, origin, token, playerID string) (snapshot wire.Snapshot, ok bool, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, origin+"/internal/sessions/"+playerID, http.NoBody)
	if err != nil {
		return snapshot, false, fmt.Errorf("look-up: %w", err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	res, err := newClient().Do(r)
	if err != nil {
		return snapshot, false, fmt.Errorf("look-up: %w", err)
	}
	defer res.Body.Close()
	switch res.StatusCode {
	case http.StatusNotFound:
		return snapshot, false, nil
	case http.StatusOK:
		err = json.NewDecoder(res.Body).Decode(&snapshot)
		return snapshot, err == nil, err
	default:
		return snapshot, false, fmt.Errorf("look-up: %s", res.Status)
	}
}

// StartAll starts every instance that does not run, and waits until all are
// ready.
func (s *Stack) StartAll(ctx context.Context) error {
	for _, name := range Services() {
		for i := range s.options.Instances {
			if err := s.launch(ctx, name, i); err != nil {
				return err
			}
		}
	}
	for _, name := range Services() {
		for i := range s.options.Instances {
			if err := s.awaitReady(ctx, name, i); err != nil {
				return err
			}
		}
	}
	return nil
}

// StartOne starts one instance and waits until it is ready.
func (s *Stack) StartOne(ctx context.Context, name string, i int) error {
	if err := s.launch(ctx, name, i); err != nil {
		return err
	}
	return s.awaitReady(ctx, name, i)
}

func (s *Stack) launch(ctx context.Context, name string, i int) error {
	s.mu.Lock()
	p := s.instances[name][i]
	if p == nil {
		p = &program{name: name, path: filepath.Join(s.options.BinDir, name), dir: s.dir}
		s.instances[name][i] = p
	}
	s.mu.Unlock()
	if p.running() {
		return nil
	}
	if err := p.start(ctx, s.vars); err != nil {
		return err
	}
	s.route()
	return nil
}

func (s *Stack) awaitReady(ctx context.Context, name string, i int) error {
	s.mu.Lock()
	p := s.instances[name][i]
	s.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	err := await(ctx, func() error { return get(ctx, "http://"+p.addr+"/readyz") })
	if err != nil {
		return fmt.Errorf("%s %d is not ready: %w", name, i, err)
	}
	return nil
}

// route tells the load balancers where the instances are.
func (s *Stack) route() {
	s.mu.Lock()
	defer s.mu.Unlock()
	addrs := map[string][]string{}
	for name, all := range s.instances {
		for _, p := range all {
			if p != nil {
				addrs[name] = append(addrs[name], p.addr)
			}
		}
	}
	s.front.set(map[string][]string{
		"/api/auth/": addrs["auth"], "/.well-known/": addrs["auth"], "/api/session": addrs["session"],
		"/api/matchmaking/": addrs["matchmaking"],
	})
	s.hooks.set(map[string][]string{"/emqx/": addrs["emqx-hook"]})
}

// Kill kills one instance as kill -9 does. The load balancer does not know.
func (s *Stack) Kill(name string, i int) {
	s.mu.Lock()
	p := s.instances[name][i]
	s.mu.Unlock()
	p.kill()
}

// KillAll kills every instance of every service.
func (s *Stack) KillAll() {
	for _, name := range Services() {
		for i := range s.options.Instances {
			s.Kill(name, i)
		}
	}
}

// KillRedis kills Redis as kill -9 does; StartRedis brings it back with what
// its append-only file holds.
func (s *Stack) KillRedis() { s.redis.kill() }

// StartRedis starts Redis again on the same port.
func (s *Stack) StartRedis(ctx context.Context) error {
	if err := s.redis.start(ctx, nil); err != nil {
		return err
	}
	return await(ctx, func() error { return s.Redis.Ping(ctx).Err() })
}

// Logs returns what every process wrote since its last start.
func (s *Stack) Logs() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var b strings.Builder
	for _, name := range Services() {
		for i, p := range s.instances[name] {
			if p != nil {
				fmt.Fprintf(&b, "%s %d:\n%s\n", name, i, p.log())
			}
		}
	}
	return b.String()
}

// Close stops everything and removes what it left on disk.
func (s *Stack) Close() {
	for _, all := range s.instances {
		for _, p := range all {
			if p != nil {
				p.kill()
			}
		}
	}
	if s.Broker != nil {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		_ = s.Broker.Close(ctx)
		cancel()
	}
	if s.Redis != nil {
		_ = s.Redis.Close()
	}
	if s.redis != nil {
		s.redis.kill()
	}
	for _, b := range []*balancer{s.front, s.hooks} {
		if b != nil {
			b.close()
		}
	}
	_ = os.RemoveAll(s.dir)
}
