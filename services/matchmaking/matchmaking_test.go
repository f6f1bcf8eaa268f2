package matchmaking_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/holdfast-games/holdfast/pkg/config"
	"github.com/holdfast-games/holdfast/pkg/service"
	"github.com/holdfast-games/holdfast/pkg/testkit"
	"github.com/holdfast-games/holdfast/pkg/testkit/faultproxy"
	"github.com/holdfast-games/holdfast/services/matchmaking"
)

const base = "/api/matchmaking"

func one(t *testing.T) *instance {
	t.Helper()
	url := shared.Server(t).URL()
	return newHouse(t, url).start(url, nil)
}

// awaitMatch waits until all players are in one match, and returns it.
func awaitMatch(t *testing.T, h *house, players ...string) string {
	t.Helper()
	var match string
	testkit.Eventually(t, 15*time.Second, func() error {
		match = h.inMatch(players[0])
		for _, p := range players {
			if in := h.inMatch(p); in == "" || in != match {
				return fmt.Errorf("%s is in %q, %s in %q", players[0], match, p, in)
			}
		}
		return nil
	}, "one match for all")
	return match
}

func TestTwoPlayersMeetAndPart(t *testing.T) {
	i := one(t)
	for _, p := range []string{"ann", "bob"} {
		i.connect(p)
	}
	joined := i.call("POST", base+"/queue", i.token("ann"), map[string]any{"queue": "duel"})
	if joined.status != http.StatusOK || joined.body["position"] != 1.0 || joined.body["already"] != false || joined.body["presence"] != "connected" {
		t.Fatalf("join: %+v", joined)
	}
	again := i.call("POST", base+"/queue", i.token("ann"), map[string]any{"queue": "duel"})
	if again.body["already"] != true || again.body["ticketId"] != joined.body["ticketId"] || again.body["queuedAt"] != joined.body["queuedAt"] {
		t.Fatalf("join again: %+v", again)
	}
	list := i.call("GET", base+"/queue", i.token("ann"), nil)
	if !strings.Contains(fmt.Sprint(list.body["tickets"]), "held:false position:1 queue:duel") {
		t.Fatalf("own tickets: %+v", list.body)
	}
	i.call("POST", base+"/queue", i.token("bob"), map[string]any{"queue": "duel"})
	match := awaitMatch(t, i.house, "ann", "bob")
	if refused := i.call("POST", base+"/queue", i.token("ann"), map[string]any{"queue": "casual"}); refused.status != 409 || refused.code() != "in_match" {
		t.Errorf("queueing in a match: %+v", refused)
	}
	got := i.call("GET", base+"/matches/"+match, i.token("bob"), nil)
	if got.status != 200 || got.body["state"] != "found" || fmt.Sprint(got.body["players"]) != "[ann bob]" || got.body["remainingMs"] == nil {
		t.Errorf("the match: %+v", got)
	}
	if got := i.call("GET", base+"/matches/"+match, i.token("eve"), nil); got.status != 403 || got.code() != "not_in_match" {
		t.Errorf("a stranger: %+v", got)
	}
	queues := i.call("GET", base+"/queues", "", nil)
	if !strings.Contains(fmt.Sprint(queues.body), "inMatch:2 queue:duel waiting:0") {
		t.Errorf("queues: %+v", queues.body)
	}
	for range 2 {
		for _, p := range []string{"ann", "bob"} {
			if left := i.call("POST", base+"/matches/"+match+"/leave", i.token(p), nil); left.status != 204 {
				t.Errorf("leave: %+v", left)
			}
		}
	}
	if got := i.call("GET", base+"/matches/"+match, i.token("ann"), nil); got.body["state"] != "void" || got.body["reason"] != "everybody_left" {
		t.Errorf("afterwards: %+v", got)
	}
	if queues := i.call("GET", base+"/queues", "", nil); !strings.Contains(fmt.Sprint(queues.body), "inMatch:0 queue:duel waiting:0") {
		t.Errorf("queues afterwards: %+v", queues.body)
	}
}

func TestLeavingQueues(t *testing.T) {
	i := one(t)
	i.connect("ann")
	token := i.token("ann")
	for _, body := range []map[string]any{{"queue": "ranked"}, {"queue": "casual"}, {"modId": "default", "gameMode": "ranked"}} {
		if a := i.call("POST", base+"/queue", token, body); a.status != 200 {
			t.Fatalf("join %v: %+v", body, a)
		}
	}
	for _, c := range []struct {
		target string
		body   any
		left   int
	}{
		{base + "/queue", map[string]any{"modId": "default", "gameMode": "ranked"}, 2},
		{base + "/queue?queue=ranked", nil, 1},
		{base + "/queue?queue=ranked", nil, 1},
		{base + "/queue?queue=never-heard-of", nil, 1},
		{base + "/queue/all", nil, 0},
		{base + "/queue/all", nil, 0},
	} {
		if a := i.call("DELETE", c.target, token, c.body); a.status != 204 {
			t.Errorf("%s: %+v", c.target, a)
		}
		list := i.call("GET", base+"/queue", token, nil)
		if tickets, _ := list.body["tickets"].([]any); len(tickets) != c.left {
			t.Errorf("after %s: %v", c.target, list.body)
		}
	}
}

func TestRefusals(t *testing.T) {
	i := one(t)
	token := i.token("ann")
	many := map[string]any{}
	for n := range 17 {
		many[fmt.Sprint("a", n)] = "x"
	}
	for name, c := range map[string]struct {
		method, target, token string
		body                  any
		status                int
		code                  string
	}{
		"no token":           {"POST", "/queue", "", map[string]any{"queue": "duel"}, 401, "token_missing"},
		"a bad token":        {"GET", "/queue", "x.y.z", nil, 401, "token_malformed"},
		"unknown queue":      {"POST", "/queue", token, map[string]any{"queue": "nowhere"}, 404, "unknown_queue"},
		"unknown mod":        {"POST", "/queue", token, map[string]any{"modId": "a", "gameMode": "b"}, 404, "unknown_queue"},
		"no queue":           {"POST", "/queue", token, map[string]any{}, 400, "invalid_field"},
		"half a queue":       {"POST", "/queue", token, map[string]any{"modId": "a"}, 400, "invalid_field"},
		"no body":            {"POST", "/queue", token, nil, 400, "invalid_json"},
		"no JSON":            {"POST", "/queue", token, "{", 400, "invalid_json"},
		"too many attrs":     {"POST", "/queue", token, map[string]any{"queue": "duel", "attributes": many}, 400, "invalid_field"},
		"a long attr":        {"POST", "/queue", token, map[string]any{"queue": "duel", "attributes": map[string]any{"a": strings.Repeat("x", 129)}}, 400, "invalid_field"},
		"a negative latency": {"POST", "/queue", token, map[string]any{"queue": "duel", "latencies": map[string]any{"eu": -1}}, 400, "invalid_field"},
		"leave nothing":      {"DELETE", "/queue", token, nil, 400, "invalid_field"},
		"unknown match":      {"GET", "/matches/00.x", token, nil, 404, "unknown_match"},
		"leave no match":     {"POST", "/matches/00.x/leave", token, nil, 404, "unknown_match"},
	} {
		t.Run(name, func(t *testing.T) {
			a := i.call(c.method, base+c.target, c.token, c.body)
			if a.status != c.status || a.code() != c.code {
				t.Errorf("got %d %s, want %d %s", a.status, a.code(), c.status, c.code)
			}
		})
	}
}

func TestARetryIsAnsweredWithTheSameTicket(t *testing.T) {
	i := one(t)
	i.connect("ann")
	join := func(key string) answer {
		return i.call("POST", base+"/queue", i.token("ann"), map[string]any{"queue": "duel"}, "Idempotency-Key", key)
	}
	first := join("k1")
	i.call("DELETE", base+"/queue/all", i.token("ann"), nil)
	if late := join("k1"); late.status != 200 || late.body["ticketId"] != first.body["ticketId"] || late.body["already"] != true {
		t.Errorf("a retry after leaving: %+v, first %+v", late, first)
	}
	if long := join(strings.Repeat("k", 129)); long.status != 400 {
		t.Errorf("a long key: %+v", long)
	}
}

func TestCasualFillsUp(t *testing.T) {
	url := shared.Server(t).URL()
	file := filepath.Join(t.TempDir(), "queues.yaml")
	if err := os.WriteFile(file, []byte("queues:\n  casual: {players: {min: 2, max: 4}, fillTime: 1s}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	i := newHouse(t, url).start(url, map[string]string{"QUEUES_FILE": file})
	players := []string{"a", "b", "c", "d", "e", "f"}
	for _, p := range players {
		i.connect(p)
		i.call("POST", base+"/queue", i.token(p), map[string]any{"queue": "casual"})
	}
	first, second := awaitMatch(t, i.house, players[:4]...), awaitMatch(t, i.house, players[4:]...)
	if first == second {
		t.Error("six players in a match of four")
	}
}

func TestWithoutRedisClientsAreAskedToWait(t *testing.T) {
	server := shared.Server(t)
	i := newHouse(t, server.URL()).start(server.URL(), nil)
	i.connect("ann")
	token := i.token("ann")
	server.Kill()
	for _, c := range [][2]string{{"POST", "/queue"}, {"GET", "/queue"}, {"DELETE", "/queue/all"}, {"GET", "/queues"}, {"GET", "/matches/00.x"}} {
		var body any
		if c[0] == "POST" {
			body = map[string]any{"queue": "duel"}
		}
		a := i.call(c[0], base+c[1], token, body)
		if a.status != 503 || a.header.Get("Retry-After") == "" || a.body["retryAfterMs"] == nil {
			t.Errorf("%s %s: %+v", c[0], c[1], a)
		}
	}
	server.Restart(t) // empty: everything is lost but the tokens
	testkit.Eventually(t, 10*time.Second, func() bool {
		return i.call("POST", base+"/queue", token, map[string]any{"queue": "duel"}).status == 200
	}, "joining to work again")
}

// TestOneOfTwoInstancesIsKilled has many players queue at two instances, one
// of which loses Redis in the middle and is never heard of again.
func TestOneOfTwoInstancesIsKilled(t *testing.T) {
	players := 2000
	if testing.Short() {
		players = 200
	}
	server := shared.Server(t)
	h := newHouse(t, server.URL())
	cable := faultproxy.Start(t, server.Addr())
	doomed, other := h.start("redis://"+cable.Addr(), nil), h.start(server.URL(), nil)
	names := make([]string, players)
	for n := range names {
		names[n] = fmt.Sprintf("p%04d", n)
		h.connect(names[n])
	}
	var killed sync.Once
	work := make(chan int, players)
	for n := range names {
		work <- n
	}
	close(work)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for n := range work {
				if n == players/2 {
					killed.Do(func() {
						cable.Cut()
						go doomed.loops.Stop()
					})
				}
				at := doomed
				if n%2 == 0 || n > players/2 {
					at = other
				}
				joinSomehow(t, at, other, names[n])
			}
		})
	}
	wg.Wait()
	checkPairs(t, other, names)
}

// joinSomehow joins as a client behind a gateway does: what fails is retried,
// at the instance that is left.
func joinSomehow(t *testing.T, first, then *instance, player string) {
	t.Helper()
	queueName := "duel"
	if player[len(player)-1] >= '5' {
		queueName = "ranked"
	}
	for _, at := range []*instance{first, then, then} {
		a := at.call("POST", base+"/queue", at.token(player), map[string]any{"queue": queueName}, "Idempotency-Key", "once")
		if a.status == 200 || a.code() == "in_match" {
			return
		}
	}
	t.Errorf("%s could not join", player)
}

// checkPairs wants every player in exactly one match, in which both agree.
func checkPairs(t *testing.T, i *instance, names []string) {
	t.Helper()
	matches := map[string][]string{}
	testkit.Eventually(t, 60*time.Second, func() error {
		clear(matches)
		for _, p := range names {
			match := i.inMatch(p)
			if match == "" {
				return fmt.Errorf("%s is in no match: %+v", p, i.record(p).Places)
			}
			matches[match] = append(matches[match], p)
		}
		return nil
	}, "everybody to be in a match")
	for id, pair := range matches {
		if len(pair) != 2 {
			t.Errorf("match %s has %v", id, pair)
		}
		for _, p := range pair {
			a := i.call("GET", base+"/matches/"+id, i.token(p), nil)
			players := strings.Fields(strings.Trim(fmt.Sprint(a.body["players"]), "[]"))
			slices.Sort(players)
			if a.body["state"] != "found" || !slices.Equal(players, pair) {
				t.Errorf("match %s: the record says %v, the sessions %v", id, a.body, pair)
			}
		}
	}
	if len(matches) != len(names)/2 {
		t.Errorf("%d matches for %d players", len(matches), len(names))
	}
}

func TestNewRefusesBadSettings(t *testing.T) {
	for name, vars := range map[string]map[string]string{
		"no such file": {"QUEUES_FILE": "/does/not/exist.yaml"},
		"unknown mode": {"MODE": "party"},
		"no Redis URL": {"REDIS_URL": "nonsense"},
		"shards":       {"SHARDS": "0"},
	} {
		t.Run(name, func(t *testing.T) {
			vars["DATABASE_URL"] = "sqlite://" + filepath.Join(t.TempDir(), "x.db")
			env := service.Env{
				Vars: config.Environ{}.With(vars), Log: slog.New(slog.DiscardHandler), Registry: prometheus.NewRegistry(),
			}
			if _, err := matchmaking.New(t.Context(), env); err == nil {
				t.Error("it started")
			}
		})
	}
}
