// Package sweep makes happen what is due. Any number of instances may sweep:
// the store decides, once, who is due.
package sweep

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/holdfast-games/holdfast/pkg/session"
	"github.com/holdfast-games/holdfast/pkg/telemetry"
)

// Sweeper sweeps all shards at an interval.
type Sweeper struct {
	store    session.Store
	shards   []int
	interval time.Duration
	log      *slog.Logger
	done     *prometheus.CounterVec
	amnesty  prometheus.Counter
	last     prometheus.Gauge
}

// New returns a sweeper for the shards given.
func New(store session.Store, shards []int, interval time.Duration, log *slog.Logger, r prometheus.Registerer) *Sweeper {
	return &Sweeper{
		store: store, shards: shards, interval: interval, log: log,
		done: telemetry.Once(r, prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "holdfast_session_due_total", Help: "What the sweep did for players who were due.",
		}, []string{"outcome"})),
		amnesty: telemetry.Once(r, prometheus.NewCounter(prometheus.CounterOpts{
			Name: "holdfast_session_amnesty_seconds_total", Help: "Time given back after outages of ours, summed over shards.",
		})),
		last: telemetry.Once(r, prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "holdfast_session_last_sweep_timestamp_seconds", Help: "When the last complete sweep ended.",
		})),
	}
}

// Run sweeps until ctx ends, with jitter so that instances spread out.
func (s *Sweeper) Run(ctx context.Context) error {
	for {
		if err := s.Pass(ctx); err != nil && ctx.Err() == nil {
			s.log.Warn("sweep", "error", err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(s.interval/2 + rand.N(s.interval)):
		}
	}
}

// Pass sweeps every shard once.
func (s *Sweeper) Pass(ctx context.Context) error {
	passes, err := s.store.Sweep(ctx, s.shards)
	if err != nil {
		return err
	}
	var due []string
	var failed error
	var given int64
	for _, p := range passes {
		if p.Err != nil {
			failed = p.Err
			continue
		}
		given = max(given, p.GivenMS)
		s.amnesty.Add(float64(p.GivenMS) / 1000)
		due = append(due, p.Members...)
	}
	if given > 0 {
		s.log.Warn("somebody whom deadlines depend on was away, the time is given back", "ms", given)
	}
	if len(due) > 0 {
		results, err := s.store.Due(ctx, due)
		if err != nil {
			return err
		}
		for _, r := range results {
			s.done.WithLabelValues(string(r.Outcome)).Inc()
		}
	}
	if failed == nil {
		s.last.SetToCurrentTime()
	}
	return failed
}
