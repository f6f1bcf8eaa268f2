package broker

import (
	"slices"
	"strings"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
)

// hook ties the library's life cycle to the broker's. All its methods that get a connection run in that connection's
// goroutine.
type hook struct {
	mqtt.HookBase
	broker *Broker
}

// refusedFilter marks the filters of a SUBSCRIBE that the authorizer denied. No client can send a NUL.
const refusedFilter = "\x00"

func (h *hook) ID() string { return "holdfast" }

func (h *hook) Provides(b byte) bool {
	return slices.Contains([]byte{
		mqtt.OnConnect, mqtt.OnConnectAuthenticate, mqtt.OnACLCheck, mqtt.OnSessionEstablish, mqtt.OnSessionEstablished,
		mqtt.OnPacketRead, mqtt.OnPacketEncode, mqtt.OnSubscribe, mqtt.OnSubscribed, mqtt.OnSelectSubscribers, mqtt.OnPublish,
	}, b)
}

func connOf(cl *mqtt.Client) *conn {
	c, _ := cl.Net.Conn.(*conn)
	return c
}

// OnPacketRead takes out of packets what the library would treat differently from EMQX.
func (h *hook) OnPacketRead(cl *mqtt.Client, pk packets.Packet) (packets.Packet, error) {
	c := connOf(cl)
	switch pk.FixedHeader.Type {
	case packets.Connect:
		if c.client == nil {
			c.will = takeWill(&pk)
			pk.Connect.PasswordFlag = len(pk.Connect.Password) > 0
		}
	case packets.Disconnect:
		c.noteGoodbye(pk)
	}
	return pk, nil
}

func (c *conn) noteGoodbye(pk packets.Packet) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.goodbye = &pk
	p := pk.Properties
	if p.SessionExpiryIntervalFlag && (c.expiry > 0 || p.SessionExpiryInterval == 0) {
		c.expiry = p.SessionExpiryInterval
	}
}

// OnConnect authenticates and takes over. It sends refusals itself: the library knows one code only.
func (h *hook) OnConnect(cl *mqtt.Client, pk packets.Packet) error {
	c := connOf(cl)
	c.client = cl
	c.hello = h.broker.readHello(cl, pk)
	c.idle.Store(int64(time.Duration(c.hello.keepalive) * time.Second * 3 / 2))
	var err error
	if c.login, err = h.broker.authenticate(c.life, c, pk.Connect.Password); err == nil {
		err = h.broker.admit(c)
	}
	if err != nil {
		c.refuse(err)
	}
	return err
}

func (b *Broker) readHello(cl *mqtt.Client, pk packets.Packet) hello {
	k := pk.Connect
	l := hello{
		id:          cl.ID,
		username:    string(k.Username),
		hasUsername: k.UsernameFlag,
		version:     pk.ProtocolVersion,
		protocol:    string(k.ProtocolName),
		keepalive:   k.Keepalive,
		clean:       k.Clean,
		props:       pk.Properties,
	}
	switch {
	case l.version >= 5:
		l.expiry = pk.Properties.SessionExpiryInterval
	case !l.clean:
		l.expiry = uint32(b.cfg.SessionExpiry / time.Second)
	}
	return l
}

// OnConnectAuthenticate lets through what OnConnect admitted.
func (h *hook) OnConnectAuthenticate(cl *mqtt.Client, _ packets.Packet) bool {
	return connOf(cl).release != nil
}

// OnSessionEstablish runs before CONNACK.
func (h *hook) OnSessionEstablish(cl *mqtt.Client, _ packets.Packet) { h.broker.register(connOf(cl)) }

// OnSessionEstablished runs after CONNACK.
func (h *hook) OnSessionEstablished(cl *mqtt.Client, _ packets.Packet) { connOf(cl).settle() }

// OnACLCheck only repeats what OnSubscribe decided. The library also asks before each delivery and publish: there
// EMQX does not check, or does in OnPublish, where the whole message is known.
func (h *hook) OnACLCheck(_ *mqtt.Client, topic string, write bool) bool {
	return write || !strings.HasPrefix(topic, refusedFilter)
}

// OnSubscribe authorizes each filter.
func (h *hook) OnSubscribe(cl *mqtt.Client, pk packets.Packet) packets.Packet {
	c := connOf(cl)
	pk.Filters = slices.Clone(pk.Filters)
	for i, f := range pk.Filters {
		if !mqtt.IsValidFilter(f.Filter, false) {
			continue
		}
		if !h.broker.authorize(c.life, c, access{topic: realTopic(f.Filter), qos: f.Qos}) {
			pk.Filters[i].Filter = refusedFilter + f.Filter
		}
	}
	return pk
}

// OnSubscribed reports the subscriptions that were granted.
func (h *hook) OnSubscribed(cl *mqtt.Client, pk packets.Packet, codes []byte) {
	c := connOf(cl)
	for i, f := range pk.Filters {
		if codes[i] <= packets.CodeGrantedQos2.Code {
			c.reportSubscribed(f, pk.Properties)
		}
	}
}

// OnSelectSubscribers gives a shared message to a member that is connected, if any is.
func (h *hook) OnSelectSubscribers(s *mqtt.Subscribers, _ packets.Packet) *mqtt.Subscribers {
	for filter, members := range s.Shared {
		online := map[string]packets.Subscription{}
		for id, sub := range members {
			if cl, ok := h.broker.server.Clients.Get(id); ok && !cl.Closed() {
				online[id] = sub
			}
		}
		if len(online) > 0 {
			s.Shared[filter] = online
		}
	}
	return s
}

// OnPublish authorizes a message and numbers it. The number goes where the library keeps seconds: it sends what
// waited for an absent client in the order of this field, and seconds would leave that to chance.
func (h *hook) OnPublish(cl *mqtt.Client, pk packets.Packet) (packets.Packet, error) {
	pk.Created = h.broker.messages.Add(1)
	c := connOf(cl)
	if c == nil {
		return pk, nil
	}
	wish := access{publish: true, topic: pk.TopicName, qos: pk.FixedHeader.Qos, retain: pk.FixedHeader.Retain}
	if h.broker.authorize(c.life, c, wish) {
		return pk, nil
	}
	if c.hello.version < 5 || pk.FixedHeader.Qos == 0 {
		return pk, packets.CodeSuccessIgnore // acknowledged and dropped
	}
	ack := packets.Packet{
		FixedHeader: packets.FixedHeader{Type: packets.Puback},
		PacketID:    pk.PacketID,
		ReasonCode:  packets.ErrNotAuthorized.Code,
	}
	if pk.FixedHeader.Qos == 2 {
		ack.FixedHeader.Type = packets.Pubrec
	}
	_ = cl.WritePacket(ack)
	return pk, packets.ErrRejectPacket
}

// OnPacketEncode makes outgoing packets look like EMQX's.
func (h *hook) OnPacketEncode(cl *mqtt.Client, pk packets.Packet) packets.Packet {
	switch pk.FixedHeader.Type {
	case packets.Publish:
		pk.Mods.DisallowProblemInfo = false // user properties of messages are no problem information
		return pk
	case packets.Connack:
		if pk.ReasonCode == packets.ErrUnspecifiedError.Code && cl.Properties.ProtocolVersion < 5 {
			pk.ReasonCode = packets.Err3ClientIdentifierNotValid.Code // a persistent session without a client id
		}
		if pk.ReasonCode == packets.CodeSuccess.Code {
			announce(&pk.Properties)
		}
	case packets.Puback:
		if pk.ReasonCode < packets.ErrUnspecifiedError.Code {
			pk.ReasonCode = packets.CodeSuccess.Code
		}
	}
	pk.Properties.ReasonString, pk.Properties.User = "", nil
	return pk
}

// announce completes the CONNACK with what EMQX tells about itself.
func announce(p *packets.Properties) {
	p.MaximumPacketSize = maximumPacketSize
	p.TopicAliasMaximum = 65535
	p.RetainAvailable, p.RetainAvailableFlag = 1, true
	p.SharedSubAvailable, p.SharedSubAvailableFlag = 1, true
	p.SubIDAvailable, p.SubIDAvailableFlag = 1, true
	p.WildcardSubAvailable, p.WildcardSubAvailableFlag = 1, true
}
