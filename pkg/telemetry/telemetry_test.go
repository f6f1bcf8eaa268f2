package telemetry_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/holdfast-games/holdfast/pkg/telemetry"
)

func counter(labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "holdfast_test_total", Help: "A test."}, labels)
}

func TestOnceSharesEqualMetrics(t *testing.T) {
	r := prometheus.NewRegistry()
	one, two := telemetry.Once(r, counter("a")), telemetry.Once(r, counter("a"))
	if one != two {
		t.Fatal("two collectors of one name and labels")
	}
	one.WithLabelValues("x").Inc()
	two.WithLabelValues("x").Inc()
	const want = "# HELP holdfast_test_total A test.\n# TYPE holdfast_test_total counter\nholdfast_test_total{a=\"x\"} 2\n"
	if err := testutil.GatherAndCompare(r, strings.NewReader(want)); err != nil {
		t.Error(err)
	}
}

func TestOnceRefusesAnotherMetricOfTheName(t *testing.T) {
	for name, other := range map[string]func(prometheus.Registerer){
		"labels": func(r prometheus.Registerer) { telemetry.Once(r, counter("b")) },
		"type": func(r prometheus.Registerer) {
			telemetry.Once(r, prometheus.NewCounter(prometheus.CounterOpts{Name: "holdfast_plain_total", Help: "A test."}))
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := prometheus.NewRegistry()
			telemetry.Once(r, counter("a"))
			telemetry.Once(r, prometheus.NewCounterVec(prometheus.CounterOpts{Name: "holdfast_plain_total", Help: "A test."}, nil))
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			other(r)
		})
	}
}

func TestRegistryDescribesTheProcess(t *testing.T) {
	families, err := telemetry.Registry().Gather()
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	for _, f := range families {
		found[f.GetName()] = true
	}
	for _, name := range []string{"go_goroutines", "process_cpu_seconds_total"} {
		if !found[name] {
			t.Errorf("no metric %s", name)
		}
	}
}

func TestLoggerKeepsTheLevel(t *testing.T) {
	for level, want := range map[string]string{
		"debug": "debug info warn error", "info": "info warn error", "warn": "warn error", "error": "error",
		"INFO": "info warn error", "": "info warn error", "loud": "info warn error",
	} {
		var out bytes.Buffer
		log := telemetry.Logger(&out, level)
		log.Debug("debug")
		log.Info("info")
		log.Warn("warn")
		log.Error("error")
		var got []string
		for line := range strings.Lines(out.String()) {
			_, rest, _ := strings.Cut(line, `"msg":"`)
			msg, _, _ := strings.Cut(rest, `"`)
			got = append(got, msg)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("level %q logs %v, want %s", level, got, want)
		}
	}
}
