package broker

import (
	"bufio"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// recorded returns the bodies that EMQX sent to the path in a scenario of testdata.
func recorded(t *testing.T, scenario, path string) []map[string]any {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", scenario+".jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var bodies []map[string]any
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var line struct {
			Path string         `json:"path"`
			JSON map[string]any `json:"json"`
		}
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			t.Fatal(err)
		}
		if line.Path == path && line.JSON != nil {
			bodies = append(bodies, line.JSON)
		}
	}
	if len(bodies) == 0 {
		t.Fatalf("%s has no request to %s", scenario, path)
	}
	return bodies
}

// shape lists the keys of a JSON value with their types.
func shape(prefix string, v any) []string {
	m, ok := v.(map[string]any)
	if !ok {
		return []string{fmt.Sprintf("%s %T", prefix, v)}
	}
	lines := []string{prefix + " {}"}
	for _, k := range slices.Sorted(maps.Keys(m)) {
		lines = append(lines, shape(prefix+"."+k, m[k])...)
	}
	return lines
}

// wantShape compares keys and types of a body with a recorded one, and the values of the named keys.
func wantShape(t *testing.T, got, want map[string]any, values ...string) {
	t.Helper()
	g, w := shape("", got), shape("", want)
	if !slices.Equal(g, w) {
		t.Errorf("body differs from EMQX's\n got %v\nwant %v", g, w)
	}
	for _, k := range values {
		if fmt.Sprint(got[k]) != fmt.Sprint(want[k]) {
			t.Errorf("%s: got %v, EMQX sent %v", k, got[k], want[k])
		}
	}
}

func TestBodiesOfABasicSession(t *testing.T) {
	cases := []struct {
		scenario string
		dial     dial
		topic    string
		retain   bool
	}{
		{"01-basic-v311", dial{id: "dev-1", user: "alice", pass: "s3cret", keepalive: 60}, "room/1", false},
		{"02-basic-v5", dial{id: "dev-5", user: "alice", pass: "s3cret", version: 5, keep: true, expiry: 60, keepalive: 60}, "room/5", true},
	}
	for _, k := range cases {
		t.Run(k.scenario, func(t *testing.T) {
			h := newHooks(t)
			b := startBroker(t, h)
			c := connect(t, b, k.dial)
			c.subscribe(1, k.topic+"/#")
			c.publish(k.topic+"/x", "hi", 1, k.retain)
			c.disconnect(0)
			down := h.awaitEvent(t, "client.disconnected", k.dial.id, 1)
			up := h.awaitEvent(t, "client.connected", k.dial.id, 1)

			authn := []string{"username", "peerhost", "password", "clientid", "cert_subject", "cert_common_name"}
			wantShape(t, h.seen("/authn")[0].body, recorded(t, k.scenario, "/authn")[0], authn...)
			authz := []string{"username", "topic", "retain", "qos", "proto_name", "peerhost", "mountpoint", "clientid", "action"}
			for i, want := range recorded(t, k.scenario, "/authz") {
				wantShape(t, h.seen("/authz")[i].body, want, authz...)
			}
			wantShape(t, up.body, recorded(t, k.scenario, "/event/connected")[0], "event", "clientid", "username", "mountpoint",
				"proto_name", "proto_ver", "keepalive", "clean_start", "receive_maximum", "expiry_interval", "is_bridge", "conn_props", "client_attrs")
			wantShape(t, down.body, recorded(t, k.scenario, "/event/disconnected")[0], "event", "clientid", "username", "reason",
				"proto_name", "proto_ver", "disconn_props", "client_attrs")
			wantPair(t, b, c, up, down)
		})
	}
}

// wantPair checks what ties the two events of a connection together.
func wantPair(t *testing.T, b *Broker, c *client, up, down request) {
	t.Helper()
	if up.str("peername") != c.LocalAddr().String() || down.str("peername") != up.str("peername") {
		t.Errorf("peername %q and %q, want %q", up.str("peername"), down.str("peername"), c.LocalAddr())
	}
	if up.str("sockname") != b.TCPAddr() || down.str("sockname") != b.TCPAddr() {
		t.Errorf("sockname %q and %q, want %q", up.str("sockname"), down.str("sockname"), b.TCPAddr())
	}
	if up.num("connected_at") == 0 || up.num("connected_at") != down.num("connected_at") {
		t.Errorf("connected_at %d and %d", up.num("connected_at"), down.num("connected_at"))
	}
	if down.num("disconnected_at") < down.num("connected_at") || down.num("timestamp") < down.num("disconnected_at") {
		t.Errorf("times out of order: %v", down.body)
	}
}

func TestHeadersAreThoseOfEMQX(t *testing.T) {
	h := newHooks(t)
	c := connect(t, startBroker(t, h), dial{id: "dev-1", user: "alice", pass: "pw"})
	c.subscribe(1, "a/b")
	h.awaitEvent(t, "client.connected", "dev-1", 1)
	for _, path := range []string{"/authn", "/authz", "/event"} {
		got := h.seen(path)[0].header
		if got.Get("Authorization") != "Bearer s3cret" || got.Get("Content-Type") != "application/json" {
			t.Errorf("%s: headers %v", path, got)
		}
		if keys := slices.Sorted(maps.Keys(got)); !slices.Equal(keys, []string{"Authorization", "Content-Length", "Content-Type"}) {
			t.Errorf("%s: EMQX sends no headers like %v", path, keys)
		}
	}
}

func TestBodiesWithoutUsernameAndClientID(t *testing.T) {
	for _, version := range []byte{4, 5} {
		h := newHooks(t)
		b := startBroker(t, h)
		c := connect(t, b, dial{noUser: true, version: version, keepalive: 60})
		c.disconnect(0)
		h.await(t, "both events", func() bool { return len(h.seen("/event")) == 2 })
		id := h.seen("/authn")[0].str("clientid")
		if id == "" {
			t.Fatal("no client id was assigned before the authentication request")
		}
		if version == 5 && c.connack.Properties.AssignedClientID != id {
			t.Errorf("CONNACK assigns %q, the hook was asked about %q", c.connack.Properties.AssignedClientID, id)
		}
		wantShape(t, h.seen("/authn")[0].body, recorded(t, "68-no-clientid", "/authn")[0], "username", "password")
		up := h.awaitEvent(t, "client.connected", id, 1)
		wantShape(t, up.body, recorded(t, "68-no-clientid", "/event/connected")[0], "username")
		down := h.awaitEvent(t, "client.disconnected", id, 1)
		wantShape(t, down.body, recorded(t, "68-no-clientid", "/event/disconnected")[0], "username")
	}
}

func TestClientAttributesTravelInEvents(t *testing.T) {
	h := newHooks(t)
	h.on("/authn", func(request) reply { return allow(`,"client_attrs":{"role":"gm","b@d":"x"}`) })
	b := startBroker(t, h)
	c := connect(t, b, dial{id: "ca1", user: "bob", pass: "pw", version: 5})
	c.disconnect(0)
	up, down := h.awaitEvent(t, "client.connected", "ca1", 1), h.awaitEvent(t, "client.disconnected", "ca1", 1)
	wantShape(t, up.body, recorded(t, "88-client-attrs", "/event/connected")[0], "client_attrs")
	wantShape(t, down.body, recorded(t, "88-client-attrs", "/event/disconnected")[0], "client_attrs")
}

func TestConnectPropertiesInEvents(t *testing.T) {
	h := newHooks(t)
	d := dial{id: "p", user: "u", version: 5}
	d.props.ReceiveMaximum = 7
	c := connect(t, startBroker(t, h), d)
	c.disconnect(0)
	up := h.awaitEvent(t, "client.connected", "p", 1)
	if up.num("receive_maximum") != 7 {
		t.Errorf("receive_maximum %v", up.body["receive_maximum"])
	}
	props, _ := up.body["conn_props"].(map[string]any)
	if props["Receive-Maximum"] != float64(7) || props["User-Property"] == nil {
		t.Errorf("conn_props %v", props)
	}
}

func TestSubscribedEvent(t *testing.T) {
	h := newHooks(t)
	h.on("/authz", func(r request) reply {
		if r.str("topic") == "player/denied/session" {
			return reply{status: 200, body: `{"result":"deny"}`}
		}
		return allow("")
	})
	b := startBroker(t, h)
	c := connect(t, b, dial{id: "s1", user: "bob", version: 5})
	c.subscribe(1, "player/s1/session", "player/s1/#", "player/s1/+", "player/s1/matchmaking", "player/s1", "player/denied/session",
		"lobby/s1/session", "$share/g/player/s1/session")
	c.disconnect(0)
	h.awaitEvent(t, "client.disconnected", "s1", 1)
	flush(t, b)
	var topics []string
	for _, e := range h.events("session.subscribed", "s1") {
		topics = append(topics, e.str("topic"))
		wantShape(t, e.body, recorded(t, "90-session-subscribed", "/event/session_subscribed")[0], "qos", "sub_props", "event", "peerhost")
		if e.str("peername") != c.LocalAddr().String() {
			t.Errorf("peername %q", e.str("peername"))
		}
	}
	slices.Sort(topics)
	if want := []string{"player/s1/#", "player/s1/+", "player/s1/session"}; !slices.Equal(topics, want) {
		t.Errorf("reported subscriptions %v, want %v", topics, want)
	}
}
