// Package brokertest is an MQTT broker for tests that remembers what was
// published, and can be killed and started again.
package brokertest

import (
	"fmt"
	"log/slog"
	"sync"
	"testing"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/listeners"
	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/holdfast-games/holdfast/pkg/testkit"
)

// message is one that the broker has taken.
type message struct{ topic, payload string }

// Broker lets everybody in, and remembers what it took, over restarts too.
type Broker struct {
	// Addr is where it listens, "127.0.0.1:port", whenever it runs.
	Addr string

	mu     sync.Mutex
	server *mqtt.Server
	taken  []message
}

// Start returns a running broker; it ends with the test.
func Start(tb testing.TB) *Broker {
	tb.Helper()
	b := &Broker{Addr: fmt.Sprintf("127.0.0.1:%d", testkit.FreePort(tb))}
	b.Restart(tb)
	tb.Cleanup(func() { b.Kill(tb) })
	return b
}

// Restart starts a broker that was killed, with nothing but its memory of what
// it took.
func (b *Broker) Restart(tb testing.TB) {
	tb.Helper()
	server := mqtt.New(&mqtt.Options{Logger: slog.New(slog.DiscardHandler)})
	if err := server.AddHook(&recorder{broker: b}, nil); err != nil {
		tb.Fatal(err)
	}
	if err := server.AddListener(listeners.NewTCP(listeners.Config{ID: "tcp", Address: b.Addr})); err != nil {
		tb.Fatal(err)
	}
	if err := server.Serve(); err != nil {
		tb.Fatal(err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.server = server
}

// Kill stops the broker: every connection ends, no session survives. Killing
// it twice is safe.
func (b *Broker) Kill(tb testing.TB) {
	tb.Helper()
	b.mu.Lock()
	server := b.server
	b.server = nil
	b.mu.Unlock()
	if server != nil {
		if err := server.Close(); err != nil {
			tb.Fatal(err)
		}
	}
}

// Messages returns the payloads taken on a topic with QoS 1, in order.
func (b *Broker) Messages(topic string) []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var payloads []string
	for _, d := range b.taken {
		if d.topic == topic {
			payloads = append(payloads, d.payload)
		}
	}
	return payloads
}

// Count returns how many messages were taken, on any topic.
func (b *Broker) Count() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.taken)
}

// recorder lets everybody in and remembers what is published.
type recorder struct {
	mqtt.HookBase
	broker *Broker
}

func (*recorder) ID() string { return "recorder" }

func (*recorder) Provides(b byte) bool {
	return b == mqtt.OnConnectAuthenticate || b == mqtt.OnACLCheck || b == mqtt.OnPublished
}
func (*recorder) OnConnectAuthenticate(*mqtt.Client, packets.Packet) bool { return true }
func (*recorder) OnACLCheck(*mqtt.Client, string, bool) bool              { return true }

func (r *recorder) OnPublished(_ *mqtt.Client, p packets.Packet) {
	r.broker.mu.Lock()
	defer r.broker.mu.Unlock()
	topic := p.TopicName
	if p.FixedHeader.Qos != 1 || p.FixedHeader.Retain {
		topic = fmt.Sprintf("%s with QoS %d, retained: %v", topic, p.FixedHeader.Qos, p.FixedHeader.Retain)
	}
	r.broker.taken = append(r.broker.taken, message{topic, string(p.Payload)})
}
