package relay

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/holdfast-games/holdfast/pkg/clock"
	"github.com/holdfast-games/holdfast/pkg/mqttkit"
	"github.com/holdfast-games/holdfast/pkg/outbox"
	"github.com/holdfast-games/holdfast/pkg/session"
	"github.com/holdfast-games/holdfast/pkg/testkit"
	"github.com/holdfast-games/holdfast/pkg/testkit/redisserver"
)

var shared redisserver.Shared

func TestMain(m *testing.M) { testkit.Main(m, shared.Stop) }

// ear takes every message, or fails.
type ear struct {
	mu    sync.Mutex
	heard []string // topics
	err   error
	up    chan struct{} // closed = connected; nil = always
}

func (e *ear) Publish(_ context.Context, topic string, _ []byte, retain bool) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.err != nil {
		return e.err
	}
	if retain {
		topic = "retained: " + topic
	}
	e.heard = append(e.heard, topic)
	return nil
}

func (e *ear) Await(ctx context.Context) error {
	if e.up == nil {
		return nil
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-e.up:
		return nil
	}
}

func (e *ear) fail(err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.err = err
}

// take returns the topics heard since the last call.
func (e *ear) take() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	topics := e.heard
	e.heard = nil
	return topics
}

// book holds one session record, and counts how often it is read.
type book struct {
	record session.Record
	err    error
	reads  int
}

func (b *book) Get(context.Context, string) (session.Result, error) {
	b.reads++
	return session.Result{Record: b.record}, b.err
}

const now = 1_795_439_368_227

type bench struct {
	*Relay
	ear   *ear
	book  *book
	clock *clock.Fake
}

func newBench() bench {
	b := bench{ear: &ear{}, book: &book{record: session.Record{
		Player: "ann", SID: "life-1", V: now, Now: now, Presence: session.Connected,
	}}, clock: clock.NewFake(time.UnixMilli(now))}
	b.Relay = New(Config{
		Records: b.book, Publisher: b.ear, Clock: b.clock, Log: slog.New(slog.DiscardHandler), Registry: prometheus.NewRegistry(),
	})
	return b
}

func (b bench) skippedFor(reason string) float64 {
	return testutil.ToFloat64(b.metrics.skipped.WithLabelValues(reason))
}

func (b bench) tell(t *testing.T, e outbox.Event, want ...string) {
	t.Helper()
	if err := b.Handle(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	got := b.ear.take()
	if len(got) != len(want) {
		t.Fatalf("%s: told on %v, want %v", e.Type, got, want)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("%s: told on %v, want %v", e.Type, got, want)
		}
	}
}

const snapshots, matchmaking = "player/ann/session", "player/ann/matchmaking"

func TestSnapshotsAreCoalesced(t *testing.T) {
	b := newBench()
	at := func(kind string, v int64) outbox.Event {
		e := event(kind)
		e.V = v
		return e
	}
	b.tell(t, at(created, now-2), snapshots) // shows the record as it is now: version "now"
	b.tell(t, at(connected, now-1))
	b.tell(t, at(connected, now))
	if b.book.reads != 1 {
		t.Errorf("the record was read %d times", b.book.reads)
	}
	b.tell(t, at(announce, now), snapshots)
	b.tell(t, at(grace, now+1), snapshots)
	if n := b.skippedFor("coalesced"); n != 2 {
		t.Errorf("counted %v coalesced", n)
	}
	b.book.record.SID = "life-2"
	next := at(created, now)
	next.SID = "life-2"
	b.tell(t, next, snapshots) // another life is news, whatever its version
}

func TestAPushIsNeverCoalesced(t *testing.T) {
	b := newBench()
	e := event(place, "push", "queued", "body", "{}")
	b.tell(t, e, matchmaking, snapshots)
	b.tell(t, e, matchmaking)
}

func TestWhatDidNotArriveComesAgain(t *testing.T) {
	b := newBench()
	b.ear.fail(errors.New("no acknowledgement"))
	if err := b.Handle(t.Context(), event(created)); err == nil || errors.Is(err, outbox.ErrDrop) {
		t.Fatalf("a message that did not arrive: %v", err)
	}
	b.ear.fail(nil)
	b.tell(t, event(created), snapshots)
	b.book.err = errors.New("redis is away")
	if err := b.Handle(t.Context(), event(announce)); err == nil || errors.Is(err, outbox.ErrDrop) {
		t.Fatalf("a record that could not be read: %v", err)
	}
}

func TestNobodyIsToldOldNews(t *testing.T) {
	b := newBench()
	old := event(place, "push", "queued", "body", "{}")
	old.At = now - MaxAge.Milliseconds() - 1
	b.tell(t, old)
	old.At = now - MaxAge.Milliseconds()
	b.tell(t, old, matchmaking, snapshots)
	if n := b.skippedFor("stale"); n != 1 {
		t.Errorf("counted %v stale", n)
	}
}

// TestOurClockDoesNotDecide sets this machine's clock two minutes wrong: age
// is a matter of Redis's own time.
func TestOurClockDoesNotDecide(t *testing.T) {
	for _, wrong := range []time.Duration{2 * time.Minute, -2 * time.Minute} {
		b := newBench()
		b.clock.Advance(wrong)
		push := event("session.repeat", "push", "queued", "body", "{}")
		b.tell(t, push, matchmaking)
		b.tell(t, push, matchmaking)
		if b.book.reads != 1 {
			t.Errorf("Redis was asked for the time %d times", b.book.reads)
		}
		push.At = now - 2*MaxAge.Milliseconds()
		b.tell(t, push)
		b.clock.Advance(maxDrift + time.Second)
		b.book.record.Now = now + (maxDrift + time.Second).Milliseconds()
		push.At = now
		b.tell(t, push, matchmaking)
		if b.book.reads != 2 {
			t.Errorf("after a while Redis was asked for the time %d times", b.book.reads)
		}
	}
}

func TestNoSessionIsNoSnapshot(t *testing.T) {
	b := newBench()
	b.book.record = session.Record{Now: now}
	b.tell(t, event(grace))
	if n := b.skippedFor("gone"); n != 1 {
		t.Errorf("counted %v gone", n)
	}
}

func TestSilentEventsCostNothing(t *testing.T) {
	b := newBench()
	b.tell(t, event("session.seen"))
	b.tell(t, event("broker.kick"))
	if b.book.reads != 0 {
		t.Errorf("the record was read %d times", b.book.reads)
	}
}

func TestMemoryIsBounded(t *testing.T) {
	s := newShown()
	for i := range 3 * maxShown {
		s.remember(string(rune('a'+i%26))+time.Duration(i).String(), "life", 1)
	}
	if len(s.last) > maxShown {
		t.Errorf("it remembers %d players", len(s.last))
	}
}

// readers hands out readers that call the handler once and then wait.
type readers struct {
	started chan outbox.Handler
	ended   chan struct{}
}

type reader struct {
	*readers
	handle outbox.Handler
}

func (r reader) Run(ctx context.Context) error {
	r.started <- r.handle
	<-ctx.Done()
	r.ended <- struct{}{}
	return nil
}

// TestWithoutAConnectionNothingIsRead shows that an instance without a broker
// leaves the outbox to others: it begins to read when it is connected, and
// stops when a message finds no connection.
func TestWithoutAConnectionNothingIsRead(t *testing.T) {
	b := newBench()
	b.ear.up = make(chan struct{})
	r := &readers{started: make(chan outbox.Handler, 9), ended: make(chan struct{}, 9)}
	b.config.NewReader = func(h outbox.Handler) Reader { return reader{r, h} }
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- b.Run(ctx) }()
	select {
	case <-r.started:
		t.Fatal("it reads without a connection")
	case <-time.After(50 * time.Millisecond):
	}
	close(b.ear.up)
	handle := await(t, r.started, "it reads")
	b.ear.fail(errors.New("a hiccup"))
	if err := handle(ctx, event(created)); err == nil {
		t.Fatal("the failure was swallowed")
	}
	select {
	case <-r.ended:
		t.Fatal("it stopped reading because of a hiccup")
	case <-time.After(50 * time.Millisecond):
	}
	b.ear.fail(mqttkit.ErrNotConnected)
	if err := handle(ctx, event(created)); !errors.Is(err, mqttkit.ErrNotConnected) {
		t.Fatal(err)
	}
	await(t, r.ended, "it stops reading")
	await(t, r.started, "it reads again")
	stop()
	await(t, r.ended, "it stops for good")
	if err := await(t, done, "it ends"); err != nil {
		t.Error(err)
	}
}

// await receives, but not for ever.
func await[T any](t *testing.T, from <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(patience):
		t.Fatalf("after %s still waiting until %s", patience, what)
		panic("not reached")
	}
}
