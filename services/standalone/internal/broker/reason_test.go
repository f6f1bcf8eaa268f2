package broker

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"
)

func kickOverREST(t *testing.T, b *Broker, _ *client) {
	t.Helper()
	rest(t, b, http.MethodDelete, "/clients/x", "", 204)
}

func TestReasonsOfDisconnects(t *testing.T) {
	cases := []struct {
		name    string
		version byte
		end     func(t *testing.T, b *Broker, c *client)
		reason  string
		code    int // of the DISCONNECT that the client gets, -1 = none
		capture string
	}{
		{"DISCONNECT", 4, func(_ *testing.T, _ *Broker, c *client) { c.disconnect(0) }, "normal", -1, ""},
		{"FIN", 4, func(_ *testing.T, _ *Broker, c *client) { _ = c.Close() }, "tcp_closed", -1, "61-disc-fin"},
		{"RST", 4, func(_ *testing.T, _ *Broker, c *client) { c.reset() }, "tcp_closed", -1, "60-disc-rst"},
		{"killed", 5, func(_ *testing.T, b *Broker, _ *client) { b.KillConnection("x") }, "tcp_closed", -1, ""},
		{"with will", 5, func(_ *testing.T, _ *Broker, c *client) { c.disconnect(4) }, "disconnect_with_will_message", -1, "63-disc-v5-rc4"},
		{"other code", 5, func(_ *testing.T, _ *Broker, c *client) { c.disconnect(0x82) }, "protocol_error", -1, ""},
		{"kick", 5, kickOverREST, "kicked", 0x98, "64-disc-kick"},
		{"kick 3.1.1", 4, kickOverREST, "kicked", -1, "64-disc-kick"},
		{"second CONNECT", 5, func(_ *testing.T, _ *Broker, c *client) { c.send(dial{id: "x", version: 5}.packet()) }, "protocol_error", 0x82, ""},
		{"nonsense", 4, func(_ *testing.T, _ *Broker, c *client) { _, _ = c.Write([]byte{0xF0, 0x00}) }, "internal_error", -1, ""},
	}
	for _, k := range cases {
		t.Run(k.name, func(t *testing.T) {
			h := newHooks(t)
			b := startBroker(t, h)
			c := connect(t, b, dial{id: "x", user: "bob", version: k.version, keepalive: 60})
			k.end(t, b, c)
			down := h.awaitEvent(t, "client.disconnected", "x", 1)
			if down.str("reason") != k.reason {
				t.Errorf("reason %q, want %q", down.str("reason"), k.reason)
			}
			if k.code >= 0 {
				if code := c.wantEnd(); code != k.code {
					t.Errorf("DISCONNECT %#x, want %#x", code, k.code)
				}
			}
			if k.capture != "" {
				wantShape(t, down.body, recorded(t, k.capture, "/event/disconnected")[0], "reason")
			}
			flush(t, b)
			if n := len(h.events("client.disconnected", "x")); n != 1 {
				t.Errorf("%d disconnected events", n)
			}
		})
	}
}

func TestKeepAliveTimeout(t *testing.T) {
	h := newHooks(t)
	b := startBroker(t, h)
	c := connect(t, b, dial{id: "d-62", user: "bob", version: 5, keepalive: 1})
	if code := c.wantEnd(); code != 0x8D {
		t.Errorf("DISCONNECT %#x", code)
	}
	down := h.awaitEvent(t, "client.disconnected", "d-62", 1)
	wantShape(t, down.body, recorded(t, "62-disc-keepalive", "/event/disconnected")[0], "reason")
	if after := down.num("disconnected_at") - down.num("connected_at"); after < 1400 {
		t.Errorf("timed out after %d ms, EMQX waits one and a half times the keep-alive", after)
	}
}

func TestLoginExpires(t *testing.T) {
	h := newHooks(t)
	h.on("/authn", func(request) reply { return allow(fmt.Sprintf(`,"expire_at":%d`, time.Now().Unix()+1)) })
	b := startBroker(t, h)
	c := connect(t, b, dial{id: "zx", user: "bob", version: 5})
	if code := c.wantEnd(); code != 0x87 {
		t.Errorf("DISCONNECT %#x", code)
	}
	down := h.awaitEvent(t, "client.disconnected", "zx", 1)
	wantShape(t, down.body, recorded(t, "53-authn-acl-expire", "/event/disconnected")[0], "reason")
}

func TestWillIsAuthorizedWhenItFires(t *testing.T) {
	h := newHooks(t)
	b := startBroker(t, h)
	reader := connect(t, b, dial{id: "r", user: "u"})
	reader.subscribe(1, "will/#")
	w := &will{topic: "will/zw", payload: []byte("bye"), qos: 1}
	c := connect(t, b, dial{id: "zw", user: "bob", will: w})
	c.reset()
	reader.wantMessage("will/zw", "bye")
	h.awaitEvent(t, "client.disconnected", "zw", 1)
	asked := h.seen("/authz")
	wantShape(t, asked[len(asked)-1].body, recorded(t, "51-authz-will", "/authz")[0], "username", "topic", "retain", "qos", "action", "clientid")
	h.on("/authz", func(request) reply { return reply{status: 200, body: `{"result":"deny"}`} })
	connect(t, b, dial{id: "zw", user: "bob", will: w}).reset()
	h.awaitEvent(t, "client.disconnected", "zw", 2)
	h.on("/authz", func(request) reply { return allow("") })
	connect(t, b, dial{id: "p", user: "u"}).publish("will/next", "x", 1, false)
	reader.wantMessage("will/next", "x")
}

func TestWills(t *testing.T) {
	now := &will{topic: "will/x", payload: []byte("bye")}
	later := &will{topic: "will/x", payload: []byte("bye"), props: packets.Properties{WillDelayInterval: 3600}}
	soon := &will{topic: "will/x", payload: []byte("bye"), props: packets.Properties{WillDelayInterval: 1}}
	empty := &will{topic: "will/x"}
	resume := func(t *testing.T, b *Broker, _ *client) {
		t.Helper()
		connect(t, b, dial{id: "x", user: "u", version: 5, keep: true, expiry: 60})
	}
	restart := func(t *testing.T, b *Broker, _ *client) {
		t.Helper()
		connect(t, b, dial{id: "x", user: "u", version: 5})
	}
	cut := func(_ *testing.T, _ *Broker, c *client) { c.reset() }
	away := func(next func(*testing.T, *Broker, *client)) func(*testing.T, *Broker, *client) {
		return func(t *testing.T, b *Broker, c *client) {
			t.Helper()
			c.reset()
			old := b.clients.get("x")
			<-old.gone
			next(t, b, c)
		}
	}
	cases := []struct {
		name string
		will *will
		end  func(*testing.T, *Broker, *client)
		sent bool
	}{
		{"cut", now, cut, true},
		{"cut, empty payload", empty, cut, true},
		{"cut, short delay", soon, cut, true},
		{"cut, long delay", later, cut, false},
		{"normal", now, func(_ *testing.T, _ *Broker, c *client) { c.disconnect(0) }, false},
		{"DISCONNECT with will", now, func(_ *testing.T, _ *Broker, c *client) { c.disconnect(4) }, true},
		{"takeover by a resumption", now, resume, true},
		{"takeover by a resumption, delay", later, resume, false},
		{"takeover by a clean start, delay", later, restart, true},
		{"kick, delay", later, kickOverREST, true},
		{"return within the delay", later, away(resume), false},
		{"clean start within the delay", later, away(restart), true},
		{"kick within the delay", later, away(kickOverREST), true},
	}
	for _, k := range cases {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			h := newHooks(t)
			b := startBroker(t, h)
			reader := connect(t, b, dial{id: "r", user: "u"})
			reader.subscribe(1, "will/#")
			c := connect(t, b, dial{id: "x", user: "u", version: 5, keep: true, expiry: 60, will: k.will})
			k.end(t, b, c)
			h.awaitEvent(t, "client.disconnected", "x", 1)
			if k.sent {
				reader.wantMessage("will/x", string(k.will.payload))
			}
			reader.publish("will/end", "end", 0, false)
			reader.wantMessage("will/end", "end")
		})
	}
}

func TestSessionExpiryEndsTheSession(t *testing.T) {
	h := newHooks(t)
	b := startBroker(t, h)
	reader := connect(t, b, dial{id: "r", user: "u"})
	reader.subscribe(1, "will/#")
	w := &will{topic: "will/x", payload: []byte("bye"), props: packets.Properties{WillDelayInterval: 3600}}
	c := connect(t, b, dial{id: "x", user: "u", version: 5, keep: true, expiry: 1, will: w})
	c.subscribe(1, "t")
	c.reset()
	reader.wantMessage("will/x", "bye") // never later than the session's end
	h.awaitEvent(t, "client.disconnected", "x", 1)
	eventually(t, "the session is gone", func() bool { return b.clients.get("x") == nil })
	rest(t, b, http.MethodPost, "/publish", `{"topic":"t","payload":"x"}`, 202)
	if next := connect(t, b, dial{id: "x", user: "u", version: 5, keep: true, expiry: 1}); next.connack.SessionPresent {
		t.Error("the expired session was resumed")
	}
}

// rest calls the REST interface and returns the body.
func rest(t *testing.T, b *Broker, method, path, body string, want int) string {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, "/api/v5"+path, strings.NewReader(body))
	r.SetBasicAuth("key", "secret")
	w := httptest.NewRecorder()
	b.Handler().ServeHTTP(w, r)
	if w.Code != want {
		t.Fatalf("%s %s: %d %s, want %d", method, path, w.Code, w.Body, want)
	}
	return w.Body.String()
}
