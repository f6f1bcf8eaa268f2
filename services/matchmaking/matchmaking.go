// Package matchmaking lets players queue, and makes matches of those who
// wait. Every instance serves, matches and sweeps; none remembers anything.
package matchmaking

import (
	"context"
	"fmt"
	"os"

	"github.com/holdfast-games/holdfast/pkg/clock"
	"github.com/holdfast-games/holdfast/pkg/config"
	"github.com/holdfast-games/holdfast/pkg/httpkit"
	"github.com/holdfast-games/holdfast/pkg/id"
	"github.com/holdfast-games/holdfast/pkg/outbox"
	"github.com/holdfast-games/holdfast/pkg/platform"
	"github.com/holdfast-games/holdfast/pkg/service"
	"github.com/holdfast-games/holdfast/services/matchmaking/internal/api"
	"github.com/holdfast-games/holdfast/services/matchmaking/internal/desk"
	"github.com/holdfast-games/holdfast/services/matchmaking/internal/matcher"
	"github.com/holdfast-games/holdfast/services/matchmaking/internal/queue"
	"github.com/holdfast-games/holdfast/services/matchmaking/internal/redisstore"
	"github.com/holdfast-games/holdfast/services/matchmaking/internal/rules"
	"github.com/holdfast-games/holdfast/services/matchmaking/internal/steward"
)

// Config are the settings of the service.
type Config struct {
	Addr       string `env:"ADDR" envDefault:"127.0.0.1:8104" doc:"where to listen"`
	QueuesFile string `env:"QUEUES_FILE" doc:"YAML file with the rules of the queues; without it there are casual, ranked and duel"`
	platform.Config
}

// eventsAtOnce is how many events of different players are handled at once.
const eventsAtOnce = 64

// New wires the service.
func New(ctx context.Context, env service.Env) (*service.Service, error) {
	c, err := config.Parse[Config](env.Vars)
	if err != nil {
		return nil, err
	}
	queues, err := readRules(c.QueuesFile)
	if err != nil {
		return nil, err
	}
	p, err := platform.Open(ctx, c.Config, env)
	if err != nil {
		return nil, err
	}
	svc, err := wire(p, c, queues, env)
	if err != nil {
		_ = p.Close()
		return nil, err
	}
	return svc, nil
}

func wire(p *platform.Platform, c Config, queues rules.Set, env service.Env) (*service.Service, error) {
	follow, err := p.Blocking()
	if err != nil {
		return nil, err
	}
	events, err := p.Blocking()
	if err != nil {
		return nil, err
	}
	store, err := redisstore.New(p.Redis, follow, p.Shards)
	if err != nil {
		return nil, err
	}
	st := &steward.Steward{Sessions: p.Store, Store: store, Rules: queues, Settings: c.Session, Log: env.Log}
	reader := outbox.NewReader(events, p.Shards, outbox.Matchmaking, eventsAtOnce, env.Log,
		func(ctx context.Context, e outbox.Event) error {
			return st.Handle(ctx, steward.EventFrom(e.Type, e.Player, e.SID, e.V, e.At, e.Fields))
		})

	e := httpkit.New("matchmaking", env.Log, env.Registry)
	api.Register(e, api.Server{Verifier: p.Verifier, Desk: &desk.Desk{
		Keeper: p.Keeper, Store: store, Rules: queues, Rater: queue.StartRating, Shards: p.Shards, Settings: c.Session,
	}})
	loops := []service.Loop{{Name: "events", Run: reader.Run}, {Name: "sweep", Run: st.Run}}
	return &service.Service{
		Name: "matchmaking", Addr: c.Addr, Public: e, Ready: p.Ready, Close: p.Close,
		Loops: append(loops, matchers(p, store, queues, env)...),
	}, nil
}

// matchers makes one loop a queue.
func matchers(p *platform.Platform, store *redisstore.Store, queues rules.Set, env service.Env) []service.Loop {
	instance := id.New()
	observe := newMetrics(env.Registry).observe
	var loops []service.Loop
	for _, name := range queues.Names() {
		q, _ := queues.Queue(name)
		n := p.Shards.Of(name)
		m := &matcher.Matcher{
			Store: store, Rules: q, Instance: instance, NewMatch: func() string { return id.NewOn(n) },
			Clock: clock.System{}, Log: env.Log, Observe: observe,
		}
		loops = append(loops, service.Loop{Name: "match " + name, Run: m.Run})
	}
	return loops
}

func readRules(path string) (rules.Set, error) {
	if path == "" {
		return rules.Default()
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return rules.Set{}, fmt.Errorf("HOLDFAST_QUEUES_FILE: %w", err)
	}
	set, err := rules.Parse(text)
	if err != nil {
		return rules.Set{}, fmt.Errorf("HOLDFAST_QUEUES_FILE %s: %w", path, err)
	}
	return set, nil
}
