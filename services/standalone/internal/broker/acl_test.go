package broker

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/mochi-mqtt/server/v2/packets"
)

func TestFilterMatchingOfRules(t *testing.T) {
	cases := []struct {
		filter, requested string
		want              bool
	}{
		{"a/b", "a/b", true},
		{"a/b", "a/c", false},
		{"a/b", "a", false},
		{"a", "a/b", false},
		{"a/+", "a/b", true},
		{"a/+", "a/b/c", false},
		{"a/+", "a/+", true},
		{"a/+", "a/#", true}, // EMQX: + takes any level, # included
		{"a/#", "a", true},
		{"a/#", "a/b/c", true},
		{"a/#", "a/+/c", true},
		{"a/#", "#", false},
		{"#", "a/#", true},
		{"#", "$SYS/x", false},
		{"+/x", "$SYS/x", false},
		{"$SYS/#", "$SYS/x", true},
		{"a//b", "a//b", true},
		{"a/+/b", "a//b", true},
		{"a/b", "a/+", false},
	}
	for _, k := range cases {
		if got := covers(k.filter, k.requested); got != k.want {
			t.Errorf("rule %q, requested %q: %v", k.filter, k.requested, got)
		}
	}
}

func TestRules(t *testing.T) {
	list := func(topic string) []rule {
		return []rule{{allow: true, publish: true, subscribe: true, topics: []string{topic}, qos: []byte{0, 1, 2}}}
	}
	vars := map[string]string{"clientid": "c1", "username": "u/1", "client_attrs.role": "gm"}
	cases := []struct {
		name  string
		rules []rule
		a     access
		want  verdict
	}{
		{"client id", list("player/${clientid}/#"), access{topic: "player/c1/#"}, allowed},
		{"another client id", list("player/${clientid}/#"), access{topic: "player/c2/#"}, noMatch},
		{"value that could widen the filter", list("player/${username}"), access{topic: "player/u/1"}, noMatch},
		{"attribute", list("${client_attrs.role}/x"), access{topic: "gm/x"}, allowed},
		{"missing attribute", list("${client_attrs.team}/x"), access{topic: "/x"}, noMatch},
		{"unknown placeholder is literal", list("${foo}/x"), access{topic: "${foo}/x"}, allowed},
		{"open placeholder is literal", list("${foo"), access{topic: "${foo"}, allowed},
		{"literal", list("eq a/+"), access{topic: "a/+"}, allowed},
		{"literal is not a filter", list("eq a/+"), access{topic: "a/b"}, noMatch},
		{
			"first match wins",
			[]rule{{subscribe: true, topics: []string{"a"}, qos: []byte{0}}, {allow: true, subscribe: true, topics: []string{"#"}, qos: []byte{0}}},
			access{topic: "a"},
			denied,
		},
		{"action", []rule{{allow: true, publish: true, topics: []string{"#"}, qos: []byte{0}}}, access{topic: "a"}, noMatch},
		{"qos", []rule{{allow: true, publish: true, topics: []string{"#"}, qos: []byte{1}}}, access{publish: true, topic: "a"}, noMatch},
		{
			"retain",
			[]rule{{allow: true, publish: true, topics: []string{"#"}, qos: []byte{0}, retain: new(false)}},
			access{publish: true, topic: "a", retain: true},
			noMatch,
		},
		{
			"retain does not concern subscriptions",
			[]rule{{allow: true, subscribe: true, topics: []string{"#"}, qos: []byte{0}, retain: new(true)}},
			access{topic: "a"},
			allowed,
		},
	}
	for _, k := range cases {
		if got := judge(k.rules, vars, k.a); got != k.want {
			t.Errorf("%s: verdict %d, want %d", k.name, got, k.want)
		}
	}
}

func TestOwnRulesComeBeforeTheAuthorizer(t *testing.T) {
	h := newHooks(t)
	h.on("/authn", func(request) reply {
		return allow(`,"acl":[{"permission":"allow","action":"subscribe","topic":"ok/#"},{"permission":"deny","action":"all","topic":"no/#"}]`)
	})
	c := connect(t, startBroker(t, h), dial{id: "zx", user: "bob", version: 5})
	codes := c.subscribe(1, "ok/1", "no/1", "ask/1")
	if !bytes.Equal(codes, []byte{1, 0x87, 1}) {
		t.Errorf("SUBACK %v", codes)
	}
	if code := c.publish("no/1", "x", 1, false); code != 0x87 {
		t.Errorf("PUBACK %#x", code)
	}
	if code := c.publish("ok/1", "x", 1, false); code != 0 {
		t.Errorf("PUBACK %#x", code)
	}
	asked := h.seen("/authz")
	if len(asked) != 2 || asked[0].str("topic") != "ask/1" || asked[1].str("topic") != "ok/1" || asked[1].str("action") != "publish" {
		t.Errorf("the authorizer was asked %v", asked)
	}
}

func TestSuperuserIsNeverChecked(t *testing.T) {
	h := newHooks(t)
	h.on("/authn", func(request) reply {
		return allow(`,"is_superuser":true,"acl":[{"permission":"deny","action":"all","topic":"#"}]`)
	})
	c := connect(t, startBroker(t, h), dial{id: "su", user: "root", version: 5})
	if codes := c.subscribe(1, "#"); codes[0] != 1 {
		t.Errorf("SUBACK %v", codes)
	}
	if code := c.publish("a", "x", 1, false); code != 0 {
		t.Errorf("PUBACK %#x", code)
	}
	if len(h.seen("/authz")) != 0 {
		t.Error("the authorizer was asked")
	}
}

func TestAuthorizerAnswers(t *testing.T) {
	cases := []struct {
		name  string
		reply reply
		allow bool
	}{
		{"allow", allow(""), true},
		{"204", reply{status: 204, kind: "none"}, true},
		{"allow without content type", reply{status: 200, kind: "none", body: `{"result":"allow"}`}, true},
		{"deny", reply{status: 200, body: `{"result":"deny"}`}, false},
		{"ignore", reply{status: 200, body: `{"result":"ignore"}`}, false},
		{"empty", reply{status: 200}, false},
		{"text/plain", reply{status: 200, kind: "text/plain", body: `{"result":"allow"}`}, false},
		{"403", reply{status: 403, body: `{"result":"allow"}`}, false},
		{"500", reply{status: 500, body: `{"result":"allow"}`}, false},
		{"302", reply{status: 302, body: `{"result":"allow"}`}, false},
		{"broken", reply{abort: true}, false},
	}
	h := newHooks(t)
	b := startBroker(t, h)
	reader := connect(t, b, dial{id: "reader", user: "u"})
	reader.subscribe(0, "z/#")
	v3 := connect(t, b, dial{id: "v3", user: "u"})
	v5 := connect(t, b, dial{id: "v5", user: "u", version: 5})
	for i, k := range cases {
		h.on("/authz", func(request) reply { return k.reply })
		topic := fmt.Sprintf("z/%d", i)
		want := map[bool][4]byte{true: {1, 1, 0, 0}, false: {0x80, 0x87, 0, 0x87}}[k.allow]
		got := [4]byte{v3.subscribe(1, topic+"/s")[0], v5.subscribe(1, topic+"/s")[0]}
		for i, c := range []*client{v3, v5} {
			got[2+i] = c.publish(topic, "x", 1, false)
			if k.allow {
				reader.wantMessage(topic, "x")
			}
		}
		if got != want {
			t.Errorf("%s: SUBACK and PUBACK codes %#v, want %#v", k.name, got, want)
		}
	}
	h.on("/authz", func(request) reply { return allow("") })
	v3.publish("z/end", "x", 1, false)
	reader.wantMessage("z/end", "x") // nothing denied came before it
}

func TestDeniedQoS2(t *testing.T) {
	h := newHooks(t)
	h.on("/authz", func(request) reply { return reply{status: 200, body: `{"result":"deny"}`} })
	b := startBroker(t, h)
	for version, want := range map[byte]byte{4: 0, 5: 0x87} {
		c := connect(t, b, dial{id: fmt.Sprint("q", version), user: "u", version: version})
		c.send(packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Publish, Qos: 2}, TopicName: "a", Payload: []byte("x"), PacketID: 9})
		if pk := c.readType(packets.Pubrec); pk.ReasonCode != want || pk.PacketID != 9 {
			t.Errorf("MQTT %d: PUBREC %#x of %d", version, pk.ReasonCode, pk.PacketID)
		}
	}
}

func TestNothingIsCached(t *testing.T) {
	h := newHooks(t)
	c := connect(t, startBroker(t, h), dial{id: "ca", user: "u"})
	for range 3 {
		c.subscribe(1, "k/1")
		c.publish("p/1", "x", 1, false)
	}
	if n := len(h.seen("/authz")); n != 6 {
		t.Errorf("asked %d times, want 6", n)
	}
}

func TestTopicsInQuestions(t *testing.T) {
	h := newHooks(t)
	c := connect(t, startBroker(t, h), dial{id: "zt", user: "u", version: 5})
	c.subscribe(0, "a/+/b", "#", "$share/g/a/b", "$share/g/x/#")
	c.publish("a/é", "x", 1, true)
	var got []string
	for _, r := range h.seen("/authz") {
		got = append(got, r.str("action")+" "+r.str("topic")+" "+r.str("qos")+" "+r.str("retain"))
	}
	want := []string{"subscribe a/+/b 0 false", "subscribe # 0 false", "subscribe a/b 0 false", "subscribe x/# 0 false", "publish a/é 1 true"}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("asked %v, want %v", got, want)
	}
}

func TestDeliveriesAreNotChecked(t *testing.T) {
	h := newHooks(t)
	b := startBroker(t, h)
	reader := connect(t, b, dial{id: "r", user: "u"})
	reader.subscribe(1, "t")
	h.on("/authz", func(r request) reply {
		if r.str("clientid") == "r" {
			return reply{status: 200, body: `{"result":"deny"}`}
		}
		return allow("")
	})
	connect(t, b, dial{id: "w", user: "u"}).publish("t", "still", 1, false)
	reader.wantMessage("t", "still")
	if n := len(h.seen("/authz")); n != 2 {
		t.Errorf("asked %d times, want 2", n)
	}
}

func TestWithoutAnAuthorizerNothingElseIsAllowed(t *testing.T) {
	h := newHooks(t)
	b := startBroker(t, h, func(c *Config) { c.AuthzURL = "" })
	if codes := connect(t, b, dial{id: "x", user: "u"}).subscribe(0, "a"); codes[0] != 0x80 {
		t.Errorf("SUBACK %#x", codes)
	}
}
