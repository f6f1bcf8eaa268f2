package kicker

import (
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/holdfast-games/holdfast/pkg/secret"
	"github.com/holdfast-games/holdfast/pkg/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// rest is EMQX's REST interface with the answers of a real 5.8.9.
type rest struct {
	url string

	mu      sync.Mutex
	epochs  map[string]int64 // of the clients it has
	hidden  int              // look-ups that do not see a client yet
	fault   func(w http.ResponseWriter) bool
	calls   []string
	answers map[string]recordedAnswer
}

type recordedAnswer struct {
	status int
	body   json.RawMessage
}

func (a *recordedAnswer) UnmarshalJSON(raw []byte) error {
	return json.Unmarshal(raw, &[]any{&a.status, &a.body})
}

func newREST(tb testing.TB) *rest {
	tb.Helper()
	raw, err := os.ReadFile("testdata/rest.json")
	if err != nil {
		tb.Fatal(err)
	}
	r := &rest{epochs: map[string]int64{}}
	if err := json.Unmarshal(raw, &r.answers); err != nil {
		tb.Fatal(err)
	}
	server := httptest.NewServer(r)
	tb.Cleanup(server.Close)
	r.url = server.URL
	return r
}

func (r *rest) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls = append(r.calls, request.Method+" "+request.URL.Path)
	if r.fault != nil && r.fault(w) {
		return
	}
	if key, secret, _ := request.BasicAuth(); key != "the-key" || secret != "the-secret" {
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = io.WriteString(w, `{"code":"BAD_API_KEY_OR_SECRET","message":"Check api_key/api_secret"}`)
		return
	}
	id, ok := strings.CutPrefix(request.URL.Path, "/api/v5/clients/")
	if !ok {
		w.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(w, `{"code":"NOT_FOUND","message":"Request Path Not Found"}`)
		return
	}
	epoch, known := r.epochs[id]
	switch {
	case !known:
		r.answer(w, "GET unknown", nil)
	case request.Method == http.MethodDelete:
		delete(r.epochs, id)
		r.answer(w, "DELETE client", nil)
	case r.hidden > 0:
		r.hidden--
		r.answer(w, "GET unknown", nil)
	default:
		attrs := map[string]string{}
		if epoch != 0 {
			attrs = map[string]string{"player": id, "epoch": strconv.FormatInt(epoch, 10)}
		}
		r.answer(w, "GET client", map[string]any{"clientid": id, "client_attrs": attrs})
	}
}

// answer sends a recorded answer with some fields changed.
func (r *rest) answer(w http.ResponseWriter, name string, changes map[string]any) {
	recorded := r.answers[name]
	body := []byte(recorded.body)
	if changes != nil {
		row := map[string]any{}
		if err := json.Unmarshal(body, &row); err != nil {
			panic(err)
		}
		maps.Copy(row, changes)
		var err error
		if body, err = json.Marshal(row); err != nil {
			panic(err)
		}
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(recorded.status)
	if recorded.status != http.StatusNoContent {
		_, _ = w.Write(body)
	}
}

func (r *rest) has(id string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, ok := r.epochs[id]
	return ok
}

func (r *rest) take() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	calls := r.calls
	r.calls = nil
	return calls
}

func (r *rest) api(tb testing.TB) *EMQX {
	tb.Helper()
	api, err := NewEMQX(r.url, "the-key", "the-secret")
	if err != nil {
		tb.Fatal(err)
	}
	return api
}

func TestLooksAndKicks(t *testing.T) {
	r := newREST(t)
	r.epochs["ann"] = 7
	for _, url := range []string{r.url, r.url + "/", r.url + "/api/v5", r.url + "/api/v5/"} {
		api, err := NewEMQX(url, "the-key", "the-secret")
		if err != nil {
			t.Fatal(err)
		}
		if c, err := api.Client(t.Context(), "ann"); err != nil || c.Epoch != 7 {
			t.Errorf("%s: %+v, %v", url, c, err)
		}
	}
	api := r.api(t)
	if err := api.Kick(t.Context(), "ann"); err != nil || r.has("ann") {
		t.Errorf("kick: %v", err)
	}
	if _, err := api.Client(t.Context(), "ann"); !errors.Is(err, ErrUnknownClient) {
		t.Errorf("a client that is gone: %v", err)
	}
	if err := api.Kick(t.Context(), "ann"); !errors.Is(err, ErrUnknownClient) {
		t.Errorf("a second kick: %v", err)
	}
	r.epochs["other"] = 0
	if c, err := api.Client(t.Context(), "other"); err != nil || c.Epoch != 0 {
		t.Errorf("a client without our attributes: %+v, %v", c, err)
	}
}

func TestErrorsSayWhetherToTryAgain(t *testing.T) {
	for name, c := range map[string]struct {
		status  int
		body    string
		refused bool
	}{
		"overloaded":       {status: 503, body: `{"code":"SERVICE_UNAVAILABLE"}`},
		"broken":           {status: 500, body: `<html>`},
		"throttled":        {status: 429, body: `{}`},
		"wrong key":        {status: 401, body: `{"code":"BAD_API_KEY_OR_SECRET"}`, refused: true},
		"key of a viewer":  {status: 403, body: `{"code":"UNAUTHORIZED_ROLE"}`, refused: true},
		"another server":   {status: 404, body: `404 page not found`, refused: true},
		"no such path":     {status: 404, body: `{"code":"NOT_FOUND"}`, refused: true},
		"somewhere else":   {status: 302, body: ``, refused: true},
		"not EMQX at all":  {status: 200, body: `<html>`},
		"a number as attr": {status: 200, body: `{"client_attrs":{"epoch":7}}`},
	} {
		r := newREST(t)
		r.fault = func(w http.ResponseWriter) bool {
			w.Header().Set("Location", "http://127.0.0.1:1/")
			w.WriteHeader(c.status)
			_, _ = io.WriteString(w, c.body)
			return true
		}
		_, err := r.api(t).Client(t.Context(), "ann")
		if err == nil || errors.Is(err, ErrUnknownClient) || errors.Is(err, ErrRefused) != c.refused {
			t.Errorf("%s: %v, want refused %v", name, err, c.refused)
		}
	}
	nobody, err := NewEMQX("http://127.0.0.1:1", "the-key", "the-secret")
	if err != nil {
		t.Fatal(err)
	}
	if err := nobody.Kick(t.Context(), "ann"); err == nil || errors.Is(err, ErrRefused) || strings.Contains(err.Error(), "the-secret") {
		t.Errorf("nobody listens: %v", err)
	}
}

func TestAddressesAreChecked(t *testing.T) {
	for _, c := range [][3]string{
		{"", "k", "s"},
		{"emqx:18083", "k", "s"},
		{"mqtt://emqx", "k", "s"},
		{"http://", "k", "s"},
		{"http://emqx", "", "s"},
		{"http://emqx", "k", ""},
	} {
		if _, err := NewEMQX(c[0], c[1], secret.Secret(c[2])); err == nil {
			t.Errorf("%q was taken", c)
		}
	}
}
