package auth_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/holdfast-games/holdfast/pkg/testkit"
	"github.com/holdfast-games/holdfast/proto/authapi"
	"github.com/holdfast-games/holdfast/proto/wire"
)

func (i *instance) refreshRefused(token string, code wire.Code) {
	i.tb.Helper()
	i.post(refreshPath, "", authapi.RefreshRequest{RefreshToken: token}).wants(http.StatusUnauthorized, code)
}

func TestRefreshRotates(t *testing.T) {
	st := newStack(t)
	one, two := st.start(t), st.start(t)
	l := one.login("device")
	last := l.RefreshToken
	for n := range 6 {
		next := []*instance{one, two}[n%2].renew(last)
		if next.RefreshToken == last {
			t.Fatalf("refresh %d answered with the token it was given", n)
		}
		if me := one.me(next.Token); me.Player.ID != l.Player.ID {
			t.Fatalf("refresh %d is for %s", n, me.Player.ID)
		}
		last = next.RefreshToken
	}
	one.me(l.Token) // a refresh revokes nothing
}

// A client that loses an answer asks again with what it has, and must get on
// with what it then gets, however often.
func TestLostRefreshAnswersCostNothing(t *testing.T) {
	i := newInstance(t)
	held := i.login("device").RefreshToken
	for range 3 {
		lost := i.renew(held)
		again := i.renew(held)
		if again.RefreshToken != lost.RefreshToken {
			t.Fatal("the repeated refresh has another refresh token than the lost one")
		}
		i.renew(held)
		i.me(again.Token)
		held = again.RefreshToken
	}
	i.renew(held)
}

func TestAnOldRefreshTokenEndsItsLogin(t *testing.T) {
	i := newInstance(t)
	stolen := i.login("device")
	other := i.login("device")
	second := i.renew(stolen.RefreshToken)
	third := i.renew(second.RefreshToken)

	i.refreshRefused(stolen.RefreshToken, wire.CodeRefreshReused)
	i.refreshRefused(third.RefreshToken, wire.CodeRefreshReused)
	i.refreshRefused(stolen.RefreshToken, wire.CodeRefreshReused)
	for _, token := range []string{stolen.Token, second.Token, third.Token} {
		i.refused(token, wire.CodeTokenRevoked)
	}
	i.redis.FlushAll(t)
	i.refused(third.Token, wire.CodeTokenRevoked)

	i.me(other.Token)
	i.renew(other.RefreshToken)
	if !i.logs.contains("an outdated refresh token came back") {
		t.Error("nothing was logged about it")
	}
}

// Whoever has the old token must not be able to end the sessions that the
// player starts after that.
func TestAnOldRefreshTokenDoesNotTouchLaterLogins(t *testing.T) {
	i := newInstance(t)
	stolen := i.login("device")
	i.renew(i.renew(stolen.RefreshToken).RefreshToken)
	i.refreshRefused(stolen.RefreshToken, wire.CodeRefreshReused)
	later := i.login("device")
	i.refreshRefused(stolen.RefreshToken, wire.CodeRefreshReused)
	if me := i.me(later.Token); me.Session.SID != later.Session.SID {
		t.Error("the session of the later login was ended")
	}
}

func TestRefreshTokensThatAreNotOurs(t *testing.T) {
	i := newInstance(t)
	good := i.login("device").RefreshToken
	elsewhere := newInstance(t).login("device").RefreshToken
	parts := strings.Split(good, ".")
	for name, token := range map[string]string{
		"of another deployment": elsewhere,
		"cut short":             good[:len(good)-1],
		"another counter":       parts[0] + "." + parts[1] + ".2." + parts[3],
		"another version":       "hfr2." + strings.Join(parts[1:], "."),
		"no signature":          strings.Join(parts[:3], "."),
		"an access token":       i.login("device").Token,
		"a space in front":      " " + good,
		"junk":                  "x",
		"as long as allowed":    strings.Repeat("x", 1024),
	} {
		t.Run(name, func(t *testing.T) { i.in(t).refreshRefused(token, wire.CodeRefreshInvalid) })
	}
	i.renew(good)
}

func TestRefreshTokensExpire(t *testing.T) {
	for _, setting := range []string{"REFRESH_TOKEN_TTL=1ms", "LOGIN_TTL=1ms"} {
		t.Run(setting, func(t *testing.T) {
			i := newInstance(t, setting)
			l := i.login("device")
			testkit.Eventually(t, testPatience, func() bool {
				a := i.post(refreshPath, "", authapi.RefreshRequest{RefreshToken: l.RefreshToken})
				return a.status == http.StatusUnauthorized
			}, "the token to expire")
			i.refreshRefused(l.RefreshToken, wire.CodeRefreshExpired)
			i.me(l.Token) // the access token has a life of its own
		})
	}
}

func TestConcurrentRefreshesAgree(t *testing.T) {
	st := newStack(t)
	instances := []*instance{st.start(t), st.start(t)}
	l := instances[0].login("device")
	got := make([]authapi.Tokens, 16)
	var wg sync.WaitGroup
	for n := range got {
		wg.Go(func() { got[n] = instances[n%2].renew(l.RefreshToken) })
	}
	wg.Wait()
	for n := range got {
		if got[n].RefreshToken != got[0].RefreshToken {
			t.Errorf("refresh %d got another token than refresh 0", n)
		}
	}
	instances[0].renew(got[0].RefreshToken)
}
