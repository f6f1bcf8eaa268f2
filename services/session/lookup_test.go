package session_test

import (
	"net/http"
	"strings"
	"testing"

	kernel "github.com/holdfast-games/holdfast/pkg/session"
	"github.com/holdfast-games/holdfast/proto/wire"
)

func lookupPath(player string) string { return "/internal/sessions/" + player }

func kickPath(player string) string { return lookupPath(player) + "/kick" }

const kick = `{"reason":"afk"}`

func TestLookup(t *testing.T) {
	i := newInstance(t)
	ada := i.login("Ada")
	i.get(lookupPath(ada.player), serviceToken).wants(http.StatusNotFound, wire.CodeNoSession)
	i.get(lookupPath("nobody"), serviceToken).wants(http.StatusNotFound, wire.CodeNoSession)
	own := i.snapshot(ada.token)
	found := i.get(lookupPath(ada.player), serviceToken).snapshot()
	if found.SID != own.SID || found.Version != own.Version || found.Player != own.Player {
		t.Errorf("found %+v, the player sees %+v", found, own)
	}
	i.do(http.MethodDelete, sessionPath, ada.token, "").wants(http.StatusNoContent, "")
	i.get(lookupPath(ada.player), serviceToken).wants(http.StatusNotFound, wire.CodeNoSession)
}

// Looking at a player is not a sign of life of the player.
func TestLookupChangesNothing(t *testing.T) {
	i := newInstance(t)
	ada := i.login("Ada")
	if _, err := i.Keeper.Ensure(t.Context(), ada.claims, false); err != nil {
		t.Fatal(err)
	}
	before := i.record(ada.player)
	for range 5 {
		i.get(lookupPath(ada.player), serviceToken).snapshot()
	}
	after := i.record(ada.player)
	if after.Seen != before.Seen || after.Deadline != before.Deadline || after.V != before.V || after.Read != before.Read {
		t.Errorf("after: %+v, before: %+v", after, before)
	}
	if !i.snapshot(ada.token).Healed {
		t.Error("the player is not told that the session was made anew: the look-up took that away")
	}
}

func TestKick(t *testing.T) {
	i := newInstance(t)
	ada := i.login("Ada")
	before := i.snapshot(ada.token)
	i.hold(ada, kernel.Ticket, "duel", "t1", "{}")
	i.do(http.MethodPost, kickPath(ada.player), serviceToken, `{"reason":"too slow"}`).wants(http.StatusNoContent, "")
	if e := i.lastEvent(ada.player); e.kind != "session.ended" || e.reason != "too slow" || e.sid != before.SID || e.fields["ticket:duel"] != "t1" {
		t.Errorf("the outbox says %+v", e)
	}
	if next := i.snapshot(ada.token); next.SID == before.SID || next.Version <= before.Version {
		t.Errorf("the token is good for %+v, was %+v", next, before)
	}
	for _, player := range []string{ada.player, "nobody"} {
		i.do(http.MethodPost, kickPath(player), serviceToken, kick).wants(http.StatusNoContent, "")
		i.do(http.MethodPost, kickPath(player), serviceToken, kick).wants(http.StatusNoContent, "")
	}
}

func TestKickThatMakesNoSense(t *testing.T) {
	i := newInstance(t)
	ada := i.login("Ada")
	before := i.snapshot(ada.token)
	for name, c := range map[string]struct {
		body, media string
		status      int
		code        wire.Code
	}{
		"nothing":   {"", "application/json", http.StatusBadRequest, wire.CodeInvalidJSON},
		"no JSON":   {"{", "application/json", http.StatusBadRequest, wire.CodeInvalidJSON},
		"no reason": {"{}", "application/json", http.StatusBadRequest, wire.CodeInvalidField},
		"empty":     {`{"reason":""}`, "application/json", http.StatusBadRequest, wire.CodeInvalidField},
		"too long":  {`{"reason":"` + strings.Repeat("ä", 201) + `"}`, "application/json", http.StatusBadRequest, wire.CodeInvalidField},
		"number":    {`{"reason":1}`, "application/json", http.StatusBadRequest, wire.CodeInvalidJSON},
		"form":      {"reason=afk", "application/x-www-form-urlencoded", http.StatusUnsupportedMediaType, wire.CodeUnsupportedMediaType},
		"far too big": {
			`{"reason":"` + strings.Repeat("a", 70_000) + `"}`, "application/json", http.StatusRequestEntityTooLarge, wire.CodeBodyTooLarge,
		},
	} {
		t.Run(name, func(t *testing.T) {
			i := i.on(t)
			r := i.request(http.MethodPost, kickPath(ada.player), serviceToken, c.body)
			r.Header.Set("Content-Type", c.media)
			i.send(r).wants(c.status, c.code)
		})
	}
	if after := i.snapshot(ada.token); after.SID != before.SID {
		t.Error("the session was ended all the same")
	}
	long := `{"reason":"` + strings.Repeat("ä", 200) + `"}`
	i.do(http.MethodPost, kickPath(ada.player), serviceToken, long).wants(http.StatusNoContent, "")
	if got := i.lastEvent(ada.player).reason; got != strings.Repeat("ä", 200) {
		t.Errorf("the reason came out as %q", got)
	}
}

func TestPlayersThatCannotBe(t *testing.T) {
	i := newInstance(t)
	for _, player := range []string{"a.b", "a%20b", "a%2Fb", "%7Bx%7D", strings.Repeat("a", 65)} {
		i.get(lookupPath(player), serviceToken).wants(http.StatusBadRequest, wire.CodeInvalidField)
		i.do(http.MethodPost, kickPath(player), serviceToken, kick).wants(http.StatusBadRequest, wire.CodeInvalidField)
	}
}

func TestInternalCallsNeedTheServiceToken(t *testing.T) {
	s := newStack(t)
	i := s.start(t)
	ada := s.login("Ada")
	before := i.snapshot(ada.token)
	s.wantAllRefused(t, i, ada, "", "wrong", serviceToken+"x", serviceToken[1:], ada.token)

	s.vars = s.vars.With(map[string]string{"SERVICE_TOKEN": ""})
	unset := s.start(t)
	s.wantAllRefused(t, unset, ada, "", " ", serviceToken, ada.token)
	if after := i.snapshot(ada.token); after.SID != before.SID {
		t.Error("a refused kick ended the session")
	}
}

func (s *stack) wantAllRefused(t *testing.T, i *instance, l login, tokens ...string) {
	t.Helper()
	for _, token := range tokens {
		for _, r := range []*http.Request{
			i.request(http.MethodGet, lookupPath(l.player), "", ""),
			i.request(http.MethodGet, lookupPath("nobody"), "", ""),
			i.request(http.MethodPost, kickPath(l.player), "", kick),
			i.request(http.MethodPost, kickPath("a.b"), "", "{"),
		} {
			if token != "" {
				r.Header.Set("Authorization", "Bearer "+token)
			}
			i.send(r).wants(http.StatusUnauthorized, wire.CodeServiceUnauthorized)
		}
	}
}
