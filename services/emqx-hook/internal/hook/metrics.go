package hook

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/holdfast-games/holdfast/pkg/telemetry"
)

// The calls, as labels of metrics.
const (
	callAuth    = "auth"
	callAuthz   = "authz"
	callWebhook = "webhook"
)

// What happened to an event, as a label.
const (
	applied = "applied" // it went to the session
	foreign = "foreign" // of a client that is no player of ours
	ignored = "ignored" // understood, and nothing to do
)

type metrics struct {
	decisions *prometheus.CounterVec
	events    *prometheus.CounterVec
	failures  *prometheus.CounterVec
}

func newMetrics(r prometheus.Registerer) metrics {
	return metrics{
		decisions: telemetry.Once(r, prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "holdfast_hook_decisions_total", Help: "What the broker was told: allow, deny or superuser.",
		}, []string{"call", "result"})),
		events: telemetry.Once(r, prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "holdfast_hook_events_total", Help: "Events of the broker and what happened to them.",
		}, []string{"event", "result"})),
		failures: telemetry.Once(r, prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "holdfast_hook_failures_total", Help: "Calls that failed through our fault; a login or access was denied all the same.",
		}, []string{"call"})),
	}
}
