package session_test

import (
	"net/http"
	"testing"

	kernel "github.com/holdfast-games/holdfast/pkg/session"
	"github.com/holdfast-games/holdfast/proto/wire"
)

func TestEndStartsANewLife(t *testing.T) {
	s := newStack(t)
	one, two := s.start(t), s.start(t)
	ada := s.login("Ada")
	last := one.snapshot(ada.token)
	lives := map[string]bool{last.SID: true}
	for range 20 { // faster than the clock ticks
		one.do(http.MethodDelete, sessionPath, ada.token, "").wants(http.StatusNoContent, "")
		next := two.snapshot(ada.token)
		if lives[next.SID] || next.Version <= last.Version || len(next.Queue) != 0 {
			t.Fatalf("after the end: %+v, was %+v", next, last)
		}
		lives[next.SID], last = true, next
	}
}

func TestEndTellsWhatWasHeld(t *testing.T) {
	i := newInstance(t)
	ada := i.login("Ada")
	before := i.snapshot(ada.token)
	i.hold(ada, kernel.Ticket, "duel", "t1", "{}")
	i.hold(ada, kernel.Lobby, "", "K7XQ2M", "{}")
	a := i.do(http.MethodDelete, sessionPath, ada.token, "").wants(http.StatusNoContent, "")
	if len(a.body) != 0 {
		t.Errorf("204 with the body %q", a.body)
	}
	e := i.lastEvent(ada.player)
	if e.kind != "session.ended" || e.reason != "left" || e.sid != before.SID ||
		e.fields["ticket:duel"] != "t1" || e.fields["lobby:"] != "K7XQ2M" {
		t.Errorf("the outbox says %+v", e)
	}
	if next := i.snapshot(ada.token); len(next.Queue) != 0 || next.Lobby != nil {
		t.Errorf("the next life begins with %+v", next)
	}
}

func TestEndingTwice(t *testing.T) {
	i := newInstance(t)
	ada := i.login("Ada")
	for range 3 {
		i.do(http.MethodDelete, sessionPath, ada.token, "").wants(http.StatusNoContent, "")
	}
	if r := i.record(ada.player); r.SID != "" {
		t.Errorf("there is still a session: %+v", r)
	}
}

// What was revoked must not take the session of whoever logged in since.
func TestRevokedTokenCannotEndTheNextSession(t *testing.T) {
	i := newInstance(t)
	for name, refuse := range map[string]func(login){
		"revoked":    func(l login) { i.revoke(l.player) },
		"logged out": i.logout,
	} {
		old := i.login(name)
		i.snapshot(old.token)
		refuse(old)
		next := i.loginAgain(old.player)
		session := i.snapshot(next.token)
		i.do(http.MethodDelete, sessionPath, old.token, "").wants(http.StatusUnauthorized, wire.CodeTokenRevoked)
		i.get(sessionPath, old.token).wants(http.StatusUnauthorized, wire.CodeTokenRevoked)
		if after := i.snapshot(next.token); after.SID != session.SID || after.Version != session.Version {
			t.Errorf("%s: the newer login has %+v, had %+v", name, after, session)
		}
	}
}
