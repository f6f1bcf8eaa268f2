package broker

import (
	"context"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"
)

// will is a client's last message. The broker handles wills itself because the library can neither authorize them
// when they fire nor suppress them at a takeover.
type will struct {
	topic   string
	payload []byte
	qos     byte
	retain  bool
	props   packets.Properties
}

// takeWill removes the will from a CONNECT packet and returns it. An impossible one stays, for the library to refuse.
func takeWill(pk *packets.Packet) *will {
	k := &pk.Connect
	if !k.WillFlag || k.WillQos > 2 || k.WillTopic == "" {
		return nil
	}
	w := &will{topic: k.WillTopic, payload: k.WillPayload, qos: k.WillQos, retain: k.WillRetain, props: k.WillProperties}
	k.WillFlag, k.WillRetain, k.WillQos, k.WillTopic, k.WillPayload = false, false, 0, "", nil
	return w
}

// delay is how long the will waits after the connection's end: never longer than the session lives.
func (w *will) delay(sessionExpiry uint32) time.Duration {
	return time.Duration(min(w.props.WillDelayInterval, sessionExpiry)) * time.Second
}

// handleWill publishes the will if it is due at the end of the connection, and returns it if it is to wait.
func (c *conn) handleWill(end ending) *will {
	c.mu.Lock()
	w, expiry := c.will, c.expiry
	c.will = nil
	c.mu.Unlock()
	if w == nil || end.reason == "normal" {
		return nil
	}
	switch end.reason {
	case "takenover":
		if w.props.WillDelayInterval > 0 {
			return nil
		}
	case "discarded", "kicked":
	default:
		if w.delay(expiry) > 0 {
			return w
		}
	}
	c.broker.publishWill(c.broker.life, c, w)
	return nil
}

// publishWill publishes a will that may be published by its client now.
func (b *Broker) publishWill(ctx context.Context, c *conn, w *will) {
	if !b.authorize(ctx, c, access{publish: true, topic: w.topic, qos: w.qos, retain: w.retain}) {
		return
	}
	props := w.props
	props.WillDelayInterval = 0
	if _, err := b.publish(w.topic, w.payload, w.qos, w.retain, props); err != nil {
		b.log.Warn("publish will", "clientid", c.hello.id, "error", err)
	}
}

// publish hands a message to the subscribers and reports whether there were any.
func (b *Broker) publish(topic string, payload []byte, qos byte, retain bool, props packets.Properties) (bool, error) {
	matched := b.hasSubscribers(topic)
	err := b.server.InjectPacket(b.publisher, packets.Packet{
		FixedHeader: packets.FixedHeader{Type: packets.Publish, Qos: qos, Retain: retain},
		TopicName:   topic,
		Payload:     payload,
		PacketID:    uint16(qos), // must not be 0 when the QoS is not, and is not used
		Properties:  props,
	})
	return matched, err
}

func (b *Broker) hasSubscribers(topic string) bool {
	s := b.server.Topics.Subscribers(topic)
	return len(s.Subscriptions) > 0 || len(s.Shared) > 0
}
