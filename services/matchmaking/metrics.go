package matchmaking

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/holdfast-games/holdfast/pkg/telemetry"
	"github.com/holdfast-games/holdfast/services/matchmaking/internal/matcher"
)

// metrics count what the matchers of this process do.
type metrics struct {
	pool      *prometheus.GaugeVec
	committed *prometheus.CounterVec
	refused   *prometheus.CounterVec
	seconds   *prometheus.HistogramVec
}

func newMetrics(registry prometheus.Registerer) *metrics {
	return &metrics{
		pool: telemetry.Once(registry, prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "holdfast_queue_tickets", Help: "Tickets in the queue when it was last matched here.",
		}, []string{"queue"})),
		committed: telemetry.Once(registry, prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "holdfast_matches_committed_total", Help: "Matches committed.",
		}, []string{"queue"})),
		refused: telemetry.Once(registry, prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "holdfast_matches_refused_total", Help: "Planned matches that the store refused.",
		}, []string{"queue"})),
		seconds: telemetry.Once(registry, prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "holdfast_matcher_plan_seconds", Help: "Time to plan once; no plan for long means no matcher.",
			Buckets: []float64{.0001, .001, .005, .01, .025, .05, .1, .25, .5, 1},
		}, []string{"queue"})),
	}
}

func (m *metrics) observe(t matcher.Tick) {
	m.pool.WithLabelValues(t.Queue).Set(float64(t.Pool))
	m.committed.WithLabelValues(t.Queue).Add(float64(t.Committed))
	m.refused.WithLabelValues(t.Queue).Add(float64(t.Planned - t.Committed))
	m.seconds.WithLabelValues(t.Queue).Observe(t.Took.Seconds())
}
