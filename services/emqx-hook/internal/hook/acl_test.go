package hook

import (
	"net/http"
	"strings"
	"testing"

	"github.com/holdfast-games/holdfast/services/emqx-hook/internal/api"
)

// verdict is what the rules of a login say: "allow", "deny", or "ask" when
// none matches and EMQX goes on to /emqx/authz. It follows EMQX: first match
// wins; "eq " compares literally; otherwise a requested filter is compared
// level by level, and a "+" of the rule takes any level, even a requested "#".
func verdict(rules []api.ACLRule, action api.ACLRuleAction, requested string) string {
	for _, r := range rules {
		if r.Action != api.ACLRuleActionAll && r.Action != action {
			continue
		}
		literal, isLiteral := strings.CutPrefix(r.Topic, "eq ")
		if isLiteral && literal == requested || !isLiteral && covers(r.Topic, requested) {
			return string(r.Permission)
		}
	}
	return "ask"
}

func covers(rule, requested string) bool {
	want, have := strings.Split(rule, "/"), strings.Split(requested, "/")
	if strings.HasPrefix(requested, "$") && (want[0] == "+" || want[0] == "#") {
		return false
	}
	for i, w := range want {
		if w == "#" {
			return true
		}
		if i >= len(have) || w != "+" && w != have[i] {
			return false
		}
	}
	return len(want) == len(have)
}

func TestTheEvaluatorKnowsThePitfalls(t *testing.T) {
	rule := func(topic string) []api.ACLRule {
		return []api.ACLRule{{Permission: api.ACLRulePermissionAllow, Action: api.ACLRuleActionSubscribe, Topic: topic}}
	}
	for _, c := range []struct{ rule, requested, want string }{
		{"room/+", "room/#", "allow"},
		{"room/#", "room", "allow"},
		{"room/+", "room/1/x", "ask"},
		{"eq room/#", "room/#", "allow"},
		{"eq room/#", "room/1", "ask"},
		{"#", "$SYS/x", "ask"},
	} {
		if got := verdict(rule(c.rule), api.ACLRuleActionSubscribe, c.requested); got != c.want {
			t.Errorf("rule %q, requested %q: %s, want %s", c.rule, c.requested, got, c.want)
		}
	}
}

// accessTable says what a player "ann" may do. "ask" in the static column
// leaves it to /emqx/authz, which denies until there are lobbies.
var accessTable = []struct {
	action api.ACLRuleAction
	topic  string
	static string
}{
	{"subscribe", "player/ann/#", "allow"},
	{"subscribe", "player/ann/+", "allow"},
	{"subscribe", "player/ann/session", "allow"},
	{"subscribe", "player/ann/matchmaking", "allow"},
	{"subscribe", "player/ann/notifications", "allow"},
	{"publish", "player/ann/session", "deny"},
	{"publish", "player/ann/anything", "deny"},
	{"publish", "player/ann", "deny"},
	{"subscribe", "player/bob/#", "deny"},
	{"subscribe", "player/bob/session", "deny"},
	{"publish", "player/bob/session", "deny"},
	{"subscribe", "player/anne/session", "deny"},
	{"subscribe", "player/+/session", "deny"},
	{"subscribe", "player/+/#", "deny"},
	{"subscribe", "player/#", "deny"},
	{"subscribe", "player", "deny"},
	{"subscribe", "#", "deny"},
	{"subscribe", "+/#", "deny"},
	{"subscribe", "$SYS/#", "deny"},
	{"subscribe", "$SYS/brokers/+/clients/+/connected", "deny"},
	{"publish", "$SYS/x", "deny"},
	{"subscribe", "+/ann/session", "ask"},
	{"subscribe", "+/+/session", "ask"},
	{"subscribe", "+", "ask"},
	{"subscribe", "+/+", "ask"},
	{"subscribe", "lobby/ABC123/events", "ask"},
	{"subscribe", "lobby/ABC123/players/+/info", "ask"},
	{"subscribe", "lobby/#", "ask"},
	{"publish", "lobby/ABC123/players/ann/actions", "ask"},
	{"publish", "anything/else", "ask"},
	{"subscribe", "", "ask"},
}

func TestStaticRules(t *testing.T) {
	for _, c := range accessTable {
		if got := verdict(staticRules("ann"), c.action, c.topic); got != c.static {
			t.Errorf("%s %q: the rules say %s, want %s", c.action, c.topic, got, c.static)
		}
	}
}

// TestAuthorizeAgrees shows that the login's rules and /emqx/authz never
// contradict each other, and that what the rules leave open is denied.
func TestAuthorizeAgrees(t *testing.T) {
	r := newRig(t, "redis://127.0.0.1:1") // not asked
	for _, c := range accessTable {
		want := api.ResultDeny
		if c.static == "allow" {
			want = api.ResultAllow
		}
		if got := r.authorize(t, "ann", string(c.action), c.topic); got != want {
			t.Errorf("%s %q: %s, want %s", c.action, c.topic, got, want)
		}
	}
	if n := r.trips.take(); n != 0 {
		t.Errorf("%d round trips to Redis", n)
	}
}

func (r *rig) authorize(tb testing.TB, clientID, action, topic string) api.Result {
	tb.Helper()
	return accessDecision(tb, r, encode(tb, map[string]string{
		"clientid": clientID, "username": clientID, "topic": topic, "action": action, "qos": "1", "retain": "false",
	}))
}

func accessDecision(tb testing.TB, r *rig, body []byte) api.Result {
	tb.Helper()
	answer := r.post("/emqx/authz", body)
	result := decision(tb, answer).Result
	if want := `{"result":"` + string(result) + `"}`; strings.TrimSpace(answer.Body.String()) != want {
		tb.Fatalf("answer %s, want %s", answer.Body, want)
	}
	return result
}

func TestAuthorizeDeniesNonsense(t *testing.T) {
	r := newRig(t, "redis://127.0.0.1:1")
	for _, body := range []string{
		``, `null`, `[]`, `{`, `{"clientid":"ann"}`, `{"clientid":1,"topic":"player/ann/#","action":"subscribe"}`,
		`{"topic":"player//#","action":"subscribe"}`, `{"clientid":"","topic":"player//+","action":"subscribe"}`,
		`{"clientid":"+","topic":"player/+/+","action":"subscribe"}`, `{"clientid":"+","topic":"player/+/session","action":"subscribe"}`,
		`{"clientid":"ann","topic":"player/ann/#","action":"publish"}`, `{"clientid":"ann","topic":"player/ann/#","action":"all"}`,
		`{"clientid":"ann","topic":"player/ann/#"}`, `{"clientid":"ann","topic":"$share/g/player/ann/#","action":"subscribe"}`,
		`{"clientid":"ann","topic":"` + strings.Repeat("x", 64<<10) + `","action":"subscribe"}`,
		`{"clientid":"` + publisherName + `","username":"` + publisherName + `","topic":"player/ann/session","action":"publish"}`,
	} {
		if got := accessDecision(t, r, []byte(body)); got != api.ResultDeny {
			t.Errorf("%.80s: %s", body, got)
		}
	}
	if answer := r.post("/emqx/authz", []byte(`{"clientid":"ann","topic":"player/ann/#","action":"subscribe"}`)); answer.Code != http.StatusOK {
		t.Error(answer.Code)
	}
}
