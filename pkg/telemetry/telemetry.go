// Package telemetry makes the logger and the metrics registry of a process.
package telemetry

import (
	"io"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// Logger returns a logger that writes JSON lines. level is debug, info, warn
// or error; anything else means info.
func Logger(w io.Writer, level string) *slog.Logger {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		l = slog.LevelInfo
	}
	return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: l}))
}

// Registry returns a metrics registry with the facts of the Go runtime and
// the process.
func Registry() *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return r
}

// Once registers a collector, or returns the equal one that is registered
// already: services that share a process share their metrics.
func Once[C prometheus.Collector](r prometheus.Registerer, c C) C {
	if err := r.Register(c); err != nil {
		if e, ok := err.(prometheus.AlreadyRegisteredError); ok { //nolint:errorlint // Register returns it bare
			if existing, ok := e.ExistingCollector.(C); ok {
				return existing
			}
		}
		panic(err) // two metrics of one name with different labels: a programming error
	}
	return c
}
