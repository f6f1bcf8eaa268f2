package relay

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/holdfast-games/holdfast/pkg/telemetry"
)

type metrics struct {
	published *prometheus.CounterVec
	skipped   *prometheus.CounterVec
	delay     prometheus.Histogram
}

func newMetrics(r prometheus.Registerer) metrics {
	return metrics{
		published: telemetry.Once(r, prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "holdfast_relay_published_total", Help: "Messages that the broker has taken.",
		}, []string{"message"})),
		skipped: telemetry.Once(r, prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "holdfast_relay_skipped_total",
			Help: "Events without a message: stale (older than a minute), coalesced (a newer snapshot went out), gone (no session).",
		}, []string{"reason"})),
		delay: telemetry.Once(r, prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "holdfast_relay_delay_seconds", Help: "From the change in Redis to the acknowledgement of the broker.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 5, 15, 60},
		})),
	}
}
