package broker

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
)

const (
	helloTimeout = 15 * time.Second       // from the network connection to the CONNECT packet
	writeTimeout = 5 * time.Second        // of one packet
	hurryTimeout = 200 * time.Millisecond // of the last packet to a client that is being thrown out
)

// conn is one network connection and, once its CONNECT is accepted, the MQTT connection on it. The library reads
// and writes through it, so that the broker decides about deadlines and learns of the end.
type conn struct {
	net.Conn
	broker    *Broker
	number    uint64
	listener  string
	websocket bool
	life      context.Context // ends when the connection is to end
	cancel    context.CancelFunc
	idle      atomic.Int64  // nanoseconds without a packet before the connection ends, 0 = no limit
	leaving   atomic.Bool   // being thrown out: no patience with writes
	gone      chan struct{} // closed when everything about this connection is over

	// Set while the connection is established, read-only afterwards.
	client      *mqtt.Client
	hello       hello
	login       login
	will        *will
	connectedAt time.Time
	createdAt   time.Time // of the session
	predecessor *conn     // whose disconnected event is to follow our CONNACK
	loginTimer  *time.Timer
	release     func() // gives the client id free for the next connection

	mu         sync.Mutex
	registered bool
	connected  bool // the connected event is out, so a disconnected event is owed
	silent     bool // owes nothing any more
	expiry     uint32
	goodbye    *packets.Packet // the client's DISCONNECT
	ending     *ending
	endedAt    time.Time

	offline offline // what is left of the session when the connection is gone; guarded by registry.mu
}

// hello is what the client's CONNECT said.
type hello struct {
	id, username string
	hasUsername  bool
	version      byte
	protocol     string
	keepalive    uint16
	clean        bool
	expiry       uint32 // seconds
	props        packets.Properties
}

// ending says why a connection ends.
type ending struct {
	reason string // as in client.disconnected
	code   byte   // of the DISCONNECT for MQTT 5 clients, 0 = none
	hold   bool   // the successor reports the end
	wipe   bool   // the session ends too
}

func (b *Broker) newConn(nc net.Conn, listener string, websocket bool) *conn {
	c := &conn{
		Conn: nc, broker: b, number: b.connections.Add(1), listener: listener, websocket: websocket,
		gone: make(chan struct{}),
	}
	c.life, c.cancel = context.WithCancel(b.life)
	c.idle.Store(int64(helloTimeout))
	return c
}

// Read reads with the deadline of the keep-alive, and says goodbye to an MQTT 5 client that let it pass.
func (c *conn) Read(p []byte) (int, error) {
	var deadline time.Time
	if idle := c.idle.Load(); idle > 0 {
		deadline = time.Now().Add(time.Duration(idle))
	}
	_ = c.Conn.SetReadDeadline(deadline)
	n, err := c.Conn.Read(p)
	if err != nil && isTimeout(err) && c.isLive() {
		c.sendDisconnect(packets.ErrKeepAliveTimeout.Code)
	}
	return n, err
}

// Write writes with a deadline, so that a client that does not read cannot hold up the broker.
func (c *conn) Write(p []byte) (int, error) {
	patience := writeTimeout
	if c.leaving.Load() {
		patience = hurryTimeout
	}
	_ = c.SetWriteDeadline(time.Now().Add(patience))
	return c.Conn.Write(p)
}

// SetDeadline does nothing: the library's deadlines are replaced by those of Read and Write.
func (c *conn) SetDeadline(time.Time) error { return nil }

// isLive reports whether the connection was admitted and is not over.
func (c *conn) isLive() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	select {
	case <-c.gone:
		return false
	default:
		return c.registered
	}
}

// run serves the connection until its end.
func (c *conn) run() {
	err := c.broker.server.EstablishConnection(c.listener, c)
	_ = c.Conn.Close()
	c.cancel()
	if c.loginTimer != nil {
		c.loginTimer.Stop()
	}
	c.finish(err)
	close(c.gone)
	c.settle()
}

// stepDown ends the connection for the given reason, unless it is ending already. It reports whether the reason was
// taken. It does not wait: see waitGone.
func (c *conn) stepDown(e ending) bool {
	c.mu.Lock()
	first := c.ending == nil
	if first {
		c.ending, c.endedAt = &e, time.Now()
	}
	c.mu.Unlock()
	if first && e.code != 0 {
		c.leaving.Store(true)
		_ = c.SetWriteDeadline(time.Now().Add(hurryTimeout))
		c.sendDisconnect(e.code)
	}
	c.cancel()
	_ = c.Conn.Close()
	return first
}

// silence cuts the connection and makes it owe no event and no will.
func (c *conn) silence() {
	c.mu.Lock()
	c.silent = true
	c.mu.Unlock()
	c.cancel()
	_ = c.Conn.Close()
}

// waitGone waits for the connection's end and silences it when that takes too long, as EMQX kills a connection
// process that does not answer.
func (c *conn) waitGone(patience time.Duration) {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-c.gone:
	case <-timer.C:
		c.silence()
	}
}

// sendDisconnect tells an MQTT 5 client why it is thrown out; older protocols have no such packet.
func (c *conn) sendDisconnect(code byte) {
	if c.client == nil || c.hello.version < 5 {
		return
	}
	_ = c.client.WritePacket(packets.Packet{
		FixedHeader: packets.FixedHeader{Type: packets.Disconnect},
		ReasonCode:  code,
	})
}

// finish does what follows the end of the MQTT connection: the will, the disconnected event, the session.
func (c *conn) finish(err error) {
	c.mu.Lock()
	if c.ending == nil {
		c.ending, c.endedAt = &ending{reason: c.reason(err)}, time.Now()
	}
	end, registered, silent := *c.ending, c.registered, c.silent
	c.mu.Unlock()
	if !registered {
		return
	}
	var late *will
	if !silent {
		late = c.handleWill(end)
	}
	if !end.hold {
		c.reportDisconnected()
	}
	c.broker.retire(c, end, late)
}

// settle lets the next connection of the client id proceed, after reporting the predecessor's end.
func (c *conn) settle() {
	if c.predecessor != nil {
		c.predecessor.reportDisconnected()
		c.predecessor = nil
	}
	if c.release != nil {
		c.release()
		c.release = nil
	}
}

// reason names the end of a connection that the broker did not end itself. The caller holds c.mu.
func (c *conn) reason(err error) string {
	var code packets.Code
	switch {
	case err == nil && c.goodbye != nil, errors.Is(err, packets.CodeDisconnectWillMessage):
		return disconnectReason(c.goodbye)
	case errors.As(err, &code):
		return codeReason(code)
	case err != nil && isTimeout(err):
		return "keepalive_timeout"
	case isNetworkEnd(err):
		return "tcp_closed"
	default:
		return "internal_error"
	}
}

func disconnectReason(pk *packets.Packet) string {
	if pk == nil || pk.ReasonCode == 0 {
		return "normal"
	}
	if pk.ReasonCode == packets.CodeDisconnectWillMessage.Code {
		return "disconnect_with_will_message"
	}
	return codeReason(packets.Code{Code: pk.ReasonCode})
}

// codeReason is EMQX's name of an MQTT 5 reason code. A malformed packet is an internal_error there.
func codeReason(code packets.Code) string {
	switch code.Code {
	case packets.ErrUnspecifiedError.Code:
		return "unspecified_error"
	case packets.ErrProtocolViolation.Code:
		return "protocol_error"
	case packets.ErrImplementationSpecificError.Code:
		return "implementation_specific_error"
	case packets.ErrNotAuthorized.Code:
		return "not_authorized"
	case packets.ErrReceiveMaximum.Code:
		return "receive_maximum_exceeded"
	case packets.ErrTopicAliasInvalid.Code:
		return "topic_alias_invalid"
	case packets.ErrTopicNameInvalid.Code:
		return "topic_name_invalid"
	case packets.ErrTopicFilterInvalid.Code:
		return "topic_filter_invalid"
	case packets.ErrPacketTooLarge.Code:
		return "packet_too_large"
	case packets.ErrQuotaExceeded.Code:
		return "quota_exceeded"
	case packets.ErrAdministrativeAction.Code:
		return "administrative_action"
	default:
		return "internal_error"
	}
}
