package mqttkit_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/holdfast-games/holdfast/pkg/mqttkit"
	"github.com/holdfast-games/holdfast/pkg/secret"
	"github.com/holdfast-games/holdfast/pkg/testkit"
	"github.com/holdfast-games/holdfast/pkg/testkit/faultproxy"
)

const (
	// patience is how long tests wait for what takes no time.
	patience = 20 * time.Second
	// atOnce is more than anything that does not wait can take.
	atOnce = 2 * time.Second
)

func TestMain(m *testing.M) { testkit.Main(m) }

// connect returns a publisher that lives as long as the test.
func connect(t *testing.T, addr string, log *slog.Logger) *mqttkit.Publisher {
	t.Helper()
	p, err := mqttkit.Connect(t.Context(), mqttkit.Config{URL: "mqtt://" + addr, Username: username, Password: password}, log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patience)
		defer cancel()
		if err := p.Close(ctx); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return p
}

func await(t *testing.T, p *mqttkit.Publisher) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := p.Await(ctx); err != nil {
		t.Fatalf("no connection: %v", err)
	}
}

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

// received returns the next message the broker took.
func (b *broker) received(t *testing.T) packets.Packet {
	t.Helper()
	select {
	case p := <-b.published:
		return p
	case <-time.After(patience):
		t.Fatal("nothing was published")
		return packets.Packet{}
	}
}

// nothing fails the test when the broker took a message.
func (b *broker) nothing(t *testing.T) {
	t.Helper()
	select {
	case p := <-b.published:
		t.Errorf("the broker took %s", p.TopicName)
	default:
	}
}

func TestPublishReachesTheBroker(t *testing.T) {
	b := startBroker(t, nil)
	p := connect(t, b.addr(), discard())
	await(t, p)
	for _, retain := range []bool{false, true} {
		if err := p.Publish(t.Context(), "player/p1/session", []byte(`{"v":1}`), retain); err != nil {
			t.Fatal(err)
		}
		select { // Publish has returned, so the broker has it
		case got := <-b.published:
			if got.TopicName != "player/p1/session" || string(got.Payload) != `{"v":1}` ||
				got.FixedHeader.Qos != 1 || got.FixedHeader.Retain != retain {
				t.Errorf("retain %v: the broker took %+v", retain, got)
			}
		default:
			t.Fatal("Publish returned before the broker took the message")
		}
	}
}

func TestPublishWaitsForTheAcknowledgement(t *testing.T) {
	b := startBroker(t, nil)
	proxy := faultproxy.Start(t, b.addr())
	p := connect(t, proxy.Addr(), discard())
	await(t, p)
	proxy.Stall()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := p.Publish(ctx, "a", nil, false); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("without an acknowledgement: %v", err)
	}
	b.nothing(t)
	proxy.Heal()
	if got := b.received(t).TopicName; got != "a" {
		t.Errorf("what was held back is %q", got)
	}
	if err := p.Publish(t.Context(), "b", nil, false); err != nil {
		t.Errorf("after the stall: %v", err)
	}
}

func TestRefusedMessageIsAnError(t *testing.T) {
	b := startBroker(t, func(topic string) error {
		if topic == "refused" {
			return packets.ErrNotAuthorized
		}
		return nil
	})
	p := connect(t, b.addr(), discard())
	await(t, p)
	if err := p.Publish(t.Context(), "refused", nil, false); err == nil || errors.Is(err, mqttkit.ErrNotConnected) {
		t.Errorf("a refused message: %v", err)
	}
	if err := p.Publish(t.Context(), "taken", nil, false); err != nil {
		t.Errorf("the message after it: %v", err)
	}
}

func TestConcurrentPublishes(t *testing.T) {
	b := startBroker(t, nil)
	p := connect(t, b.addr(), discard())
	await(t, p)
	const n = 200
	var publishing sync.WaitGroup
	for i := range n {
		publishing.Go(func() {
			if err := p.Publish(t.Context(), fmt.Sprint("t/", i), nil, false); err != nil {
				t.Error(err)
			}
		})
	}
	publishing.Wait()
	topics := map[string]bool{}
	for range n {
		topics[b.received(t).TopicName] = true
	}
	if len(topics) != n {
		t.Errorf("%d different messages of %d", len(topics), n)
	}
}

func TestNotConnectedIsToldAtOnceAndMends(t *testing.T) {
	b := startBroker(t, nil)
	proxy := faultproxy.Start(t, b.addr())
	proxy.Cut()
	p := connect(t, proxy.Addr(), discard()) // the broker may come later
	notConnected(t, p)
	for range 2 {
		proxy.Heal()
		await(t, p)
		if err := p.Publish(t.Context(), "up", nil, false); err != nil {
			t.Fatal(err)
		}
		proxy.Cut()
		notConnected(t, p)
	}
}

// notConnected waits until the loss of the connection is noticed, and fails
// the test when that is told late.
func notConnected(t *testing.T, p *mqttkit.Publisher) {
	t.Helper()
	testkit.Eventually(t, patience, func() error {
		asked := time.Now()
		err := p.Publish(t.Context(), "down", nil, false)
		if took := time.Since(asked); errors.Is(err, mqttkit.ErrNotConnected) && took > atOnce {
			t.Errorf("told after %s", took)
		}
		if !errors.Is(err, mqttkit.ErrNotConnected) {
			return fmt.Errorf("publish said %w", err)
		}
		return nil
	}, "ErrNotConnected")
}

func TestPublishInFlightFailsWithTheConnection(t *testing.T) {
	arrived, release := make(chan struct{}), make(chan struct{})
	b := startBroker(t, func(topic string) error {
		if topic == "lost" {
			close(arrived)
			<-release
		}
		return nil
	})
	defer close(release)
	proxy := faultproxy.Start(t, b.addr())
	p := connect(t, proxy.Addr(), discard())
	await(t, p)
	failed := make(chan error, 1)
	go func() { failed <- p.Publish(t.Context(), "lost", nil, false) }()
	<-arrived
	cut := time.Now()
	proxy.Cut()
	select {
	case err := <-failed:
		if took := time.Since(cut); !errors.Is(err, mqttkit.ErrNotConnected) || took > atOnce {
			t.Errorf("after %s: %v, want ErrNotConnected at once", took, err)
		}
	case <-time.After(patience):
		t.Fatal("Publish waits for an acknowledgement that cannot come")
	}
}

func TestWrongPasswordKeepsTryingAndTellsNobody(t *testing.T) {
	b := startBroker(t, nil)
	var log syncBuffer
	p, err := mqttkit.Connect(t.Context(), mqttkit.Config{
		URL: "mqtt://" + b.addr(), Username: username, Password: secret.Secret("wr0ng-" + password),
	}, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = p.Close(t.Context()) }()
	testkit.Eventually(t, patience, func() bool { return strings.Count(log.String(), "mqtt connect") >= 2 }, "a second attempt")
	if err := p.Publish(t.Context(), "a", nil, false); !errors.Is(err, mqttkit.ErrNotConnected) {
		t.Errorf("publish said %v", err)
	}
	if strings.Contains(log.String(), password) {
		t.Errorf("the password was logged:\n%s", log.String())
	}
}

func TestInstancesDoNotTakeOverEachOther(t *testing.T) {
	b := startBroker(t, nil)
	one, two := connect(t, b.addr(), discard()), connect(t, b.addr(), discard())
	await(t, one)
	await(t, two)
	for range 3 {
		for _, p := range []*mqttkit.Publisher{one, two} {
			if err := p.Publish(t.Context(), "a", nil, false); err != nil {
				t.Fatal(err)
			}
		}
	}
	if got := b.clients(); len(got) != 2 {
		t.Errorf("connected: %v, want two", got)
	}
}

func TestClose(t *testing.T) {
	b := startBroker(t, nil)
	p := connect(t, b.addr(), discard())
	await(t, p)
	for range 2 {
		if err := p.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	testkit.Eventually(t, patience, func() bool { return len(b.clients()) == 0 }, "the broker to see it go")
	if err := p.Publish(t.Context(), "a", nil, false); !errors.Is(err, mqttkit.ErrNotConnected) {
		t.Errorf("publish after close: %v", err)
	}
}

func TestCloseWithoutABroker(t *testing.T) {
	proxy := faultproxy.Start(t, "127.0.0.1:1")
	proxy.Cut()
	p := connect(t, proxy.Addr(), discard())
	if err := p.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if err := p.Await(t.Context()); err == nil {
		t.Error("await after close: no error")
	}
}

func TestAwaitEndsWithItsContext(t *testing.T) {
	proxy := faultproxy.Start(t, "127.0.0.1:1")
	proxy.Cut()
	p := connect(t, proxy.Addr(), discard())
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := p.Await(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("await without a broker: %v", err)
	}
}

func TestConnectionEndsWithItsContext(t *testing.T) {
	b := startBroker(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	p, err := mqttkit.Connect(ctx, mqttkit.Config{URL: "mqtt://" + b.addr(), Username: username, Password: password}, discard())
	if err != nil {
		t.Fatal(err)
	}
	await(t, p)
	cancel()
	testkit.Eventually(t, patience, func() bool { return len(b.clients()) == 0 }, "the broker to see it go")
	if err := p.Close(t.Context()); err != nil {
		t.Errorf("close after the end: %v", err)
	}
}

func TestURLsThatCannotWork(t *testing.T) {
	for _, url := range []string{"", "127.0.0.1:1883", "mqtt://", "mqtt://user:" + password + "@%zz:1883", "/path"} {
		p, err := mqttkit.Connect(t.Context(), mqttkit.Config{URL: url}, discard())
		if err == nil {
			_ = p.Close(t.Context())
			t.Errorf("%q was accepted", url)
			continue
		}
		if strings.Contains(err.Error(), password) {
			t.Errorf("the error holds a secret: %v", err)
		}
	}
}

// syncBuffer is a buffer to log into.
type syncBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
