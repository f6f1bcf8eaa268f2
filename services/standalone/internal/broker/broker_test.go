package broker

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/autopaho"
	"github.com/eclipse/paho.golang/paho"
	"github.com/gorilla/websocket"
)

func TestMessagesForAnAbsentClientWait(t *testing.T) {
	for _, d := range []dial{{id: "away", user: "u", keep: true}, {id: "away", user: "u", version: 5, keep: true, expiry: 60}} {
		h := newHooks(t)
		b := startBroker(t, h)
		c := connect(t, b, d)
		c.subscribe(1, "mail/#")
		c.disconnect(0)
		h.awaitEvent(t, "client.disconnected", "away", 1)
		eventually(t, "the client is away", func() bool { return !b.clients.get("away").isLive() })
		w := connect(t, b, dial{id: "w", user: "u"})
		const letters = 20
		for i := range letters {
			w.publish("mail/x", fmt.Sprint(i), 1, false)
		}
		w.publish("other", "done", 1, false)
		eventually(t, "the mail is routed", func() bool { return b.clients.get("away").client.State.Inflight.Len() == letters })
		back := connect(t, b, d)
		if !back.connack.SessionPresent {
			t.Fatal("no session")
		}
		for i := range letters {
			back.wantMessage("mail/x", fmt.Sprint(i))
		}
		_ = back.Close()
	}
}

func TestRetainedMessages(t *testing.T) {
	h := newHooks(t)
	b := startBroker(t, h)
	w := connect(t, b, dial{id: "w", user: "u"})
	w.publish("lobby/1/metadata", "v1", 1, true)
	r := connect(t, b, dial{id: "r", user: "u"})
	r.subscribe(1, "lobby/+/metadata")
	if pk := r.wantMessage("lobby/1/metadata", "v1"); !pk.FixedHeader.Retain {
		t.Error("not marked as retained")
	}
	rest(t, b, http.MethodPost, "/publish", `{"topic":"lobby/1/metadata","payload":"","retain":true,"qos":1}`, 200)
	r.wantMessage("lobby/1/metadata", "")
	late := connect(t, b, dial{id: "late", user: "u"})
	late.subscribe(1, "lobby/+/metadata", "end")
	late.publish("end", "end", 0, false)
	late.wantMessage("end", "end")
}

func TestMessagesCarryOnlyTheirOwnProperties(t *testing.T) {
	h := newHooks(t)
	b := startBroker(t, h)
	d := dial{id: "r", user: "u", version: 5}
	d.props.RequestProblemInfoFlag = true // asks for no problem information, as autopaho does
	r := connect(t, b, d)
	r.subscribe(1, "t")
	rest(t, b, http.MethodPost, "/publish", `{"topic":"t","payload":"aGk=","payload_encoding":"base64","qos":1,`+
		`"properties":{"user_properties":{"k":"v"},"content_type":"application/json"}}`, 200)
	pk := r.wantMessage("t", "hi")
	if p := pk.Properties; len(p.User) != 1 || p.User[0].Val != "v" || p.ContentType != "application/json" || p.MessageExpiryInterval != 0 {
		t.Errorf("properties %+v", p)
	}
}

func TestSharedMessagesGoToWhoIsThere(t *testing.T) {
	h := newHooks(t)
	b := startBroker(t, h)
	gone := connect(t, b, dial{id: "gone", user: "u", keep: true})
	gone.subscribe(1, "$share/g/work")
	gone.disconnect(0)
	h.awaitEvent(t, "client.disconnected", "gone", 1)
	here := connect(t, b, dial{id: "here", user: "u"})
	here.subscribe(1, "$share/g/work")
	for i := range 10 {
		rest(t, b, http.MethodPost, "/publish", fmt.Sprintf(`{"topic":"work","payload":"%d","qos":1}`, i), 200)
		here.wantMessage("work", fmt.Sprint(i))
	}
}

func TestVanish(t *testing.T) {
	h := newHooks(t)
	b := startBroker(t, h)
	reader := dial{id: "r", user: "u", version: 5, keep: true, expiry: 60}
	will := &will{topic: "will/x", payload: []byte("bye")}
	x := connect(t, b, dial{id: "x", user: "u", version: 5, will: will})
	x.publish("kept", "v", 1, true)
	r := connect(t, b, reader)
	r.subscribe(1, "will/#")
	flush(t, b)
	before := len(h.seen("/event"))
	b.Vanish()
	if code := x.wantEnd(); code != -1 {
		t.Errorf("DISCONNECT %#x", code)
	}
	r.wantEnd()
	flush(t, b)
	if n := len(h.seen("/event")) - before; n != 0 {
		t.Errorf("%d events", n)
	}
	again := connect(t, b, reader)
	if again.connack.SessionPresent {
		t.Error("the session survived")
	}
	again.subscribe(1, "will/#", "kept")
	again.wantMessage("kept", "v")
	again.disconnect(0)
	down := h.awaitEvent(t, "client.disconnected", "r", 1)
	if up := h.awaitEvent(t, "client.connected", "r", 2); down.num("connected_at") != up.num("connected_at") {
		t.Error("the event is of the connection before the crash")
	}
}

func TestCloseIsSilent(t *testing.T) {
	h := newHooks(t)
	b := startBroker(t, h)
	c := connect(t, b, dial{id: "x", user: "u", version: 5, will: &will{topic: "w"}})
	h.awaitEvent(t, "client.connected", "x", 1)
	mute, err := new(net.Dialer).DialContext(t.Context(), "tcp", b.TCPAddr()) // never says CONNECT
	if err != nil {
		t.Fatal(err)
	}
	defer mute.Close()
	eventually(t, "both are accepted", func() bool { return len(b.connectionsNow()) == 2 })
	closeBroker(t, b)
	if code := c.wantEnd(); code != -1 {
		t.Errorf("DISCONNECT %#x", code)
	}
	if n := len(h.seen("/event")); n != 1 {
		t.Errorf("%d events", n)
	}
	if n := len(h.seen("/authz")); n != 0 {
		t.Error("the will was considered")
	}
	closeBroker(t, b)
}

func TestCloseBeforeStartAndStartTwice(t *testing.T) {
	b, err := New(Config{AuthURL: "http://127.0.0.1:1", HookSecret: "x", WebhookURL: "http://127.0.0.1:1"})
	if err != nil {
		t.Fatal(err)
	}
	closeBroker(t, b)
	if b.Start(t.Context()) == nil {
		t.Error("started after Close")
	}
	h := newHooks(t)
	if startBroker(t, h).Start(t.Context()) == nil {
		t.Error("started twice")
	}
	taken := startBroker(t, h)
	cfg := taken.cfg
	cfg.TCPAddr, cfg.WSAddr = "127.0.0.1:0", taken.TCPAddr()
	second, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if second.Start(t.Context()) == nil {
		t.Error("started on an address that is taken")
	}
}

// TestWithRealClients runs autopaho over TCP and WebSocket through a login, messages and a lost connection.
func TestWithRealClients(t *testing.T) {
	for _, scheme := range []string{"mqtt", "ws"} {
		t.Run(scheme, func(t *testing.T) {
			h := newHooks(t)
			b := startBroker(t, h, func(c *Config) { c.WSAddr = "127.0.0.1:0" })
			at := url.URL{Scheme: scheme, Host: b.TCPAddr()}
			if scheme == "ws" {
				at.Host, at.Path = b.WSAddr(), "/mqtt"
			}
			got, up := make(chan string, 10), make(chan bool, 10)
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			cm := newPaho(ctx, t, at, got, up)
			<-up
			h.awaitEvent(t, "session.subscribed", "p1", 1)
			rest(t, b, http.MethodPost, "/publish", `{"topic":"player/p1/session","payload":"one","qos":1}`, 200)
			if m := <-got; m != "one" {
				t.Errorf("got %q", m)
			}
			eventually(t, "it is acknowledged", func() bool { return b.clients.get("p1").client.State.Inflight.Len() == 0 })
			if !b.KillConnection("p1") {
				t.Fatal("no connection")
			}
			if present := <-up; !present {
				t.Error("the session was not resumed")
			}
			if _, err := cm.Publish(ctx, &paho.Publish{Topic: "player/p1/session", QoS: 1, Payload: []byte("two")}); err != nil {
				t.Fatal(err)
			}
			if m := <-got; m != "two" {
				t.Errorf("got %q", m)
			}
			if err := cm.Disconnect(ctx); err != nil {
				t.Fatal(err)
			}
			<-cm.Done()
			h.await(t, "both ends", func() bool { return len(h.events("client.disconnected", "p1")) == 2 })
			ends := map[string]bool{}
			for _, e := range h.events("client.disconnected", "p1") {
				ends[e.str("reason")] = true
			}
			if !ends["tcp_closed"] || !ends["normal"] {
				t.Errorf("reasons %v", ends)
			}
		})
	}
}

func newPaho(ctx context.Context, t *testing.T, at url.URL, got chan<- string, up chan<- bool) *autopaho.ConnectionManager {
	t.Helper()
	cm, err := autopaho.NewConnection(ctx, autopaho.ClientConfig{
		ServerUrls: []*url.URL{&at}, KeepAlive: 30, SessionExpiryInterval: 60,
		ConnectUsername: "p1", ConnectPassword: []byte("token"),
		ReconnectBackoff: func(int) time.Duration { return time.Millisecond },
		OnConnectionUp: func(cm *autopaho.ConnectionManager, ack *paho.Connack) {
			if !ack.SessionPresent {
				_, err := cm.Subscribe(ctx, &paho.Subscribe{Subscriptions: []paho.SubscribeOptions{{Topic: "player/p1/session", QoS: 1}}})
				if err != nil {
					t.Errorf("subscribe: %v", err)
				}
			}
			up <- ack.SessionPresent
		},
		ClientConfig: paho.ClientConfig{
			ClientID: "p1",
			OnPublishReceived: []func(paho.PublishReceived) (bool, error){func(r paho.PublishReceived) (bool, error) {
				got <- string(r.Packet.Payload)
				return true, nil
			}},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return cm
}

func TestWebSocketRules(t *testing.T) {
	h := newHooks(t)
	b := startBroker(t, h, func(c *Config) { c.WSAddr = "127.0.0.1:0" })
	open := func(path string, protocols ...string) int {
		d := websocket.Dialer{Subprotocols: protocols}
		c, resp, err := d.DialContext(t.Context(), "ws://"+b.WSAddr()+path, nil)
		if err == nil {
			_ = c.Close()
		}
		_ = resp.Body.Close()
		return resp.StatusCode
	}
	if got := []int{open("/mqtt", "mqtt"), open("/mqtt"), open("/mqtt", "chat"), open("/", "mqtt")}; !slices.Equal(got, []int{101, 400, 400, 404}) {
		t.Errorf("statuses %v", got)
	}
}
