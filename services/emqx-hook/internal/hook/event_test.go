package hook

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-games/holdfast/pkg/session"
	"github.com/holdfast-games/holdfast/pkg/testkit"
)

func TestAConnectionLives(t *testing.T) {
	r := newRig(t, shared.Server(t).URL())
	epoch := r.enter(t, "ann")
	steps := []struct {
		event row
		want  session.Presence
	}{
		{connectedRow("ann", epoch), session.Connected},
		{connectedRow("ann", epoch), session.Connected}, // twice
		{disconnectedRow("ann", epoch, "tcp_closed"), session.Grace},
		{connectedRow("ann", epoch), session.Grace}, // late: it is over
		{disconnectedRow("ann", epoch, "tcp_closed"), session.Grace},
	}
	for i, s := range steps {
		if status := r.send(t, s.event); status != http.StatusNoContent {
			t.Errorf("step %d: %d", i, status)
		}
		if rec := r.record(t, "ann"); rec.Presence != s.want {
			t.Errorf("step %d: %s, want %s", i, rec.Presence, s.want)
		}
	}
	if rec := r.record(t, "ann"); rec.Reason != "tcp_closed" {
		t.Errorf("reason %q", rec.Reason)
	}
}

func TestTheConnectionIsNamedByBothEvents(t *testing.T) {
	r := newRig(t, shared.Server(t).URL())
	epoch := r.enter(t, "ann")
	r.send(t, connectedRow("ann", epoch))
	want := session.ConnectionID(epoch + "/1795439368227/127.0.0.1:47244")
	rec := r.record(t, "ann")
	if len(rec.Connections) != 1 || rec.Connections[0].ID != want || rec.Connections[0].Node != "emqx@127.0.0.1" {
		t.Errorf("connections %+v, want %s", rec.Connections, want)
	}
	for _, other := range []row{
		{"peername": "127.0.0.1:47245"},
		{"connected_at": 1795439368228},
		{"client_attrs": map[string]string{"player": "ann", "epoch": epoch + "0"}},
	} {
		r.send(t, disconnectedRow("ann", epoch, "normal").with(other))
		if rec := r.record(t, "ann"); rec.Presence != session.Connected {
			t.Fatalf("the end of another connection, %v, ended this one", other)
		}
	}
}

func TestEveryEventTakesOneRoundTrip(t *testing.T) {
	r := newRig(t, shared.Server(t).URL())
	play := func(warm bool) {
		epoch := r.enter(t, "ann")
		for _, event := range []row{
			connectedRow("ann", epoch), subscribedRow("ann", "player/ann/session"), disconnectedRow("ann", epoch, "normal"),
		} {
			r.trips.take()
			if status := r.send(t, event); status != http.StatusNoContent {
				t.Fatalf("%s: %d", event["event"], status)
			}
			if n := r.trips.take(); warm && n != 1 {
				t.Errorf("%s: %d round trips", event["event"], n)
			}
		}
	}
	play(false) // loads the scripts
	play(true)
}

func TestSubscribingAnnouncesTheSnapshot(t *testing.T) {
	r := newRig(t, shared.Server(t).URL())
	r.enter(t, "ann")
	for filter, announced := range map[string]int64{
		"player/ann/session": 1, "player/ann/#": 1, "player/ann/+": 1, "$share/g/player/ann/session": 0,
		"player/ann/matchmaking": 0, "player/bob/session": 0, "lobby/ABC123/events": 0, "#": 0,
	} {
		r.send(t, subscribedRow("ann", filter)) // loads the script
		r.trips.take()
		if status := r.send(t, subscribedRow("ann", filter)); status != http.StatusNoContent {
			t.Errorf("%q: %d", filter, status)
		}
		if n := r.trips.take(); n != announced {
			t.Errorf("%q: %d round trips, want %d", filter, n, announced)
		}
	}
}

func TestForeignClientsAreIgnored(t *testing.T) {
	r := newRig(t, shared.Server(t).URL())
	for name, attrs := range map[string]any{
		"none": nil, "empty": map[string]string{}, "others": map[string]string{"role": "gm"}, "text": "undefined",
		"another player": map[string]string{"player": "bob", "epoch": "5"}, "no player": map[string]string{"epoch": "5"},
		"numbers": map[string]any{"player": "ann", "epoch": 5},
	} {
		for _, event := range []row{connectedRow("ann", "5"), disconnectedRow("ann", "5", "normal"), subscribedRow("ann", "player/ann/session")} {
			event = event.with(row{"client_attrs": attrs, "connected_at": nil})
			if status := r.send(t, event); status != http.StatusNoContent {
				t.Errorf("%s, %s: %d", name, event["event"], status)
			}
		}
	}
	odd := connectedRow("a b", "5")
	if status := r.send(t, odd); status != http.StatusNoContent {
		t.Errorf("an id that no player has: %d", status)
	}
	if n := r.trips.take(); n != 0 {
		t.Errorf("%d round trips to Redis", n)
	}
	if n := r.counter(t, "holdfast_hook_events_total", foreign); n != 7*3+1 {
		t.Errorf("counted %v foreign events", n)
	}
}

func TestWhatNoRetryCanMend(t *testing.T) {
	r := newRig(t, shared.Server(t).URL())
	good := connectedRow("ann", "5")
	attrs := func(epoch string) row {
		return row{"client_attrs": map[string]string{"player": "ann", "epoch": epoch}}
	}
	for name, body := range map[string][]byte{
		"nothing": nil, "no JSON": []byte("clientid=ann"), "null": []byte("null"), "an array": []byte("[]"), "half": encode(t, good)[:90],
		"no event":                          encode(t, good.with(row{"event": nil})),
		"another event":                     encode(t, good.with(row{"event": "client.connack"})),
		"event is a number":                 encode(t, good.with(row{"event": 1})),
		"no client id":                      encode(t, good.with(row{"clientid": nil})),
		"no epoch":                          encode(t, good.with(row{"client_attrs": map[string]string{"player": "ann"}})),
		"epoch 0":                           encode(t, good.with(attrs("0"))),
		"epoch below 0":                     encode(t, good.with(attrs("-5"))),
		"epoch in words":                    encode(t, good.with(attrs("five"))),
		"epoch beyond Lua":                  encode(t, good.with(attrs("9007199254740993"))),
		"no connected_at":                   encode(t, good.with(row{"connected_at": nil})),
		"connected_at undefined":            encode(t, good.with(row{"connected_at": "undefined"})),
		"connected_at below 0":              encode(t, good.with(row{"connected_at": -1})),
		"connected_at a fraction":           encode(t, good.with(row{"connected_at": 1.5})),
		"no peername":                       encode(t, good.with(row{"peername": nil})),
		"peername undefined":                encode(t, good.with(row{"peername": "undefined"})),
		"peername with a space":             encode(t, good.with(row{"peername": "127.0.0.1 :5"})),
		"peername too long":                 encode(t, good.with(row{"peername": strings.Repeat("1", 257)})),
		"subscribed without topic":          encode(t, subscribedRow("ann", "x").with(row{"topic": nil})),
		"disconnected without connected_at": encode(t, disconnectedRow("ann", "5", "normal").with(row{"connected_at": nil})),
	} {
		if answer := r.post("/emqx/webhook", body); answer.Code != http.StatusBadRequest {
			t.Errorf("%s: %d %s", name, answer.Code, answer.Body)
		}
	}
	large := encode(t, good.with(row{"username": strings.Repeat("x", 64<<10)}))
	if answer := r.post("/emqx/webhook", large); answer.Code != http.StatusRequestEntityTooLarge {
		t.Errorf("an oversized body: %d", answer.Code)
	}
	plain := postAs(r.handler, "/emqx/webhook", "Bearer "+hookSecret, "text/plain", strings.NewReader(string(encode(t, good))))
	if plain.Code != http.StatusUnsupportedMediaType {
		t.Errorf("another media type: %d", plain.Code)
	}
	if n := r.trips.take(); n != 0 {
		t.Errorf("%d round trips to Redis", n)
	}
	if status := r.send(t, good); status != http.StatusNoContent {
		t.Errorf("the good event got %d: the cases above prove nothing", status)
	}
}

func TestValuesThatNothingDependsOn(t *testing.T) {
	r := newRig(t, shared.Server(t).URL())
	epoch := r.enter(t, "ann")
	r.send(t, connectedRow("ann", epoch).with(row{"node": nil, "username": "undefined", "proto_ver": "5", "new_field": []int{1}}))
	if rec := r.record(t, "ann"); rec.Presence != session.Connected || rec.Connections[0].Node != "unknown" {
		t.Errorf("%s, connections %+v", rec.Presence, rec.Connections)
	}
	r.send(t, disconnectedRow("ann", epoch, "x").with(row{"reason": nil}))
	if rec := r.record(t, "ann"); rec.Presence != session.Grace || rec.Reason != "unknown" {
		t.Errorf("%s, reason %q", rec.Presence, rec.Reason)
	}
}

func TestEventsComeAgainAfterAnOutage(t *testing.T) {
	server := shared.Server(t)
	r := newRig(t, server.URL())
	epoch := r.enter(t, "ann")
	server.Stop()
	answer := r.post("/emqx/webhook", encode(t, connectedRow("ann", epoch)))
	if answer.Code != http.StatusServiceUnavailable || answer.Header().Get("Retry-After") == "" {
		t.Errorf("while Redis is away: %d, Retry-After %q", answer.Code, answer.Header().Get("Retry-After"))
	}
	if n := r.counter(t, "holdfast_hook_failures_total", callWebhook); n != 1 {
		t.Errorf("counted %v failures", n)
	}
	server.Restart(t)
	testkit.Eventually(t, 10*time.Second, func() bool {
		return r.send(t, connectedRow("ann", epoch)) == http.StatusNoContent
	}, "the event to be taken once Redis is back")
	if rec := r.record(t, "ann"); rec.Presence != session.Connected {
		t.Errorf("the player is %s after a wiped Redis and a repeated event", rec.Presence)
	}
}
