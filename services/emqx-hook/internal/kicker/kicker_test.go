package kicker

import (
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/holdfast-games/holdfast/pkg/clock"
	"github.com/holdfast-games/holdfast/pkg/outbox"
)

const now = 1_795_439_368_227

func kick(epoch int64) outbox.Event {
	connection := strconv.FormatInt(epoch, 10) + "/1795439368227/127.0.0.1:47244"
	return outbox.Event{ID: "1-0", Type: "broker.kick", Player: "ann", At: now, Fields: map[string]string{"connection": connection}}
}

func endedBefore(epoch int64) outbox.Event {
	return outbox.Event{
		ID: "1-0", Type: "session.ended", Player: "ann", At: now,
		Fields: map[string]string{"reason": "banned", "before": strconv.FormatInt(epoch, 10), "match:": "m1"},
	}
}

type bench struct {
	*Kicker
	rest  *rest
	clock *clock.Fake
}

func newBench(t *testing.T) bench {
	t.Helper()
	b := bench{rest: newREST(t), clock: clock.NewFake(time.UnixMilli(now))}
	b.Kicker = New(Config{
		Broker: b.rest.api(t), Clock: b.clock, Log: slog.New(slog.DiscardHandler), Registry: prometheus.NewRegistry(),
	})
	return b
}

func (b bench) count(result string) float64 {
	return testutil.ToFloat64(b.kicks.WithLabelValues(result))
}

const (
	get    = "GET /api/v5/clients/ann"
	remove = "DELETE /api/v5/clients/ann"
)

func TestWhoIsKicked(t *testing.T) {
	const epoch = 100
	for name, c := range map[string]struct {
		event  outbox.Event
		client int64 // its epoch at the broker; -1 = it is not there
		calls  []string
		result string
	}{
		"that very connection":          {kick(epoch), epoch, []string{get, remove}, kicked},
		"a newer one of that client":    {kick(epoch), epoch + 1, []string{get}, newer},
		"an older one of that client":   {kick(epoch), epoch - 1, []string{get}, newer},
		"a client of somebody else":     {kick(epoch), 0, []string{get}, newer},
		"a connection that has gone":    {kick(epoch), -1, []string{get, get, get}, gone},
		"an old connection of a banned": {endedBefore(epoch), epoch - 1, []string{get, remove}, kicked},
		"the last one before the ban":   {endedBefore(epoch), epoch, []string{get, remove}, kicked},
		"a login since the ban":         {endedBefore(epoch), epoch + 1, []string{get}, newer},
		"an ended session, no client":   {endedBefore(epoch), -1, []string{get}, gone},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			if c.client >= 0 {
				b.rest.epochs["ann"] = c.client
			}
			if err := b.Handle(t.Context(), c.event); err != nil {
				t.Fatal(err)
			}
			if calls := b.rest.take(); !slices.Equal(calls, c.calls) {
				t.Errorf("calls %v, want %v", calls, c.calls)
			}
			if b.rest.has("ann") != (c.client >= 0 && c.result != kicked) {
				t.Errorf("the client is there: %v", b.rest.has("ann"))
			}
			if n := b.count(c.result); n != 1 {
				t.Errorf("counted %v as %s", n, c.result)
			}
		})
	}
}

// TestAConnectionThatIsNotListedYet: EMQX reports a connection before it lists
// it, and a banned player must not slip through that gap.
func TestAConnectionThatIsNotListedYet(t *testing.T) {
	b := newBench(t)
	b.rest.epochs["ann"], b.rest.hidden = 100, 2
	if err := b.Handle(t.Context(), kick(100)); err != nil || b.rest.has("ann") {
		t.Errorf("still there: %v, %v", b.rest.has("ann"), err)
	}
}

func TestAwayBrokerIsTriedForAMinute(t *testing.T) {
	b := newBench(t)
	b.rest.epochs["ann"] = 100
	b.rest.fault = func(w http.ResponseWriter) bool { w.WriteHeader(http.StatusServiceUnavailable); return true }
	for range 3 {
		if err := b.Handle(t.Context(), kick(100)); err == nil || errors.Is(err, outbox.ErrDrop) {
			t.Fatalf("a broker that is away: %v", err)
		}
		b.clock.Advance(20 * time.Second)
	}
	b.clock.Advance(time.Millisecond)
	if err := b.Handle(t.Context(), kick(100)); !errors.Is(err, outbox.ErrDrop) {
		t.Fatalf("after a minute: %v", err)
	}
	if n := b.count(dropped); n != 1 {
		t.Errorf("counted %v dropped", n)
	}
	b.rest.fault = nil
	if err := b.Handle(t.Context(), kick(100)); err != nil || b.rest.has("ann") {
		t.Errorf("an old event that can be done at once was not: %v", err)
	}
}

func TestARefusalIsNotRepeated(t *testing.T) {
	b := newBench(t)
	b.rest.epochs["ann"] = 100
	api, err := NewEMQX(b.rest.url, "the-key", "wrong")
	if err != nil {
		t.Fatal(err)
	}
	b.config.Broker = api
	if err := b.Handle(t.Context(), endedBefore(100)); !errors.Is(err, outbox.ErrDrop) {
		t.Errorf("with a wrong key: %v", err)
	}
}

func TestWithoutAnInterface(t *testing.T) {
	b := newBench(t)
	b.config.Broker = nil
	for _, e := range []outbox.Event{kick(5), endedBefore(5)} {
		if err := b.Handle(t.Context(), e); err != nil {
			t.Error(err)
		}
	}
	if n := b.count(disabled); n != 2 {
		t.Errorf("counted %v", n)
	}
}

func TestOtherEventsAreNoneOfItsBusiness(t *testing.T) {
	b := newBench(t)
	for _, e := range []outbox.Event{
		{Type: "session.grace", Player: "ann"}, {Type: "session.ended", Player: ""}, {Type: "broker.kick", Player: "a/b"},
	} {
		if err := b.Handle(t.Context(), e); err != nil {
			t.Errorf("%+v: %v", e, err)
		}
	}
	for _, e := range []outbox.Event{
		{Type: "session.ended", Player: "ann"},
		{Type: "broker.kick", Player: "ann"},
		{Type: "broker.kick", Player: "ann", Fields: map[string]string{"connection": "x"}},
		{Type: "session.ended", Player: "ann", Fields: map[string]string{"before": "-1"}},
	} {
		if err := b.Handle(t.Context(), e); !errors.Is(err, outbox.ErrDrop) {
			t.Errorf("%+v: %v", e, err)
		}
	}
	if calls := b.rest.take(); len(calls) != 0 {
		t.Errorf("calls %v", calls)
	}
}
