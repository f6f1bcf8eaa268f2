package hook

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/holdfast-games/holdfast/pkg/apperr"
	"github.com/holdfast-games/holdfast/pkg/id"
	"github.com/holdfast-games/holdfast/pkg/jwtkit"
	"github.com/holdfast-games/holdfast/proto/topic"
	"github.com/holdfast-games/holdfast/services/emqx-hook/internal/api"
)

// onlyToken verifies one token, of the player "ann".
type onlyToken string

func (o onlyToken) Verify(token string) (jwtkit.Claims, error) {
	if token != string(o) {
		return jwtkit.Claims{}, jwtkit.ErrMalformed
	}
	return jwtkit.Claims{Player: "ann"}, nil
}

func fuzzed() http.Handler {
	return New(Config{
		Secret: hookSecret, PublisherUsername: publisherName, PublisherPassword: publisherPassword,
		Tokens: onlyToken("the-token"), Sessions: broken{}, Log: quiet(), Registry: registry(),
	}).Handler()
}

func seed(f *testing.F, path string, bodies ...string) {
	f.Helper()
	for _, requests := range captures(f) {
		for _, request := range requests {
			if strings.HasPrefix(request.Path, path) {
				f.Add([]byte(request.Body))
			}
		}
	}
	for _, b := range bodies {
		f.Add([]byte(b))
	}
}

// FuzzAuthenticate: whatever the body, the answer is one that EMQX obeys, and
// nobody gets in without the token or the password.
func FuzzAuthenticate(f *testing.F) {
	seed(f, "/authn", `{"clientid":"ann","username":"ann","password":"the-token"}`, `{"CLIENTID":"ann","password":"the-token"}`,
		`{"clientid":"x","username":"`+publisherName+`","password":"`+publisherPassword+`"}`)
	h := fuzzed()
	f.Fuzz(func(t *testing.T, body []byte) {
		a := decision(t, post(h, "/emqx/auth", body))
		if a.Result != api.ResultAllow {
			return
		}
		var request api.AuthenticateRequest
		if err := json.Unmarshal(body, &request); err != nil {
			t.Fatalf("%q was let in", body)
		}
		player := request.Password == "the-token" && request.Clientid == "ann" && a.ClientAttrs.Player == "ann" && !*a.IsSuperuser
		publisher := request.Password == publisherPassword && request.Username == publisherName && *a.IsSuperuser
		if !player && !publisher {
			t.Fatalf("%q was let in as %+v", body, a)
		}
	})
}

// FuzzAuthorize: whatever the body, the answer is one that EMQX obeys, and
// nobody reaches a topic of somebody else.
func FuzzAuthorize(f *testing.F) {
	seed(f, "/authz", `{"clientid":"ann","topic":"player/ann/#","action":"subscribe"}`, `{"clientid":"+","topic":"player/+/+","action":"subscribe"}`,
		`{"clientid":"ann","topic":"player/ann/session","action":"publish"}`)
	h := fuzzed()
	f.Fuzz(func(t *testing.T, body []byte) {
		if decision(t, post(h, "/emqx/authz", body)).Result != api.ResultAllow {
			return
		}
		var request api.AuthorizeRequest
		if err := json.Unmarshal(body, &request); err != nil || request.Action != "subscribe" || !topic.ValidPlayer(request.Clientid) {
			t.Fatalf("%q is allowed", body)
		}
		if verdict(staticRules(request.Clientid), api.ACLRuleActionSubscribe, request.Topic) != "allow" {
			t.Fatalf("%q is allowed, and the login's rules do not say so", body)
		}
	})
}

// FuzzParseEvent: what is taken as an event of ours names a connection that
// the session scripts can keep; what is not is refused as Invalid.
func FuzzParseEvent(f *testing.F) {
	seed(f, "/event", string(encode(f, connectedRow("ann", "5"))), string(encode(f, disconnectedRow("ann", "5", "normal"))),
		string(encode(f, subscribedRow("ann", "player/ann/#"))), `{"event":"client.connected","clientid":"ann","client_attrs":{"player":"ann","epoch":"1e3"}}`)
	f.Fuzz(func(t *testing.T, body []byte) {
		e, ours, err := parseEvent(body)
		switch {
		case err != nil:
			if apperr.From(err).Kind != apperr.Invalid || ours {
				t.Fatalf("%q: %v", body, err)
			}
		case e.kind == "":
			t.Fatalf("%q: no kind and no error", body)
		case !ours:
		case !id.Valid(e.player) || e.kind == sessionSubscribed && e.topic == "":
			t.Fatalf("%q: %+v", body, e)
		case e.kind != sessionSubscribed:
			c := string(e.connection)
			if e.connection.Epoch() < 1 || strings.ContainsAny(c, " \t\r\n") || len(c) > 400 || strings.Count(c, "/") < 2 || e.node == "" || e.reason == "" {
				t.Fatalf("%q: %+v", body, e)
			}
		}
	})
}
