package broker

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestAuthenticatorAnswers(t *testing.T) {
	json := func(body string) reply { return reply{status: 200, body: body} }
	late, early := time.Now().Add(time.Hour).Unix(), time.Now().Add(-time.Hour).Unix()
	cases := []struct {
		name   string
		reply  reply
		v3, v5 byte // CONNACK codes
	}{
		{"allow", allow(""), 0, 0},
		{"allow with charset", reply{status: 200, kind: "application/json; charset=utf-8", body: `{"result":"allow"}`}, 0, 0},
		{"no content", reply{status: 204, kind: "none"}, 0, 0},
		{"deny", json(`{"result":"deny"}`), 5, 0x87},
		{"ignore", json(`{"result":"ignore"}`), 5, 0x87},
		{"missing result", json(`{}`), 5, 0x87},
		{"unknown result", json(`{"result":"maybe"}`), 5, 0x87},
		{"result of another type", json(`{"result":true}`), 5, 0x87},
		{"empty body", json(""), 5, 0x87},
		{"not JSON", json("allow"), 5, 0x87},
		{"null", json("null"), 5, 0x87},
		{"no content type", reply{status: 200, kind: "none", body: `{"result":"allow"}`}, 5, 0x87},
		{"text/plain", reply{status: 200, kind: "text/plain", body: `{"result":"allow"}`}, 5, 0x87},
		{"201", reply{status: 201, body: `{"result":"allow"}`}, 5, 0x87},
		{"302", reply{status: 302, body: `{"result":"allow"}`}, 5, 0x87},
		{"401", reply{status: 401, body: `{"result":"allow"}`}, 5, 0x87},
		{"500", reply{status: 500, body: `{"result":"allow"}`}, 5, 0x87},
		{"expire_at ahead", allow(fmt.Sprintf(`,"expire_at":%d`, late)), 0, 0},
		{"expire_at past", allow(fmt.Sprintf(`,"expire_at":%d`, early)), 4, 0x86},
		{"expire_at in ms", allow(fmt.Sprintf(`,"expire_at":%d000`, late)), 4, 0x86},
		{"expire_at text", allow(`,"expire_at":"soon"`), 4, 0x86},
		{"expire_at fraction", allow(fmt.Sprintf(`,"expire_at":%d.5`, late)), 4, 0x86},
		{"bad rule", allow(`,"acl":[{"permission":"allow","action":"fly","topic":"a"}]`), 4, 0x86},
		{"acl is no list", allow(`,"acl":{}`), 5, 0x87},
		{"attribute is a number", allow(`,"client_attrs":{"epoch":1}`), 5, 0x87},
		{"attributes are a list", allow(`,"client_attrs":[]`), 5, 0x87},
	}
	h := newHooks(t)
	b := startBroker(t, h)
	for i, k := range cases {
		for version, want := range map[byte]byte{4: k.v3, 5: k.v5} {
			h.on("/authn", func(request) reply { return k.reply })
			id := fmt.Sprintf("c%d-%d", i, version)
			c := open(t, b, dial{id: id, user: "u", pass: "p", version: version})
			if c.connack.ReasonCode != want {
				t.Errorf("%s, MQTT %d: CONNACK %#x, want %#x", k.name, version, c.connack.ReasonCode, want)
			}
			if want != 0 {
				c.wantEnd()
				if asked := len(h.seen("/authn")); asked != 1 {
					t.Errorf("%s: asked %d times", k.name, asked)
				}
				flush(t, b)
				if n := len(h.events("client.connected", id)) + len(h.events("client.disconnected", id)); n > 0 {
					t.Errorf("%s: %d events of a refused connection", k.name, n)
				}
			} else {
				c.disconnect(0)
			}
			h.mu.Lock()
			h.requests = nil
			h.mu.Unlock()
		}
	}
}

func TestAuthenticatorIsAskedThreeTimesWhenTheConnectionBreaks(t *testing.T) {
	h := newHooks(t)
	b := startBroker(t, h)
	h.on("/authn", func(request) reply { return reply{abort: true} })
	if c := open(t, b, dial{id: "a", user: "u"}); c.connack.ReasonCode != 5 {
		t.Errorf("CONNACK %#x", c.connack.ReasonCode)
	}
	if n := len(h.seen("/authn")); n != 3 {
		t.Errorf("asked %d times, EMQX asks 3 times", n)
	}
	n := 0
	h.on("/authn", func(request) reply { n++; return map[bool]reply{true: {abort: true}, false: allow("")}[n < 3] })
	connect(t, b, dial{id: "b", user: "u"})
}

func TestAuthenticatorTimeoutIsNotTriedAgain(t *testing.T) {
	h := newHooks(t)
	stuck := make(chan struct{})
	defer close(stuck)
	h.on("/authn", func(request) reply { return reply{status: 200, body: `{"result":"allow"}`, until: stuck} })
	b := startBroker(t, h, func(c *Config) { c.AuthTimeout = 50 * time.Millisecond })
	if c := open(t, b, dial{id: "a", user: "u", version: 5}); c.connack.ReasonCode != 0x87 {
		t.Errorf("CONNACK %#x", c.connack.ReasonCode)
	}
	if n := len(h.seen("/authn")); n != 1 {
		t.Errorf("asked %d times", n)
	}
}

func TestHookThatIsDownRefuses(t *testing.T) {
	h := newHooks(t)
	b := startBroker(t, h)
	h.server.Close()
	if c := open(t, b, dial{id: "a", user: "u", version: 5}); c.connack.ReasonCode != 0x87 {
		t.Errorf("CONNACK %#x", c.connack.ReasonCode)
	}
}

func TestCredentialsThatAreNotTextAreRefusedUnasked(t *testing.T) {
	h := newHooks(t)
	b := startBroker(t, h)
	for _, d := range []dial{{id: "a", user: "u", pass: "\xff\xfe"}, {id: "b", user: "\xff", pass: "p"}} {
		if c := open(t, b, d); c.connack.ReasonCode != 5 {
			t.Errorf("CONNACK %#x", c.connack.ReasonCode)
		}
	}
	if n := len(h.seen("/authn")); n != 0 {
		t.Errorf("asked %d times", n)
	}
}

func TestOddCredentialsReachTheHookUnchanged(t *testing.T) {
	h := newHooks(t)
	b := startBroker(t, h)
	connect(t, b, dial{id: `d 71/é"x`, user: `al"icé\<`, pass: "p\"w\\\n"})
	connect(t, b, dial{id: "empty", user: "u", pass: ""})
	got := h.seen("/authn")
	if got[0].str("clientid") != `d 71/é"x` || got[0].str("username") != `al"icé\<` || got[0].str("password") != "p\"w\\\n" {
		t.Errorf("the hook was asked %v", got[0].body)
	}
	if got[1].str("password") != "" {
		t.Errorf("the hook was asked %v", got[1].body)
	}
}

func TestPersistentSessionNeedsAClientID(t *testing.T) {
	h := newHooks(t)
	if c := open(t, startBroker(t, h), dial{user: "u", keep: true}); c.connack.ReasonCode != 2 {
		t.Errorf("CONNACK %#x", c.connack.ReasonCode)
	}
	if len(h.seen("/authn")) != 0 {
		t.Error("the hook was asked")
	}
}

func TestSuperuserValues(t *testing.T) {
	for body, want := range map[string]bool{
		`true`: true, `"true"`: true, `"1"`: true, `1`: true, `2`: true, `"7"`: true,
		`false`: false, `"false"`: false, `0`: false, `"0"`: false, `-1`: false, `1.5`: false, `null`: false, `"yes"`: false, `[]`: false,
	} {
		a := answer{status: 200, contentType: "application/json", body: []byte(`{"result":"allow","is_superuser":` + body + `}`)}
		got, err := readLogin(a, time.Now())
		if err != nil || got.superuser != want {
			t.Errorf("is_superuser %s: %v, %v", body, got.superuser, err)
		}
	}
}

func TestReadLogin(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	body := `{"result":"allow","expire_at":1800000001,"client_attrs":{"player":"p1","epoch":"7","_x":"no"},
		"acl":[{"permission":"deny","action":"pub","topics":["a","eq b/#"],"qos":"0,1","retain":"1","more":1}]}`
	got, err := readLogin(answer{status: 200, contentType: "application/json", body: []byte(body)}, now)
	if err != nil {
		t.Fatal(err)
	}
	want := login{
		attrs: map[string]string{"player": "p1", "epoch": "7"}, expireAt: time.Unix(1_800_000_001, 0),
		rules: []rule{{publish: true, topics: []string{"a", "eq b/#"}, qos: []byte{0, 1}, retain: new(true)}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestBadRulesSpoilTheLogin(t *testing.T) {
	for _, r := range []string{
		`"a"`, `{}`, `{"permission":"allow","action":"all"}`, `{"action":"all","topic":"a"}`, `{"permission":"allow","topic":"a"}`,
		`{"permission":"allow","action":"all","topic":1}`, `{"permission":"allow","action":"all","topics":[1]}`,
		`{"permission":"allow","action":"all","topic":"a","qos":3}`, `{"permission":"allow","action":"all","topic":"a","qos":"x"}`,
		`{"permission":"allow","action":"all","topic":"a","retain":"maybe"}`, `{"permission":"ALLOW","action":"all","topic":"a"}`,
	} {
		body := `{"result":"allow","acl":[{"permission":"allow","action":"all","topic":"ok"},` + r + `]}`
		_, err := readLogin(answer{status: 200, contentType: "application/json", body: []byte(body)}, time.Now())
		if !errors.Is(err, errBadCredentials) {
			t.Errorf("%s: %v", r, err)
		}
	}
}

func TestConfigKeepsItsSecrets(t *testing.T) {
	cfg := Config{HookSecret: "hush", APISecret: "hush", AuthURL: "http://hush"}
	if text := fmt.Sprintf("%v %+v %#v %s", cfg, cfg, cfg, cfg); strings.Contains(text, "hush") {
		t.Error(text)
	}
}

func TestNewRefusesToStartWithoutSecrets(t *testing.T) {
	for _, cfg := range []Config{
		{HookSecret: "x"},
		{AuthURL: "http://x"},
		{AuthURL: "http://x", HookSecret: "x", APIAddr: "127.0.0.1:0"},
		{AuthURL: "http://x", HookSecret: "x", Takeover: 7},
	} {
		if _, err := New(cfg); err == nil {
			t.Errorf("%v was accepted", cfg)
		}
	}
}
