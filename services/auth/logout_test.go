package auth_test

import (
	"net/http"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/holdfast-games/holdfast/pkg/session"
	"github.com/holdfast-games/holdfast/pkg/session/redisstore"
	"github.com/holdfast-games/holdfast/pkg/shard"
	"github.com/holdfast-games/holdfast/proto/authapi"
	"github.com/holdfast-games/holdfast/proto/wire"
)

func (i *instance) logout(token string) {
	i.tb.Helper()
	i.post(logoutPath, token, nil).wants(http.StatusNoContent, "")
}

func (i *instance) logoutEverywhere(token string) {
	i.tb.Helper()
	i.post(logoutPath, token, authapi.LogoutRequest{Everywhere: true}).wants(http.StatusNoContent, "")
}

func TestLogoutEndsThisLogin(t *testing.T) {
	st := newStack(t)
	one, two := st.start(t), st.start(t)
	here, there := one.login("device"), one.login("device")
	renewed := one.renew(here.RefreshToken)
	one.logout(here.Token)
	for _, token := range []string{here.Token, renewed.Token} {
		two.refused(token, wire.CodeTokenRevoked)
	}
	two.refreshRefused(renewed.RefreshToken, wire.CodeRefreshRevoked)
	one.logout(renewed.Token) // again is a success

	if me := two.me(there.Token); me.Session.SID == here.Session.SID {
		t.Error("the session goes on after the logout")
	}
	one.refused(renewed.Token, wire.CodeTokenRevoked)
	two.renew(there.RefreshToken)
}

func TestLogoutEverywhereEndsAllLogins(t *testing.T) {
	i := newInstance(t)
	here, there, other := i.login("device"), i.login("device"), i.login("another device")
	i.logoutEverywhere(here.Token)
	for _, l := range []authapi.Login{here, there} {
		i.refused(l.Token, wire.CodeTokenRevoked)
		i.refreshRefused(l.RefreshToken, wire.CodeRefreshRevoked)
	}
	later := i.login("device") // with a session again, it is Redis that has to remember
	for _, l := range []authapi.Login{here, there} {
		i.refused(l.Token, wire.CodeTokenRevoked)
	}
	i.me(later.Token)
	i.me(other.Token)
	i.renew(other.RefreshToken)
}

func TestLogoutSurvivesAWipeOfRedis(t *testing.T) {
	for name, logout := range map[string]func(*instance, string){
		"this login": (*instance).logout, "everywhere": (*instance).logoutEverywhere,
	} {
		t.Run(name, func(t *testing.T) {
			i := newInstance(t)
			l := i.login("device")
			logout(i, l.Token)
			i.redis.FlushAll(t)
			i.refused(l.Token, wire.CodeTokenRevoked)
			i.refreshRefused(l.RefreshToken, wire.CodeRefreshRevoked)
			i.me(i.login("device").Token)
		})
	}
}

// All of this happens within one second, the precision of a token's times.
func TestLoginRightAfterLogoutWorks(t *testing.T) {
	i := newInstance(t)
	l := i.login("device")
	for range 4 {
		for _, logout := range []func(*instance, string){(*instance).logout, (*instance).logoutEverywhere} {
			logout(i, l.Token)
			next := i.login("device")
			if next.Player.ID != l.Player.ID || next.Player.IsNew {
				t.Fatalf("after a logout the device is %+v", next.Player)
			}
			i.me(next.Token)
			i.refused(l.Token, wire.CodeTokenRevoked)
			l = next
		}
	}
}

// A token that was logged out is worth nothing: repeating the logout with it
// must not end what the player began since.
func TestARevokedTokenLogsNobodyOut(t *testing.T) {
	i := newInstance(t)
	for name, logout := range map[string]func(*instance, string){
		"this login": (*instance).logout, "everywhere": (*instance).logoutEverywhere,
	} {
		t.Run(name, func(t *testing.T) {
			i := i.in(t)
			old := i.login("device")
			logout(i, old.Token)
			later := i.login("device")
			i.logout(old.Token)
			i.logoutEverywhere(old.Token)
			if me := i.me(later.Token); me.Session.SID != later.Session.SID {
				t.Error("the later login lost its session")
			}
			i.renew(later.RefreshToken)
		})
	}
}

// The session store may know of revocations that the durable record does not,
// for instance after the database was restored from a backup.
func TestLoginCatchesUpWithTheSessionStore(t *testing.T) {
	i := newInstance(t)
	l := i.login("device")
	store := sessionStore(t, i.redis.URL())
	for range 3 {
		if _, _, err := store.End(t.Context(), l.Player.ID, session.Ending{Reason: "test", Revoke: true}); err != nil {
			t.Fatal(err)
		}
	}
	later := i.login("device")
	i.me(later.Token)
	i.renew(later.RefreshToken)
	i.refused(l.Token, wire.CodeTokenRevoked)
}

func sessionStore(t *testing.T, url string) *redisstore.Store {
	t.Helper()
	options, err := redis.ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	client := redis.NewClient(options)
	t.Cleanup(func() { _ = client.Close() })
	shards, err := shard.New(64)
	if err != nil {
		t.Fatal(err)
	}
	store, err := redisstore.New(client, shards, session.Defaults())
	if err != nil {
		t.Fatal(err)
	}
	return store
}
