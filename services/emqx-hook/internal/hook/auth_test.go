package hook

import (
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/holdfast-games/holdfast/pkg/jwtkit"
	"github.com/holdfast-games/holdfast/pkg/session"
	"github.com/holdfast-games/holdfast/pkg/testkit"
	"github.com/holdfast-games/holdfast/services/emqx-hook/internal/api"
)

func TestPlayerIsLetIn(t *testing.T) {
	r := newRig(t, shared.Server(t).URL())
	first := r.login(t, "ann", "ann", r.token(t, "ann"))
	want := api.AuthenticateAnswer{
		Result: api.ResultAllow, IsSuperuser: new(false), ACL: staticRules("ann"),
		ClientAttrs: &api.ClientAttrs{Player: "ann", Epoch: first.ClientAttrs.Epoch},
	}
	if !reflect.DeepEqual(first, want) {
		t.Errorf("answer %+v, want %+v", first, want)
	}
	if rec := r.record(t, "ann"); rec.Presence != session.Detached {
		t.Errorf("an attempt made the player %s", rec.Presence)
	}
	if second := r.enter(t, "ann"); second <= first.ClientAttrs.Epoch {
		t.Errorf("epoch %s after %s", second, first.ClientAttrs.Epoch)
	}
	if a := r.login(t, "ann", "", r.token(t, "ann")); a.Result != api.ResultAllow {
		t.Error("a player without a username was refused")
	}
}

func TestLoginTakesOneRoundTrip(t *testing.T) {
	r := newRig(t, shared.Server(t).URL())
	r.enter(t, "ann") // makes the session, loads the script
	r.trips.take()
	r.enter(t, "ann")
	if n := r.trips.take(); n != 1 {
		t.Errorf("%d round trips for a login", n)
	}
}

func TestPublisherIsSuperuserWithoutSession(t *testing.T) {
	r := newRig(t, shared.Server(t).URL())
	a := r.login(t, "holdfast-0192", publisherName, publisherPassword)
	if a.Result != api.ResultAllow || a.IsSuperuser == nil || !*a.IsSuperuser || a.ClientAttrs != nil {
		t.Errorf("the publisher got %+v", a)
	}
	if n := r.trips.take(); n != 0 {
		t.Errorf("the publisher cost %d round trips", n)
	}
	for _, try := range [][2]string{{publisherName, "wrong"}, {publisherName, ""}, {"other", publisherPassword}, {"", publisherPassword}} {
		if a := r.login(t, "holdfast-0192", try[0], try[1]); a.Result != api.ResultDeny {
			t.Errorf("username %q and password %q were let in", try[0], try[1])
		}
	}
}

func TestUnsetPublisherPasswordLetsNobodyIn(t *testing.T) {
	h := New(Config{Secret: hookSecret, PublisherUsername: publisherName, Tokens: failing{}, Log: quiet(), Registry: registry()})
	answer := post(h.Handler(), "/emqx/auth", encode(t, map[string]string{"clientid": "x", "username": publisherName, "password": ""}))
	if decision(t, answer).Result != api.ResultDeny {
		t.Error("the empty password is the publisher's")
	}
}

func TestWhatIsNotProvedIsDenied(t *testing.T) {
	r := newRig(t, shared.Server(t).URL())
	token := r.token(t, "ann")
	revoked := r.token(t, "bob")
	if _, _, err := r.keeper.End(t.Context(), "bob", session.Ending{Reason: "banned", Revoke: true}); err != nil {
		t.Fatal(err)
	}
	other := newRig(t, "redis://127.0.0.1:1") // with keys of its own
	object := func(fields string) string {
		return `{"clientid":"ann","username":"ann","password":"` + token + `"` + fields + `}`
	}
	for name, body := range map[string]string{
		"client id of another":      strings.Replace(object(""), `"clientid":"ann"`, `"clientid":"bob"`, 1),
		"client id in another case": strings.Replace(object(""), `"clientid":"ann"`, `"clientid":"Ann"`, 1),
		"no client id":              strings.Replace(object(""), `"clientid":"ann",`, ``, 1),
		"username of another":       strings.Replace(object(""), `"username":"ann"`, `"username":"bob"`, 1),
		"no password":               `{"clientid":"ann","username":"ann"}`,
		"token of another house":    `{"clientid":"ann","username":"ann","password":"` + other.token(t, "ann") + `"}`,
		"revoked token":             `{"clientid":"bob","username":"bob","password":"` + revoked + `"}`,
		"numbers":                   `{"clientid":1,"username":2,"password":3}`,
		"an array":                  `[` + object("") + `]`,
		"null":                      `null`,
		"no JSON":                   `clientid=ann`,
		"half of it":                object("")[:60],
		"nothing":                   ``,
		"too much":                  object(`,"peerhost":"` + strings.Repeat("x", 64<<10) + `"`),
	} {
		t.Run(name, func(t *testing.T) {
			answer := r.post("/emqx/auth", []byte(body))
			if got := strings.TrimSpace(answer.Body.String()); got != `{"result":"deny"}` || answer.Code != http.StatusOK {
				t.Errorf("%d %s", answer.Code, got)
			}
		})
	}
	if answer := postAs(r.handler, "/emqx/auth", "Bearer "+hookSecret, "text/plain", strings.NewReader(object(""))); decision(t, answer).Result != api.ResultDeny {
		t.Error("a body of another media type was let in")
	}
	if a := r.login(t, "ann", "ann", token); a.Result != api.ResultAllow {
		t.Error("the same token with the right client id was refused: the cases above prove nothing")
	}
	r.tokens.Advance(16 * time.Minute)
	if a := r.login(t, "ann", "ann", token); a.Result != api.ResultDeny {
		t.Error("an expired token was let in")
	}
	if n := r.counter(t, "holdfast_hook_failures_total"); n != 0 {
		t.Errorf("%v denials count as our failure", n)
	}
}

// failing verifies every token, or fails.
type failing struct{ err error }

func (f failing) Verify(string) (jwtkit.Claims, error) { return jwtkit.Claims{Player: "ann"}, f.err }

func TestRedisAwayIsADenialInTime(t *testing.T) {
	const promised = 4 * time.Second // EMQX waits for 5 s
	server := shared.Server(t)
	r := newRig(t, server.URL())
	r.enter(t, "ann")
	check := func(state string) {
		t.Helper()
		before := r.counter(t, "holdfast_hook_failures_total", "auth")
		start := time.Now()
		if a := r.login(t, "ann", "ann", r.token(t, "ann")); a.Result != api.ResultDeny {
			t.Errorf("%s: let in", state)
		}
		if took := time.Since(start); took > promised {
			t.Errorf("%s: the answer took %s", state, took)
		}
		if n := r.counter(t, "holdfast_hook_failures_total", "auth") - before; n != 1 {
			t.Errorf("%s: counted %v failures", state, n)
		}
	}
	server.Pause(t)
	check("a Redis that hangs")
	server.Resume(t)
	server.Stop()
	check("a Redis that is gone")
	server.Restart(t)
	testkit.Eventually(t, 10*time.Second, func() bool {
		return r.login(t, "ann", "ann", r.token(t, "ann")).Result == api.ResultAllow
	}, "a login once Redis is back")
}

func TestLoadingRedisIsADenial(t *testing.T) {
	m := miniredis.RunT(t)
	r := newRig(t, "redis://"+m.Addr())
	m.SetError("LOADING Redis is loading the dataset in memory")
	if a := r.login(t, "ann", "ann", r.token(t, "ann")); a.Result != api.ResultDeny {
		t.Error("let in")
	}
	m.SetError("")
	if a := r.login(t, "ann", "ann", r.token(t, "ann")); a.Result != api.ResultAllow {
		t.Error("refused once Redis was back")
	}
}

func TestPanicIsADenial(t *testing.T) {
	h := New(Config{Secret: hookSecret, Tokens: failing{}, Log: quiet(), Registry: registry()}) // Sessions is nil
	answer := post(h.Handler(), "/emqx/auth", []byte(`{"clientid":"ann","username":"ann","password":"x"}`))
	if decision(t, answer).Result != api.ResultDeny {
		t.Error("let in")
	}
	answer = post(h.Handler(), "/emqx/webhook", encode(t, connectedRow("ann", "5")))
	if answer.Code != http.StatusInternalServerError {
		t.Errorf("an event: %d", answer.Code)
	}
}

func TestWithoutSecretNothingHappens(t *testing.T) {
	r := newRig(t, shared.Server(t).URL())
	bodies := map[string][]byte{
		"/emqx/auth":    encode(t, map[string]string{"clientid": "ann", "username": "ann", "password": r.token(t, "ann")}),
		"/emqx/authz":   encode(t, map[string]string{"clientid": "ann", "topic": "player/ann/#", "action": "subscribe"}),
		"/emqx/webhook": encode(t, connectedRow("ann", "5")),
		"/emqx/other":   nil,
	}
	for path, body := range bodies {
		for _, authorization := range []string{"", "Bearer ", "Bearer wrong", hookSecret, "Basic " + hookSecret, "Bearer " + hookSecret + "x"} {
			answer := postAs(r.handler, path, authorization, "application/json", strings.NewReader(string(body)))
			if answer.Code != http.StatusUnauthorized || !strings.Contains(answer.Body.String(), `"hook_unauthorized"`) {
				t.Errorf("%s with %q: %d %s", path, authorization, answer.Code, answer.Body)
			}
		}
	}
	if n := r.trips.take(); n != 0 {
		t.Errorf("%d round trips to Redis", n)
	}
	unset := New(Config{Tokens: failing{}, Log: quiet(), Registry: registry()}).Handler()
	if answer := postAs(unset, "/emqx/auth", "Bearer ", "application/json", strings.NewReader("{}")); answer.Code != http.StatusUnauthorized {
		t.Errorf("a hook without a secret answered %d", answer.Code)
	}
}
