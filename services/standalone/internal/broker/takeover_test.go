package broker

import (
	"fmt"
	"net"
	"slices"
	"sync"
	"testing"

	"github.com/mochi-mqtt/server/v2/packets"
)

// inOrder makes the sender keep the order in which the hooks ran.
func inOrder(c *Config) { c.Workers, c.Window = 1, 1 }

func TestTakeover(t *testing.T) {
	cases := []struct {
		name    string
		order   Takeover
		version byte
		keep    bool
		reason  string
		events  []string
		capture string
	}{
		{"5.8 clean", Takeover58, 4, false, "discarded", []string{"disconnected", "connected"}, "03-takeover-v311-clean"},
		{"5.8 resume", Takeover58, 5, true, "takenover", []string{"disconnected", "connected"}, "05-takeover-v5-resume"},
		{"5.9 clean", Takeover59, 5, false, "discarded", []string{"disconnected", "connected"}, ""},
		{"5.9 resume", Takeover59, 5, true, "takenover", []string{"connected", "disconnected"}, ""},
		{"5.9 resume 3.1.1", Takeover59, 4, true, "takenover", []string{"connected", "disconnected"}, ""},
	}
	for _, k := range cases {
		t.Run(k.name, func(t *testing.T) {
			h := newHooks(t)
			b := startBroker(t, h, inOrder, func(c *Config) { c.Takeover = k.order })
			d := dial{id: "dup", user: "alice", version: k.version, keep: k.keep}
			if k.version == 5 && k.keep {
				d.expiry = 300
			}
			old := connect(t, b, d)
			next := connect(t, b, d)
			code := old.wantEnd()
			if want := map[byte]int{4: -1, 5: 0x8E}[k.version]; code != want {
				t.Errorf("old connection ended with %#x, want %#x", code, want)
			}
			if next.connack.SessionPresent != k.keep {
				t.Errorf("session present: %v", next.connack.SessionPresent)
			}
			down, up := h.awaitEvent(t, "client.disconnected", "dup", 1), h.awaitEvent(t, "client.connected", "dup", 2)
			wantTakeover(t, h, k.reason, k.events, down, up)
			if k.capture != "" {
				wantShape(t, down.body, recorded(t, k.capture, "/event/disconnected")[0], "reason")
			}
			if next.publish("alive", "x", 1, false) != 0 {
				t.Error("the new connection does not work")
			}
		})
	}
}

func wantTakeover(t *testing.T, h *hooks, reason string, order []string, down, up request) {
	t.Helper()
	var got []string
	for _, e := range h.seen("/event")[1:] {
		got = append(got, e.str("event")[len("client."):])
	}
	if !slices.Equal(got, order) {
		t.Errorf("events %v, want %v", got, order)
	}
	if down.str("reason") != reason {
		t.Errorf("reason %q, want %q", down.str("reason"), reason)
	}
	first := h.awaitEvent(t, "client.connected", "dup", 1)
	if down.str("peername") != first.str("peername") || down.num("connected_at") != first.num("connected_at") {
		t.Errorf("disconnected is not the old connection's: %v, %v", down.body, first.body)
	}
	if down.num("disconnected_at") > up.num("connected_at") {
		t.Errorf("disconnected_at %d after the new connected_at %d", down.num("disconnected_at"), up.num("connected_at"))
	}
}

func TestRefusedNewcomerLeavesTheOldConnectionAlone(t *testing.T) {
	h := newHooks(t)
	b := startBroker(t, h)
	old := connect(t, b, dial{id: "dup", user: "alice"})
	h.on("/authn", func(request) reply { return reply{status: 200, body: `{"result":"deny"}`} })
	open(t, b, dial{id: "dup", user: "mallory"}).wantEnd()
	old.publish("t", "x", 1, false)
	flush(t, b)
	if n := len(h.events("client.disconnected", "dup")); n != 0 {
		t.Errorf("%d disconnected events", n)
	}
	old.disconnect(0)
	if down := h.awaitEvent(t, "client.disconnected", "dup", 1); down.str("reason") != "normal" {
		t.Errorf("reason %q", down.str("reason"))
	}
}

func TestThrottledConnectHasNoEvents(t *testing.T) {
	h := newHooks(t)
	b := startBroker(t, h)
	b.Faults().Throttle(1)
	for version, want := range map[byte]byte{4: 3, 5: 0x89} {
		if c := open(t, b, dial{id: "x", user: "u", version: version}); c.connack.ReasonCode != want {
			t.Errorf("CONNACK %#x, want %#x", c.connack.ReasonCode, want)
		}
	}
	flush(t, b)
	if len(h.seen("/authn")) != 2 || len(h.seen("/event")) != 0 {
		t.Errorf("%d authentications, %d events", len(h.seen("/authn")), len(h.seen("/event")))
	}
}

// TestManyConnectionsOfOneClient checks the books after a storm of takeovers, drops and kicks: every connected event
// has one disconnected event with its own connected_at and peername, and the last connection is whole.
func TestManyConnectionsOfOneClient(t *testing.T) {
	for _, order := range []Takeover{Takeover58, Takeover59} {
		t.Run(fmt.Sprint(order), func(t *testing.T) {
			h := newHooks(t)
			b := startBroker(t, h, func(c *Config) { c.Takeover = order })
			const clients, rounds = 4, 6
			var storm sync.WaitGroup
			for i := range clients {
				storm.Go(func() { storming(t, b, i, rounds) })
			}
			storm.Wait()
			last := connect(t, b, dial{id: "one", user: "u", version: 5, keep: true, expiry: 60})
			last.subscribe(1, "mine")
			last.publish("mine", "hello", 0, false)
			last.wantMessage("mine", "hello")
			last.disconnect(0)
			last.wantEnd()
			eventually(t, "all connections are over", func() bool { return len(b.connectionsNow()) == 0 })
			flush(t, b)
			wantBooksBalanced(t, h)
		})
	}
}

// storming connects and ends again and again; its connections may be thrown out at any moment by the others.
func storming(t *testing.T, b *Broker, i, rounds int) {
	t.Helper()
	for n := range rounds {
		nc, err := net.Dial("tcp", b.TCPAddr())
		if err != nil {
			t.Error(err)
			return
		}
		c := sendHello(t, nc, dial{id: "one", user: "u", version: 5, keep: (i+n)%2 == 0, expiry: uint32((i + n) % 3 * 60)})
		if _, err := c.receive(); err != nil && isTimeout(err) {
			t.Errorf("no CONNACK: %v", err)
		}
		switch (i + n) % 4 {
		case 0:
			c.reset()
		case 1:
			b.kick(t.Context(), "one")
		case 2:
			b.KillConnection("one")
		}
	}
}

func wantBooksBalanced(t *testing.T, h *hooks) {
	t.Helper()
	key := func(r request) string { return fmt.Sprint(r.num("connected_at"), " ", r.str("peername")) }
	open := map[string]int{}
	if n := len(h.events("client.connected", "one")); n < 10 {
		t.Errorf("only %d connections came about", n)
	}
	for _, r := range h.events("client.connected", "one") {
		open[key(r)]++
	}
	for _, r := range h.events("client.disconnected", "one") {
		open[key(r)]--
	}
	for k, n := range open {
		if n != 0 {
			t.Errorf("connection %s: %+d connected against disconnected", k, n)
		}
	}
}

func TestResumedSessionKeepsSubscriptionsUnasked(t *testing.T) {
	h := newHooks(t)
	b := startBroker(t, h)
	d := dial{id: "dup", user: "u", version: 5, keep: true, expiry: 300}
	connect(t, b, d).subscribe(1, "t")
	next := connect(t, b, d)
	connect(t, b, dial{id: "w", user: "u"}).publish("t", "x", 1, false)
	next.wantMessage("t", "x")
	subscribes := slices.DeleteFunc(h.seen("/authz"), func(r request) bool { return r.str("action") != "subscribe" })
	if len(subscribes) != 1 {
		t.Errorf("asked %d times about the subscription", len(subscribes))
	}
}

func TestCleanStartDropsTheSession(t *testing.T) {
	h := newHooks(t)
	b := startBroker(t, h)
	d := dial{id: "dup", user: "u", version: 5, keep: true, expiry: 300}
	connect(t, b, d).subscribe(1, "t")
	d.keep = false
	next := connect(t, b, d)
	connect(t, b, dial{id: "w", user: "u"}).publish("t", "x", 1, false)
	next.send(packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Pingreq}})
	if pk := next.read(); pk.FixedHeader.Type != packets.Pingresp {
		t.Errorf("got packet type %d", pk.FixedHeader.Type)
	}
}

func TestSessionKeepsItsCreationTime(t *testing.T) {
	h := newHooks(t)
	b := startBroker(t, h)
	d := dial{id: "x", user: "u", version: 5, keep: true, expiry: 300}
	connect(t, b, d)
	first := b.clients.get("x")
	connect(t, b, d)
	second := b.clients.get("x")
	if !second.createdAt.Equal(first.createdAt) || !second.connectedAt.After(first.connectedAt) {
		t.Errorf("created %v then %v, connected %v then %v", first.createdAt, second.createdAt, first.connectedAt, second.connectedAt)
	}
	d.keep = false
	connect(t, b, d)
	if third := b.clients.get("x"); !third.createdAt.After(first.createdAt) {
		t.Error("a clean start continued the session")
	}
}

func TestEndIsReportedOnce(t *testing.T) {
	h := newHooks(t)
	b := startBroker(t, h)
	wire := connect(t, b, dial{id: "x", user: "u"})
	c := &conn{Conn: wire.Conn, broker: b, ending: &ending{reason: "normal"}, connected: true, hello: hello{id: "y"}}
	c.reportDisconnected()
	c.reportDisconnected()
	flush(t, b)
	if n := len(h.events("client.disconnected", "y")); n != 1 {
		t.Errorf("%d events", n)
	}
}
