package broker

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// patience is how long a test waits for what must happen.
const patience = 10 * time.Second

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// request is one call that the hook service got.
type request struct {
	path   string
	header http.Header
	body   map[string]any
	host   string
	answer int
}

func (r request) str(key string) string { s, _ := r.body[key].(string); return s }
func (r request) num(key string) int64  { n, _ := r.body[key].(float64); return int64(n) }

// reply is what the hook service answers.
type reply struct {
	status int
	kind   string // content type, "" = application/json, "none" = no header
	body   string
	abort  bool          // close the connection instead
	until  chan struct{} // wait for this before answering
}

func allow(extra string) reply { return reply{status: 200, body: `{"result":"allow"` + extra + `}`} }

// hooks is a recording hook service with answers to order.
type hooks struct {
	server *httptest.Server

	mu       sync.Mutex
	changed  chan struct{} // closed and replaced at each request
	requests []request
	answers  map[string]func(request) reply
}

func newHooks(t *testing.T) *hooks {
	t.Helper()
	h := &hooks{changed: make(chan struct{}), answers: map[string]func(request) reply{}}
	h.server = httptest.NewServer(h)
	t.Cleanup(h.server.Close)
	return h
}

// on sets the answers for a path: /authn, /authz or /event.
func (h *hooks) on(path string, f func(request) reply) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.answers[path] = f
}

func (h *hooks) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	req := request{path: r.URL.Path, header: r.Header, host: r.Host}
	raw, _ := io.ReadAll(r.Body)
	_ = json.Unmarshal(raw, &req.body)
	h.mu.Lock()
	answer := allow("")
	f := h.answers[req.path]
	h.mu.Unlock()
	if f != nil {
		answer = f(req)
	}
	req.answer = answer.status
	h.mu.Lock()
	h.requests = append(h.requests, req)
	close(h.changed)
	h.changed = make(chan struct{})
	h.mu.Unlock()
	if answer.until != nil {
		<-answer.until
	}
	if answer.abort {
		panic(http.ErrAbortHandler)
	}
	switch answer.kind {
	case "":
		w.Header().Set("Content-Type", "application/json")
	case "none":
		w.Header()["Content-Type"] = nil
	default:
		w.Header().Set("Content-Type", answer.kind)
	}
	w.WriteHeader(answer.status)
	_, _ = io.WriteString(w, answer.body)
}

// seen returns the requests to the path so far, in order of arrival.
func (h *hooks) seen(path string) []request {
	h.mu.Lock()
	defer h.mu.Unlock()
	var found []request
	for _, r := range h.requests {
		if r.path == path {
			found = append(found, r)
		}
	}
	return found
}

// events returns the events of the kind for the client, in order of arrival.
func (h *hooks) events(kind, client string) []request {
	return slices.DeleteFunc(h.seen("/event"), func(r request) bool {
		return r.str("event") != kind || r.str("clientid") != client
	})
}

// await waits until the condition holds; it is checked at each request.
func (h *hooks) await(t *testing.T, what string, condition func() bool) {
	t.Helper()
	deadline := time.After(patience)
	for {
		h.mu.Lock()
		changed := h.changed
		h.mu.Unlock()
		if condition() {
			return
		}
		select {
		case <-changed:
		case <-deadline:
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// awaitEvent returns the client's n-th event of the kind, from 1.
func (h *hooks) awaitEvent(t *testing.T, kind, client string, n int) request {
	t.Helper()
	h.await(t, kind+" of "+client, func() bool { return len(h.events(kind, client)) >= n })
	return h.events(kind, client)[n-1]
}

// eventually polls for what nothing announces.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(patience); !condition(); {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

// startBroker runs a broker against the hooks until the end of the test.
func startBroker(t *testing.T, h *hooks, change ...func(*Config)) *Broker {
	t.Helper()
	cfg := Config{
		TCPAddr: "127.0.0.1:0", APIKey: "key", APISecret: "secret", HookSecret: "s3cret",
		AuthURL: h.server.URL + "/authn", AuthzURL: h.server.URL + "/authz", WebhookURL: h.server.URL + "/event",
		ResumeInterval: 20 * time.Millisecond,
	}
	for _, f := range change {
		f(&cfg)
	}
	b, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeBroker(t, b) })
	return b
}

func closeBroker(t *testing.T, b *Broker) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience) //nolint:usetesting // the test's context is over in a cleanup
	defer cancel()
	if err := b.Close(ctx); err != nil {
		t.Errorf("close: %v", err)
	}
}

func flush(t *testing.T, b *Broker) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := b.Flush(ctx); err != nil {
		t.Fatalf("flush: %v", err)
	}
}
