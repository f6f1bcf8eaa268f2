package broker

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// newTestSender runs a sender without a broker.
func newTestSender(t *testing.T, h *hooks, change ...func(*Config)) *sender {
	t.Helper()
	cfg := Config{WebhookURL: h.server.URL + "/event", HookSecret: "s3cret", ResumeInterval: 5 * time.Millisecond}
	for _, f := range change {
		f(&cfg)
	}
	s := newSender(cfg.withDefaults(), newFaults())
	s.start()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience) //nolint:usetesting // the test's context is over in a cleanup
		defer cancel()
		if err := s.close(ctx); err != nil {
			t.Error(err)
		}
	})
	return s
}

func (s *sender) emitNamed(client string, connection uint64, name string) {
	s.emit(client, connection, []byte(fmt.Sprintf(`{"event":%q,"clientid":%q}`, name, client)))
}

func drain(t *testing.T, s *sender) Stats {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := s.flush(ctx); err != nil {
		t.Fatalf("flush: %v", err)
	}
	return s.counts()
}

func names(h *hooks) string {
	var all []string
	for _, r := range h.seen("/event") {
		all = append(all, r.str("event"))
	}
	return strings.Join(all, " ")
}

// failing answers the first n requests with the reply and the others with 204.
func failing(n int64, bad reply) func(request) reply {
	var count atomic.Int64
	return func(request) reply {
		if count.Add(1) <= n {
			return bad
		}
		return reply{status: 204, kind: "none"}
	}
}

func TestDeliveryByStatus(t *testing.T) {
	cases := []struct {
		reply    reply
		requests int
		want     Stats
	}{
		{reply{status: 200}, 1, Stats{Delivered: 1}},
		{reply{status: 204, kind: "none"}, 1, Stats{Delivered: 1}},
		{reply{status: 302}, 1, Stats{Refused: 1}},
		{reply{status: 400}, 1, Stats{Refused: 1}},
		{reply{status: 404}, 1, Stats{Refused: 1}},
		{reply{status: 500}, 1, Stats{Refused: 1}},
		{reply{status: 429}, 5, Stats{Delivered: 1}}, // 3 at once, then 2 of the next 3
		{reply{status: 503}, 5, Stats{Delivered: 1}},
		{reply{abort: true}, 5, Stats{Delivered: 1}},
	}
	for _, k := range cases {
		h := newHooks(t)
		h.on("/event", failing(int64(k.requests-1), k.reply))
		if k.requests == 1 {
			h.on("/event", func(request) reply { return k.reply })
		}
		s := newTestSender(t, h)
		s.emitNamed("c", 1, "e")
		got := drain(t, s)
		k.want.Requests = k.requests
		if got != k.want || len(h.seen("/event")) != k.requests {
			t.Errorf("%d: %+v, want %+v", k.reply.status, got, k.want)
		}
	}
}

func TestUndeliveredEventsExpire(t *testing.T) {
	h := newHooks(t)
	h.on("/event", func(request) reply { return reply{status: 503} })
	s := newTestSender(t, h, func(c *Config) { c.RequestTTL = 50 * time.Millisecond })
	s.emitNamed("c", 1, "e")
	if got := drain(t, s); got.Expired != 1 || got.Requests < 4 {
		t.Errorf("%+v", got)
	}
}

func TestHangingReceiverIsAskedOnce(t *testing.T) {
	h := newHooks(t)
	stuck := make(chan struct{})
	defer close(stuck)
	h.on("/event", func(request) reply { return reply{status: 204, kind: "none", until: stuck} })
	s := newTestSender(t, h, func(c *Config) { c.RequestTTL = 50 * time.Millisecond })
	s.emitNamed("c", 1, "e")
	if got := drain(t, s); got.Expired != 1 || got.Requests != 1 {
		t.Errorf("%+v", got)
	}
}

func TestFullQueueDropsTheOldest(t *testing.T) {
	h := newHooks(t)
	stuck := make(chan struct{})
	h.on("/event", func(request) reply { return reply{status: 204, kind: "none", until: stuck} })
	s := newTestSender(t, h, inOrder, func(c *Config) { c.MaxQueued = 2 })
	s.emitNamed("c", 1, "e0")
	h.await(t, "the first request", func() bool { return len(h.seen("/event")) == 1 })
	for _, name := range []string{"e1", "e2", "e3", "e4"} {
		s.emitNamed("c", 1, name)
	}
	close(stuck)
	if got := drain(t, s); got.Overflowed != 2 || names(h) != "e0 e3 e4" {
		t.Errorf("%+v, delivered %s", got, names(h))
	}
}

func TestBlockedQueueKeepsOrderWithOneWorkerAndWindowOne(t *testing.T) {
	h := newHooks(t)
	h.on("/event", failing(7, reply{status: 503}))
	s := newTestSender(t, h, inOrder)
	for i := range 5 {
		s.emitNamed("c", uint64(i), fmt.Sprint(i))
	}
	drain(t, s)
	var done []string
	for _, r := range h.seen("/event") {
		if r.answer == 204 {
			done = append(done, r.str("event"))
		}
	}
	if !slices.Equal(done, []string{"0", "1", "2", "3", "4"}) {
		t.Errorf("delivered %v", done)
	}
}

func TestQueuesDoNotWaitForEachOther(t *testing.T) {
	h := newHooks(t)
	stuck := make(chan struct{})
	h.on("/event", func(r request) reply {
		if r.str("event") == "first" {
			return reply{status: 204, kind: "none", until: stuck}
		}
		return reply{status: 204, kind: "none"}
	})
	s := newTestSender(t, h, func(c *Config) { c.Workers, c.Window = 2, 1 })
	s.emitNamed("c", 1, "first")
	s.emitNamed("c", 2, "second") // another connection: nothing holds it back
	h.await(t, "the second event", func() bool { return len(h.seen("/event")) == 2 })
	close(stuck)
	drain(t, s)
}

func TestFaultDropAndDuplicate(t *testing.T) {
	h := newHooks(t)
	s := newTestSender(t, h)
	s.faults.Drop(1)
	s.emitNamed("c", 1, "lost")
	s.faults.Reset()
	s.faults.Duplicate(1)
	s.emitNamed("c", 1, "e")
	if got := drain(t, s); got.Lost != 1 || got.Delivered != 2 || len(h.seen("/event")) != 2 {
		t.Errorf("%+v, delivered %s", got, names(h))
	}
}

func TestFaultsRepeatWithTheSameSeed(t *testing.T) {
	rolls := func() []fate {
		f := newFaults()
		f.Seed(42)
		f.Drop(0.5)
		f.Duplicate(0.5)
		f.Reorder(0.5, time.Second)
		f.Delay(time.Millisecond, time.Second)
		all := make([]fate, 50)
		for i := range all {
			all[i] = f.roll()
		}
		return all
	}
	first := rolls()
	if !slices.Equal(first, rolls()) {
		t.Error("two runs differ")
	}
	drops := 0
	for _, r := range first {
		if r.drop {
			drops++
		}
		if r.delay < time.Millisecond || r.delay >= time.Second {
			t.Errorf("delay %v", r.delay)
		}
	}
	if drops < 10 || drops > 40 {
		t.Errorf("%d of 50 dropped at 0.5", drops)
	}
}

func TestFaultDelay(t *testing.T) {
	h := newHooks(t)
	s := newTestSender(t, h)
	s.faults.Delay(30*time.Millisecond, 30*time.Millisecond)
	s.emitNamed("c", 1, "slow")
	s.faults.Reset()
	s.emitNamed("c", 1, "quick")
	drain(t, s)
	if names(h) != "quick slow" {
		t.Errorf("delivered %s", names(h))
	}
}

func TestFaultReorderSwapsNeighbours(t *testing.T) {
	h := newHooks(t)
	s := newTestSender(t, h, inOrder)
	s.faults.Reorder(1, time.Hour)
	s.emitNamed("other", 1, "x1")
	s.emitNamed("c", 1, "c1")
	s.emitNamed("c", 1, "c2")
	s.emitNamed("other", 1, "x2")
	drain(t, s)
	if got := names(h); strings.Index(got, "c2") > strings.Index(got, "c1") || strings.Index(got, "x2") > strings.Index(got, "x1") {
		t.Errorf("delivered %s", got)
	}
	s.faults.Reorder(1, 10*time.Millisecond)
	s.emitNamed("alone", 1, "held")
	s.faults.Reset()
	drain(t, s) // nothing overtakes it: it goes after the window
	if !strings.HasSuffix(names(h), "held") {
		t.Errorf("delivered %s", names(h))
	}
}

func TestForgetLosesEverything(t *testing.T) {
	h := newHooks(t)
	stuck := make(chan struct{})
	defer close(stuck)
	h.on("/event", func(r request) reply {
		if r.str("event") == "after" {
			return reply{status: 204, kind: "none"}
		}
		return reply{status: 204, kind: "none", until: stuck}
	})
	s := newTestSender(t, h, inOrder)
	s.emitNamed("c", 1, "in flight")
	h.await(t, "the first request", func() bool { return len(h.seen("/event")) == 1 })
	s.emitNamed("c", 1, "queued")
	s.faults.Delay(time.Hour, time.Hour)
	s.emitNamed("c", 1, "delayed")
	s.faults.Reset()
	s.forget()
	s.emitNamed("c", 1, "after")
	if got := drain(t, s); got.Lost != 3 || got.Delivered != 1 {
		t.Errorf("%+v", got)
	}
}

func TestCloseOffersWhatIsLeftOnce(t *testing.T) {
	h := newHooks(t)
	h.on("/event", func(r request) reply {
		if r.str("event") == "bad" {
			return reply{status: 503}
		}
		return reply{status: 204, kind: "none"}
	})
	s := newTestSender(t, h, inOrder, func(c *Config) { c.ResumeInterval = time.Hour })
	s.emitNamed("c", 1, "bad")
	h.await(t, "the first tries", func() bool { return len(h.seen("/event")) == 3 })
	s.emitNamed("c", 1, "good")
	s.faults.Delay(time.Hour, time.Hour)
	s.emitNamed("c", 1, "late")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := s.close(ctx); err != nil {
		t.Fatal(err)
	}
	if got := s.counts(); got.Delivered != 2 || got.Lost != 1 {
		t.Errorf("%+v, requests %s", got, names(h))
	}
}
