// Package session serves sessions to their players, looks them up and ends
// them for game servers, and sweeps what is due.
package session

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/holdfast-games/holdfast/pkg/config"
	"github.com/holdfast-games/holdfast/pkg/httpkit"
	"github.com/holdfast-games/holdfast/pkg/outbox"
	"github.com/holdfast-games/holdfast/pkg/platform"
	"github.com/holdfast-games/holdfast/pkg/secret"
	"github.com/holdfast-games/holdfast/pkg/service"
	"github.com/holdfast-games/holdfast/pkg/telemetry"
	"github.com/holdfast-games/holdfast/services/session/internal/api"
	"github.com/holdfast-games/holdfast/services/session/internal/sweep"
	"github.com/holdfast-games/holdfast/services/session/internal/watch"
)

// Config are the settings of the service.
type Config struct {
	Addr          string        `env:"ADDR" envDefault:"127.0.0.1:8102" doc:"where to listen"`
	ServiceToken  secret.Secret `env:"SERVICE_TOKEN" doc:"what game servers and other back ends present on /internal; without it they are refused"`
	SweepInterval time.Duration `env:"SWEEP_INTERVAL" envDefault:"500ms" doc:"how often to look for what is due"`
	platform.Config
}

// New wires the service.
func New(ctx context.Context, env service.Env) (*service.Service, error) {
	c, err := config.Parse[Config](env.Vars)
	if err != nil {
		return nil, err
	}
	if c.SweepInterval <= 0 {
		return nil, fmt.Errorf("HOLDFAST_SWEEP_INTERVAL is %s, which is no interval", c.SweepInterval)
	}
	p, err := platform.Open(ctx, c.Config, env)
	if err != nil {
		return nil, err
	}
	tail, err := p.Blocking()
	if err != nil {
		return nil, errors.Join(err, p.Close())
	}
	changes := watch.New(func(ctx context.Context, seen func(outbox.Event)) error {
		return outbox.Tail(ctx, tail, p.Shards, env.Log, seen)
	})
	telemetry.Once(env.Registry, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "holdfast_session_polls_waiting", Help: "Long polls that wait for a change.",
	}, func() float64 { return float64(changes.Waiting()) }))
	sweeper := sweep.New(p.Store, p.Shards.All(), c.SweepInterval, env.Log, env.Registry)

	e := httpkit.New("session", env.Log, env.Registry)
	api.Register(e, api.Server{
		Keeper: p.Keeper, Verifier: p.Verifier, Changes: changes, Drain: env.Drain, ServiceToken: c.ServiceToken,
	})
	return &service.Service{
		Name: "session", Addr: c.Addr, Public: e, Internal: e, Ready: p.Ready, Close: p.Close,
		Loops: []service.Loop{{Name: "watch", Run: changes.Run}, {Name: "sweep", Run: sweeper.Run}},
	}, nil
}
