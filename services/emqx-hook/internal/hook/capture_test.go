package hook

import (
	"bufio"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/holdfast-games/holdfast/services/emqx-hook/internal/api"
)

// recorded is a request that a real EMQX made.
type recorded struct {
	Path string `json:"path"`
	Head string `json:"raw_head"`
	Body string `json:"raw_body"`
}

func (r recorded) contentType() string {
	for line := range strings.Lines(r.Head) {
		if value, ok := strings.CutPrefix(strings.ToLower(line), "content-type:"); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

func captures(tb testing.TB) map[string][]recorded {
	tb.Helper()
	files, err := filepath.Glob("testdata/captures/*.jsonl")
	if err != nil || len(files) == 0 {
		tb.Fatalf("captures: %v, %v", files, err)
	}
	all := map[string][]recorded{}
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			tb.Fatal(err)
		}
		lines := bufio.NewScanner(f)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			var r recorded
			if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
				tb.Fatalf("%s: %v", name, err)
			}
			if r.Path != "" {
				all[filepath.Base(name)] = append(all[filepath.Base(name)], r)
			}
		}
		if err := lines.Err(); err != nil {
			tb.Fatalf("%s: %v", name, err)
		}
		f.Close()
	}
	return all
}

// eventStatus is what the webhook must answer, by what EMQX was set up to
// send: our three events of clients without our attributes are none of our
// business, and everything else is a rule that should not point here.
func eventStatus(path string) int {
	switch path {
	case "/event/connected", "/event/disconnected", "/event/session_subscribed":
		return http.StatusNoContent
	default:
		return http.StatusBadRequest
	}
}

func TestRecordedRequests(t *testing.T) {
	r := newRig(t, "redis://127.0.0.1:1") // none of them may get that far
	count := map[string]int{}
	for file, requests := range captures(t) {
		for _, request := range requests {
			send := func(path string) (status int, body string) {
				answer := postAs(r.handler, path, "Bearer "+hookSecret, request.contentType(), strings.NewReader(request.Body))
				return answer.Code, strings.TrimSpace(answer.Body.String())
			}
			switch request.Path {
			case "/authn", "/authz":
				to := map[string]string{"/authn": "/emqx/auth", "/authz": "/emqx/authz"}[request.Path]
				if status, body := send(to); status != http.StatusOK || body != `{"result":"deny"}` {
					t.Errorf("%s: %s: %d %s", file, request.Body, status, body)
				}
				count[to]++
			default:
				want := eventStatus(request.Path)
				if status, body := send("/emqx/webhook"); status != want {
					t.Errorf("%s: %s: %d %s, want %d", file, request.Body, status, body, want)
				}
				count["/emqx/webhook"]++
			}
		}
	}
	if n := r.trips.take(); n != 0 {
		t.Errorf("%d round trips to Redis", n)
	}
	if count["/emqx/auth"] < 25 || count["/emqx/authz"] < 25 || count["/emqx/webhook"] < 60 {
		t.Errorf("only %v requests were replayed", count)
	}
	if n := r.counter(t, "holdfast_hook_failures_total"); n != 0 {
		t.Errorf("%v of them count as our failure", n)
	}
}

// TestRecordedLoginWithAToken puts a real token into recorded logins, and
// changes nothing else.
func TestRecordedLoginWithAToken(t *testing.T) {
	r := newRig(t, shared.Server(t).URL())
	for file, requests := range captures(t) {
		for _, request := range requests {
			var login api.AuthenticateRequest
			if request.Path != "/authn" || request.contentType() != "application/json" || json.Unmarshal([]byte(request.Body), &login) != nil {
				continue
			}
			password := string(encode(t, login.Password))
			body := strings.Replace(request.Body, `"password":`+password, `"password":"`+r.token(t, login.Clientid)+`"`, 1)
			want := api.ResultDeny
			if login.Username == "" && !strings.ContainsAny(login.Clientid, " /\"é") {
				want = api.ResultAllow // whoever names no other user
			}
			if got := decision(t, r.post("/emqx/auth", []byte(body))).Result; got != want {
				t.Errorf("%s: %s: %s, want %s", file, request.Body, got, want)
			}
		}
	}
	if n := r.counter(t, "holdfast_hook_decisions_total", callAuth, "allow"); n == 0 {
		t.Error("no recorded login was let in: the test proves nothing")
	}
}
