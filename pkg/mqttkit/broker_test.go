package mqttkit_test

import (
	"log/slog"
	"slices"
	"testing"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/listeners"
	"github.com/mochi-mqtt/server/v2/packets"
)

const (
	username = "holdfast"
	password = "s3cr3t-value"
)

// broker is an embedded broker that keeps what was published.
type broker struct {
	server    *mqtt.Server
	published chan packets.Packet
}

// startBroker starts a broker until the test is over. publish may refuse a
// message with a packets.Code.
func startBroker(t *testing.T, publish func(topic string) error) *broker {
	t.Helper()
	b := &broker{published: make(chan packets.Packet, 1000)}
	b.server = mqtt.New(&mqtt.Options{Logger: slog.New(slog.DiscardHandler)})
	if err := b.server.AddHook(&hook{broker: b, publish: publish}, nil); err != nil {
		t.Fatal(err)
	}
	if err := b.server.AddListener(listeners.NewTCP(listeners.Config{ID: "tcp", Address: "127.0.0.1:0"})); err != nil {
		t.Fatal(err)
	}
	if err := b.server.Serve(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.server.Close() })
	return b
}

func (b *broker) addr() string {
	l, _ := b.server.Listeners.Get("tcp")
	return l.Address()
}

// clients returns the ids of the clients that are connected.
func (b *broker) clients() []string {
	var ids []string
	for id, c := range b.server.Clients.GetAll() {
		if !c.Closed() {
			ids = append(ids, id)
		}
	}
	return ids
}

type hook struct {
	mqtt.HookBase
	broker  *broker
	publish func(topic string) error
}

func (h *hook) ID() string { return "test" }

func (h *hook) Provides(b byte) bool {
	return slices.Contains([]byte{mqtt.OnConnectAuthenticate, mqtt.OnACLCheck, mqtt.OnPublish}, b)
}

func (h *hook) OnConnectAuthenticate(_ *mqtt.Client, p packets.Packet) bool {
	return string(p.Connect.Username) == username && string(p.Connect.Password) == password
}

func (h *hook) OnACLCheck(*mqtt.Client, string, bool) bool { return true }

func (h *hook) OnPublish(_ *mqtt.Client, p packets.Packet) (packets.Packet, error) {
	if h.publish != nil {
		if err := h.publish(p.TopicName); err != nil {
			return p, err
		}
	}
	h.broker.published <- p
	return p, nil
}
