package broker

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"testing"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"
)

// dial is what a test client says in its CONNECT.
type dial struct {
	id, user, pass string
	noUser         bool
	version        byte // 0 = 4
	keep           bool // not clean
	keepalive      uint16
	expiry         uint32
	props          packets.Properties
	will           *will
}

func (d dial) packet() packets.Packet {
	pk := packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Connect}, ProtocolVersion: d.version}
	pk.Connect.ProtocolName = []byte("MQTT")
	pk.Connect.ClientIdentifier = d.id
	pk.Connect.Clean = !d.keep
	pk.Connect.Keepalive = d.keepalive
	if !d.noUser {
		pk.Connect.UsernameFlag, pk.Connect.Username = true, []byte(d.user)
		pk.Connect.PasswordFlag, pk.Connect.Password = true, []byte(d.pass)
	}
	pk.Properties = d.props
	if d.expiry > 0 {
		pk.Properties.SessionExpiryInterval, pk.Properties.SessionExpiryIntervalFlag = d.expiry, true
	}
	if w := d.will; w != nil {
		pk.Connect.WillFlag, pk.Connect.WillTopic, pk.Connect.WillPayload = true, w.topic, w.payload
		pk.Connect.WillQos, pk.Connect.WillRetain, pk.Connect.WillProperties = w.qos, w.retain, w.props
	}
	return pk
}

// client is a small MQTT client for the wire tests.
type client struct {
	net.Conn
	t       *testing.T
	in      *bufio.Reader
	version byte
	connack packets.Packet
	next    uint16
}

// open sends CONNECT and reads CONNACK.
func open(t *testing.T, b *Broker, d dial) *client {
	t.Helper()
	nc, err := new(net.Dialer).DialContext(t.Context(), "tcp", b.TCPAddr())
	if err != nil {
		t.Fatal(err)
	}
	return openOn(t, nc, d)
}

func openOn(t *testing.T, nc net.Conn, d dial) *client {
	t.Helper()
	c := sendHello(t, nc, d)
	c.connack = c.read()
	if c.connack.FixedHeader.Type != packets.Connack {
		t.Fatalf("want CONNACK, got packet type %d", c.connack.FixedHeader.Type)
	}
	return c
}

func sendHello(t *testing.T, nc net.Conn, d dial) *client {
	t.Helper()
	if d.version == 0 {
		d.version = 4
	}
	t.Cleanup(func() { _ = nc.Close() })
	c := &client{Conn: nc, t: t, in: bufio.NewReader(nc), version: d.version}
	c.send(d.packet())
	return c
}

// connect opens a connection that must be accepted.
func connect(t *testing.T, b *Broker, d dial) *client {
	t.Helper()
	c := open(t, b, d)
	if c.connack.ReasonCode != 0 {
		t.Fatalf("CONNACK %#x", c.connack.ReasonCode)
	}
	return c
}

func (c *client) send(pk packets.Packet) {
	c.t.Helper()
	var buf bytes.Buffer
	pk.ProtocolVersion = c.version
	encode := map[byte]func(*bytes.Buffer) error{
		packets.Connect: pk.ConnectEncode, packets.Disconnect: pk.DisconnectEncode, packets.Subscribe: pk.SubscribeEncode,
		packets.Publish: pk.PublishEncode, packets.Puback: pk.PubackEncode, packets.Pubrel: pk.PubrelEncode,
		packets.Pingreq: pk.PingreqEncode,
	}[pk.FixedHeader.Type]
	if err := encode(&buf); err != nil {
		c.t.Fatal(err)
	}
	if _, err := c.Write(buf.Bytes()); err != nil {
		c.t.Fatal(err)
	}
}

// receive reads one packet.
func (c *client) receive() (packets.Packet, error) {
	_ = c.SetReadDeadline(time.Now().Add(patience))
	pk := packets.Packet{ProtocolVersion: c.version}
	first, err := c.in.ReadByte()
	if err != nil {
		return pk, err
	}
	if err = pk.FixedHeader.Decode(first); err != nil {
		return pk, err
	}
	if pk.FixedHeader.Remaining, _, err = packets.DecodeLength(c.in); err != nil {
		return pk, err
	}
	raw := make([]byte, pk.FixedHeader.Remaining)
	if _, err = io.ReadFull(c.in, raw); err != nil {
		return pk, err
	}
	decode := map[byte]func([]byte) error{
		packets.Connack: pk.ConnackDecode, packets.Disconnect: pk.DisconnectDecode, packets.Suback: pk.SubackDecode,
		packets.Publish: pk.PublishDecode, packets.Puback: pk.PubackDecode, packets.Pubrec: pk.PubrecDecode,
		packets.Pubcomp: pk.PubcompDecode, packets.Pingresp: func([]byte) error { return nil },
	}[pk.FixedHeader.Type]
	return pk, decode(raw)
}

func (c *client) read() packets.Packet {
	c.t.Helper()
	pk, err := c.receive()
	if err != nil {
		c.t.Fatalf("read: %v", err)
	}
	return pk
}

// wantEnd reads until the connection ends and returns the code of the DISCONNECT before that, -1 without one.
func (c *client) wantEnd() int {
	c.t.Helper()
	code := -1
	for {
		pk, err := c.receive()
		if err != nil && isTimeout(err) {
			c.t.Fatal("the connection is still open")
		}
		if err != nil {
			return code
		}
		if pk.FixedHeader.Type == packets.Disconnect {
			code = int(pk.ReasonCode)
		}
	}
}

// subscribe returns the reason codes of the SUBACK.
func (c *client) subscribe(qos byte, filters ...string) []byte {
	c.t.Helper()
	c.next++
	pk := packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Subscribe, Qos: 1}, PacketID: c.next}
	for _, f := range filters {
		pk.Filters = append(pk.Filters, packets.Subscription{Filter: f, Qos: qos})
	}
	c.send(pk)
	return c.readType(packets.Suback).ReasonCodes
}

// readType skips packets of other types.
func (c *client) readType(kind byte) packets.Packet {
	c.t.Helper()
	for {
		if pk := c.read(); pk.FixedHeader.Type == kind {
			return pk
		}
	}
}

// publish sends a message; for QoS 1 it returns the code of the PUBACK.
func (c *client) publish(topic, payload string, qos byte, retain bool) byte {
	c.t.Helper()
	c.next++
	c.send(packets.Packet{
		FixedHeader: packets.FixedHeader{Type: packets.Publish, Qos: qos, Retain: retain},
		TopicName:   topic, Payload: []byte(payload), PacketID: c.next,
	})
	if qos == 0 {
		return 0
	}
	return c.readType(packets.Puback).ReasonCode
}

// wantMessage reads the next message, acknowledges it and compares it.
func (c *client) wantMessage(topic, payload string) packets.Packet {
	c.t.Helper()
	pk := c.readType(packets.Publish)
	if pk.TopicName != topic || string(pk.Payload) != payload {
		c.t.Fatalf("want %s %q, got %s %q", topic, payload, pk.TopicName, pk.Payload)
	}
	if pk.FixedHeader.Qos == 1 {
		c.send(packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Puback}, PacketID: pk.PacketID})
	}
	return pk
}

func (c *client) disconnect(code byte) {
	c.t.Helper()
	c.send(packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Disconnect}, ReasonCode: code})
}

// reset cuts the connection with a TCP RST.
func (c *client) reset() {
	c.t.Helper()
	_ = c.Conn.(*net.TCPConn).SetLinger(0)
	_ = c.Close()
}
