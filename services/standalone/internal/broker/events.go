package broker

import (
	"encoding/json"
	"net"
	"strings"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"
)

// undefined stands in events for what is absent.
const undefined = "undefined"

type metadata struct {
	RuleID string `json:"rule_id"`
}

// origin is what every event carries. Times are Unix milliseconds.
type origin struct {
	Event       string            `json:"event"`
	ClientID    string            `json:"clientid"`
	Username    string            `json:"username"`
	PeerName    string            `json:"peername"`
	ClientAttrs map[string]string `json:"client_attrs"`
	Timestamp   int64             `json:"timestamp"`
	Node        string            `json:"node"`
	Metadata    metadata          `json:"metadata"`
}

type connectedEvent struct {
	origin
	SockName       string         `json:"sockname"`
	Mountpoint     string         `json:"mountpoint"`
	ProtoName      string         `json:"proto_name"`
	ProtoVer       byte           `json:"proto_ver"`
	KeepAlive      uint16         `json:"keepalive"`
	CleanStart     bool           `json:"clean_start"`
	ReceiveMaximum uint16         `json:"receive_maximum"`
	ExpiryInterval uint32         `json:"expiry_interval"` // seconds
	IsBridge       bool           `json:"is_bridge"`
	ConnProps      map[string]any `json:"conn_props"`
	ConnectedAt    int64          `json:"connected_at"`
}

type disconnectedEvent struct {
	origin
	Reason         string         `json:"reason"`
	SockName       string         `json:"sockname"`
	ProtoName      string         `json:"proto_name"`
	ProtoVer       byte           `json:"proto_ver"`
	DisconnProps   map[string]any `json:"disconn_props"`
	DisconnectedAt int64          `json:"disconnected_at"`
	ConnectedAt    int64          `json:"connected_at"` // of the connection that ended
}

type subscribedEvent struct {
	origin
	PeerHost string         `json:"peerhost"`
	Topic    string         `json:"topic"` // as subscribed, with its share group
	QoS      byte           `json:"qos"`
	SubProps map[string]any `json:"sub_props"`
}

func (c *conn) origin(event string) origin {
	username := undefined
	if c.hello.hasUsername {
		username = c.hello.username
	}
	return origin{
		Event:       event,
		ClientID:    c.hello.id,
		Username:    username,
		PeerName:    c.RemoteAddr().String(),
		ClientAttrs: c.login.attrs,
		Timestamp:   time.Now().UnixMilli(),
		Node:        c.broker.cfg.Node,
		Metadata:    metadata{RuleID: c.broker.cfg.RuleID},
	}
}

func (c *conn) reportConnected() {
	c.mu.Lock()
	owed := !c.silent
	c.connected = owed
	c.mu.Unlock()
	if !owed {
		return
	}
	receive := uint16(receiveMaximum)
	if r := c.hello.props.ReceiveMaximum; r > 0 {
		receive = min(receive, r)
	}
	c.emit(connectedEvent{
		origin:         c.origin("client.connected"),
		SockName:       c.LocalAddr().String(),
		Mountpoint:     undefined,
		ProtoName:      c.hello.protocol,
		ProtoVer:       c.hello.version,
		KeepAlive:      c.hello.keepalive,
		CleanStart:     c.hello.clean,
		ReceiveMaximum: receive,
		ExpiryInterval: c.hello.expiry,
		ConnProps:      properties(c.hello.props),
		ConnectedAt:    c.connectedAt.UnixMilli(),
	})
}

// reportDisconnected reports the end of the connection, once, if its beginning was reported.
func (c *conn) reportDisconnected() {
	c.mu.Lock()
	owed := c.connected && !c.silent
	c.connected = false
	reason, at, goodbye := c.ending.reason, c.endedAt, c.goodbye
	c.mu.Unlock()
	if !owed {
		return
	}
	var props packets.Properties
	if goodbye != nil {
		props = goodbye.Properties
	}
	c.emit(disconnectedEvent{
		origin:         c.origin("client.disconnected"),
		Reason:         reason,
		SockName:       c.LocalAddr().String(),
		ProtoName:      c.hello.protocol,
		ProtoVer:       c.hello.version,
		DisconnProps:   properties(props),
		DisconnectedAt: at.UnixMilli(),
		ConnectedAt:    c.connectedAt.UnixMilli(),
	})
}

func (c *conn) reportSubscribed(sub packets.Subscription, props packets.Properties) {
	if !reported(c.broker.cfg.SubscribedFilters, sub.Filter) {
		return
	}
	c.emit(subscribedEvent{
		origin:   c.origin("session.subscribed"),
		PeerHost: c.peerHost(),
		Topic:    sub.Filter,
		QoS:      sub.Qos,
		SubProps: properties(props),
	})
}

// emit hands an event to the sender. It never waits for the receiver.
func (c *conn) emit(event any) {
	if c.broker.sender == nil {
		return
	}
	body, err := json.Marshal(event)
	if err != nil {
		c.broker.log.Error("encode event", "error", err)
		return
	}
	c.broker.sender.emit(c.hello.id, c.number, body)
}

// reported says whether a rule is interested in a subscription: its filter, read as a topic, matches one of the
// configured ones, or differs only in a last level that is a wildcard.
func reported(configured []string, filter string) bool {
	have := strings.Split(filter, "/")
	for _, f := range configured {
		want := strings.Split(f, "/")
		last := len(want) - 1
		if len(have) != len(want) || !covers(strings.Join(want[:last], "/"), strings.Join(have[:last], "/")) {
			continue
		}
		if l := have[last]; want[last] == "+" || l == want[last] || l == "+" || l == "#" {
			return true
		}
	}
	return false
}

// properties renders MQTT 5 properties as events do.
func properties(p packets.Properties) map[string]any {
	user := map[string]string{}
	var pairs []map[string]string
	for _, u := range p.User {
		user[u.Key] = u.Val
		pairs = append(pairs, map[string]string{"key": u.Key, "value": u.Val})
	}
	out := map[string]any{"User-Property": user}
	put := func(name string, present bool, value any) {
		if present {
			out[name] = value
		}
	}
	put("User-Property-Pairs", pairs != nil, pairs)
	put("Session-Expiry-Interval", p.SessionExpiryIntervalFlag, p.SessionExpiryInterval)
	put("Receive-Maximum", p.ReceiveMaximum > 0, p.ReceiveMaximum)
	put("Maximum-Packet-Size", p.MaximumPacketSize > 0, p.MaximumPacketSize)
	put("Topic-Alias-Maximum", p.TopicAliasMaximum > 0, p.TopicAliasMaximum)
	put("Request-Problem-Information", p.RequestProblemInfoFlag, p.RequestProblemInfo)
	put("Request-Response-Information", p.RequestResponseInfo > 0, p.RequestResponseInfo)
	put("Reason-String", p.ReasonString != "", p.ReasonString)
	if len(p.SubscriptionIdentifier) > 0 {
		out["Subscription-Identifier"] = p.SubscriptionIdentifier[0]
	}
	return out
}

func (c *conn) peerHost() string {
	host, _, err := net.SplitHostPort(c.RemoteAddr().String())
	if err != nil {
		return c.RemoteAddr().String()
	}
	return host
}
