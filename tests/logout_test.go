package tests

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/holdfast-games/holdfast/pkg/testkit"
	"github.com/holdfast-games/holdfast/proto/wire"
	"github.com/holdfast-games/holdfast/tests/player"
	"github.com/holdfast-games/holdfast/tests/stack"
)

func TestNobodyComesBackAfterALogout(t *testing.T) {
	s := house(t, nil)
	p := player.New(s.Origin, "device-that-logs-out")
	must(t, p.LogIn(within(t, patience)))

	known := authenticate(t, s, p) // connected before the logout
	reportConnected(t, s, p, known, "127.0.0.1:50001")
	awaitPresence(t, s, p.ID(), wire.PresenceConnected)
	pending := authenticate(t, s, p) // its CONNECT is still on the way

	old := p.Token
	must(t, p.LogOut(within(t, patience)))
	for name, report := range map[string]func(){
		"doubled": func() { reportConnected(t, s, p, known, "127.0.0.1:50001") },
		"late":    func() { reportConnected(t, s, p, known, "127.0.0.1:50002") },
		"pending": func() { reportConnected(t, s, p, pending, "127.0.0.1:50003") },
	} {
		report()
		if snapshot, ok := lookUp(t, s, p.ID()); ok {
			t.Errorf("a %s connected event brought the session back: %+v", name, snapshot)
		}
	}
	p.Token = old
	if _, err := p.Session(within(t, patience)); player.Status(err) != http.StatusUnauthorized {
		t.Errorf("the old token: %v", err)
	}
	if result, _ := hookAuth(t, s, p); result != "deny" {
		t.Errorf("the old token at the broker: %s", result)
	}
	must(t, s.Redis.FlushAll(t.Context()).Err())
	if _, err := p.Session(within(t, patience)); player.Status(err) != http.StatusUnauthorized {
		t.Errorf("the old token, Redis flushed: %v", err)
	}

	must(t, p.LogIn(within(t, patience))) // at once
	connect(t, s, p)
	stale := player.New(s.Origin, p.Device)
	stale.Login, stale.Token = p.Login, old
	if _, err := stale.Session(within(t, patience)); player.Status(err) != http.StatusUnauthorized {
		t.Errorf("the old token beside a newer login, Redis flushed in between: %v", err)
	}
	if result, _ := hookAuth(t, s, stale); result != "deny" {
		t.Errorf("the old token at the broker beside a newer login: %s", result)
	}
	reportConnected(t, s, stale, known, "127.0.0.1:50004")
	awaitPresence(t, s, p.ID(), wire.PresenceConnected)
}

func TestALogoutEndsTheConnection(t *testing.T) {
	s := house(t, nil)
	p, c := arrive(t, s, "device-that-is-cut-off")
	must(t, p.LogOut(within(t, patience)))
	select {
	case <-c.Gone():
	case <-time.After(patience):
		t.Fatal("the broker still holds the connection")
	}
	testkit.Eventually(t, patience, func() bool {
		_, ok := lookUp(t, s, p.ID())
		return !ok
	}, "no session")
}

func TestALoginEverywhereElseSurvivesALogoutHere(t *testing.T) {
	s := house(t, nil)
	here := player.New(s.Origin, "one-account")
	there := player.New(s.Origin, "one-account")
	must(t, here.LogIn(within(t, patience)))
	must(t, there.LogIn(within(t, patience)))
	must(t, here.LogOut(within(t, patience)))
	if _, err := here.Session(within(t, patience)); player.Status(err) != http.StatusUnauthorized {
		t.Errorf("here: %v", err)
	}
	if _, err := there.Session(within(t, patience)); err != nil {
		t.Errorf("there: %v", err)
	}
}

// authenticate asks the hook as the broker does and returns the epoch.
func authenticate(t *testing.T, s *stack.Stack, p *player.Player) string {
	t.Helper()
	result, epoch := hookAuth(t, s, p)
	if result != "allow" {
		t.Fatalf("the hook says %s", result)
	}
	return epoch
}

func hookAuth(t *testing.T, s *stack.Stack, p *player.Player) (result, epoch string) {
	t.Helper()
	var answer struct {
		Result      string            `json:"result"`
		ClientAttrs map[string]string `json:"client_attrs"`
	}
	res := hook(t, s, "/emqx/auth", map[string]string{"clientid": p.ID(), "username": p.ID(), "password": p.Token, "peerhost": "127.0.0.1"})
	defer res.Body.Close()
	must(t, json.NewDecoder(res.Body).Decode(&answer))
	return answer.Result, answer.ClientAttrs["epoch"]
}

func reportConnected(t *testing.T, s *stack.Stack, p *player.Player, epoch, peername string) {
	t.Helper()
	at, err := strconv.ParseInt(epoch, 10, 64)
	must(t, err)
	res := hook(t, s, "/emqx/webhook", map[string]any{
		"event": "client.connected", "clientid": p.ID(), "username": p.ID(), "peername": peername, "node": "emqx@127.0.0.1",
		"connected_at": at + 1, "timestamp": at + 1, "client_attrs": map[string]string{"player": p.ID(), "epoch": epoch},
	})
	defer res.Body.Close()
	if res.StatusCode != http.StatusNoContent {
		t.Fatalf("webhook: %s", res.Status)
	}
}

func hook(t *testing.T, s *stack.Stack, path string, body any) *http.Response {
	t.Helper()
	b, err := json.Marshal(body)
	must(t, err)
	r, err := http.NewRequestWithContext(within(t, patience), http.MethodPost, s.HookURL()+path, bytes.NewReader(b))
	must(t, err)
	res, err := s.Hook(r)
	must(t, err)
	return res
}
