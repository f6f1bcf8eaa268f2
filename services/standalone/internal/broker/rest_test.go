package broker

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestRESTClients(t *testing.T) {
	h := newHooks(t)
	h.on("/authn", func(request) reply { return allow(`,"client_attrs":{"epoch":"7"}`) })
	b := startBroker(t, h)
	for _, id := range []string{"c", "a", "b"} {
		connect(t, b, dial{id: id, user: "bob", version: 5, keep: true, expiry: 600, keepalive: 60})
	}
	h.awaitEvent(t, "client.connected", "b", 1)
	gone := connect(t, b, dial{id: "d", noUser: true, keep: true})
	gone.disconnect(0)
	eventually(t, "d is away", func() bool { return !b.clients.get("d").isLive() })

	var page struct {
		Data []map[string]any `json:"data"`
		Meta map[string]any   `json:"meta"`
	}
	read := func(query string) {
		t.Helper()
		page.Data, page.Meta = nil, nil
		if err := json.Unmarshal([]byte(rest(t, b, http.MethodGet, "/clients"+query, "", 200)), &page); err != nil {
			t.Fatal(err)
		}
	}
	read("?page=1&limit=2&conn_state=connected&fields=clientid,connected,client_attrs")
	if fmt.Sprint(page) != "{[map[client_attrs:map[epoch:7] clientid:a connected:true] map[client_attrs:map[epoch:7] clientid:b connected:true]] map[count:3 hasnext:true limit:2 page:1]}" {
		t.Errorf("first page %v", page)
	}
	read("?page=2&limit=2&conn_state=connected")
	if len(page.Data) != 1 || page.Meta["hasnext"] != false {
		t.Errorf("second page %v", page)
	}
	wantRecordedRow(t, page.Data[0])
	read("?page=9")
	if page.Data == nil || len(page.Data) != 0 {
		t.Errorf("page after the end %v", page)
	}
	read("?conn_state=disconnected")
	if len(page.Data) != 1 || page.Data[0]["connected"] != false || page.Data[0]["disconnected_at"] == nil || page.Data[0]["username"] != nil {
		t.Errorf("disconnected %v", page)
	}
	for _, q := range []string{"?limit=0", "?limit=10001", "?page=x", "?conn_state=maybe"} {
		rest(t, b, http.MethodGet, "/clients"+q, "", 400)
	}
}

// wantRecordedRow checks that each field exists in EMQX's row with the same type and form.
func wantRecordedRow(t *testing.T, row map[string]any) {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", "rest.json"))
	if err != nil {
		t.Fatal(err)
	}
	var all map[string][2]any
	if err := json.Unmarshal(raw, &all); err != nil {
		t.Fatal(err)
	}
	page := all["GET /clients?page=1&limit=2&fields=all"][1].(map[string]any)
	want := page["data"].([]any)[1].(map[string]any)
	for _, k := range slices.Sorted(maps.Keys(row)) {
		if fmt.Sprintf("%T", row[k]) != fmt.Sprintf("%T", want[k]) {
			t.Errorf("%s: %T %v, EMQX: %T %v", k, row[k], row[k], want[k], want[k])
		}
	}
	for _, k := range []string{
		"clientid", "username", "connected", "connected_at", "created_at", "node", "ip_address", "port", "proto_ver",
		"proto_name", "clean_start", "keepalive", "expiry_interval", "listener", "client_attrs",
	} {
		if _, ok := row[k]; !ok {
			t.Errorf("%s is missing", k)
		}
	}
	for _, k := range []string{"connected", "node", "ip_address", "proto_ver", "proto_name", "clean_start", "keepalive", "expiry_interval", "listener", "username"} {
		if row[k] != want[k] {
			t.Errorf("%s: %v, EMQX: %v", k, row[k], want[k])
		}
	}
	at, _ := row["connected_at"].(string)
	if _, err := time.Parse(time.RFC3339, at); err != nil || len(at) != len(want["connected_at"].(string)) || !strings.HasSuffix(at, "+00:00") {
		t.Errorf("connected_at %q, EMQX: %q", at, want["connected_at"])
	}
}

func TestRESTShowKickUnsubscribe(t *testing.T) {
	h := newHooks(t)
	b := startBroker(t, h)
	notFound := `{"code":"CLIENTID_NOT_FOUND","message":"Client ID not found"}`
	for _, call := range [][2]string{{"GET", "/clients/x"}, {"DELETE", "/clients/x"}, {"POST", "/clients/x/unsubscribe"}} {
		if got := rest(t, b, call[0], call[1], `{"topic":"a"}`, 404); got != notFound {
			t.Errorf("%s: %s", call, got)
		}
	}
	d := dial{id: "x", user: "u", version: 5, keep: true, expiry: 60}
	c := connect(t, b, d)
	c.subscribe(1, "a", "b", "c", "d")
	if got := rest(t, b, http.MethodGet, "/clients/x", "", 200); !strings.Contains(got, `"clientid":"x"`) {
		t.Error(got)
	}
	rest(t, b, http.MethodPost, "/clients/x/unsubscribe", `{"topic":"a"}`, 204)
	rest(t, b, http.MethodPost, "/clients/x/unsubscribe/bulk", `[{"topic":"b"},{"topic":"nothing"}]`, 204)
	for topic, want := range map[string]int{"a": 202, "b": 202, "c": 200} {
		rest(t, b, http.MethodPost, "/publish", `{"topic":"`+topic+`","payload":"x"}`, want)
	}
	c.wantMessage("c", "x")
	next := connect(t, b, d) // what was unsubscribed does not come back with the session
	rest(t, b, http.MethodPost, "/publish", `{"topic":"a","payload":"x"}`, 202)
	rest(t, b, http.MethodPost, "/publish", `{"topic":"d","payload":"x"}`, 200)
	next.wantMessage("d", "x")
	rest(t, b, http.MethodDelete, "/clients/x", "", 204)
	next.wantEnd()
	rest(t, b, http.MethodGet, "/clients/x", "", 404)
	if connect(t, b, d).connack.SessionPresent {
		t.Error("the session survived the kick")
	}
}

func TestRESTPublishAnswers(t *testing.T) {
	h := newHooks(t)
	b := startBroker(t, h)
	if got := rest(t, b, http.MethodPost, "/publish", `{"topic":"t","payload":"x"}`, 202); got != `{"message":"no_matching_subscribers","reason_code":16}` {
		t.Error(got)
	}
	connect(t, b, dial{id: "r", user: "u"}).subscribe(0, "t")
	var ok struct {
		ID string `json:"id"`
	}
	if err := json.Unmarshal([]byte(rest(t, b, http.MethodPost, "/publish", `{"topic":"t","payload":"x"}`, 200)), &ok); err != nil || ok.ID == "" {
		t.Errorf("%v %v", ok, err)
	}
	for _, body := range []string{"", "[]", `{"payload":"x"}`, `{"topic":"a/#","payload":"x"}`, `{"topic":"a","qos":3}`, `{"topic":"a","payload":"!","payload_encoding":"base64"}`} {
		rest(t, b, http.MethodPost, "/publish", body, 400)
	}
}

func TestRESTNeedsTheKey(t *testing.T) {
	h := newHooks(t)
	b := startBroker(t, h, func(c *Config) { c.APIAddr = "127.0.0.1:0" })
	call := func(b *Broker, key, secret string) int {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/api/v5/clients", nil)
		if key+secret != "" {
			r.SetBasicAuth(key, secret)
		}
		w := httptest.NewRecorder()
		b.Handler().ServeHTTP(w, r)
		return w.Code
	}
	if got := []int{call(b, "", ""), call(b, "key", "wrong"), call(b, "wrong", "secret"), call(b, "key", "secret")}; !slices.Equal(got, []int{401, 401, 401, 200}) {
		t.Errorf("statuses %v", got)
	}
	unset := startBroker(t, h, func(c *Config) { c.APIKey, c.APISecret = "", "" })
	if got := call(unset, "", ""); got != 401 {
		t.Errorf("without a key: %d", got)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+b.APIAddr()+"/api/v5/clients", bytes.NewReader(nil))
	if err != nil {
		t.Fatal(err)
	}
	req.SetBasicAuth("key", "secret")
	resp, err := h.server.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("over the listener: %d", resp.StatusCode)
	}
}
