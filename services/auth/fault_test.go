package auth_test

import (
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-games/holdfast/pkg/testkit"
	"github.com/holdfast-games/holdfast/pkg/testkit/faultproxy"
	"github.com/holdfast-games/holdfast/proto/authapi"
	"github.com/holdfast-games/holdfast/proto/wire"
)

// behindProxy puts a proxy before the Redis of the stack.
func (s *stack) behindProxy(t *testing.T) *faultproxy.Proxy {
	t.Helper()
	proxy := faultproxy.Start(t, s.redis.Addr())
	s.vars["REDIS_URL"] = "redis://" + proxy.Addr()
	return proxy
}

func (i *instance) guest(device string) answer {
	i.tb.Helper()
	i.logs.secret(device)
	return i.post(guestPath, "", authapi.GuestLoginRequest{DeviceID: device})
}

func (i *instance) ready() bool {
	i.tb.Helper()
	return i.get("/readyz", "").status == http.StatusOK
}

func TestWithoutRedis(t *testing.T) {
	for name, harm := range map[string]func(*faultproxy.Proxy){
		"cut off": (*faultproxy.Proxy).Cut, "frozen": (*faultproxy.Proxy).Stall,
	} {
		t.Run(name, func(t *testing.T) {
			st := newStack(t, "REQUEST_TIMEOUT=1s")
			proxy := st.behindProxy(t)
			i := st.start(t)
			l := i.login("device")
			harm(proxy)

			begun := time.Now()
			i.guest("another device").wants(http.StatusServiceUnavailable, wire.CodeUnavailable)
			if took := time.Since(begun); took > 3*time.Second {
				t.Errorf("the answer took %s", took)
			}
			i.get(mePath, l.Token).wants(http.StatusServiceUnavailable, wire.CodeUnavailable)
			i.post(logoutPath, l.Token, nil).wants(http.StatusServiceUnavailable, wire.CodeUnavailable)
			if i.ready() {
				t.Error("ready without Redis")
			}
			i.get(jwksPath, "").wants(http.StatusOK, "")
			i.refused("forged", wire.CodeTokenMalformed)

			proxy.Heal()
			testkit.Eventually(t, testPatience, i.ready, "the service to be ready again")
			i.login("another device")
			i.logout(l.Token) // finishes what the first one began
			i.refused(l.Token, wire.CodeTokenRevoked)
		})
	}
}

// A refresh needs the database alone.
func TestRefreshWithoutRedis(t *testing.T) {
	st := newStack(t)
	proxy := st.behindProxy(t)
	i := st.start(t)
	first := i.login("device").RefreshToken
	proxy.Cut()
	last := i.renew(i.renew(first).RefreshToken)
	i.post(refreshPath, "", authapi.RefreshRequest{RefreshToken: first}).
		wants(http.StatusServiceUnavailable, wire.CodeUnavailable)
	proxy.Heal()
	testkit.Eventually(t, testPatience, i.ready, "the service to be ready again")
	i.refreshRefused(first, wire.CodeRefreshReused) // which now ends the access tokens as well
	i.refused(last.Token, wire.CodeTokenRevoked)
}

func TestStartsBeforeRedis(t *testing.T) {
	st := newStack(t)
	st.redis.Kill()
	i := st.start(t)
	i.guest("device").wants(http.StatusServiceUnavailable, wire.CodeUnavailable)
	st.redis.Restart(t)
	testkit.Eventually(t, testPatience, i.ready, "the service to be ready")
	i.login("device")
}

func TestStartsBeforeTheDatabase(t *testing.T) {
	st := newStack(t)
	folder := filepath.Join(t.TempDir(), "disk")
	if err := os.WriteFile(folder, nil, 0o600); err != nil { // a file where the folder should be
		t.Fatal(err)
	}
	st.vars["DATABASE_URL"] = "sqlite://" + filepath.Join(folder, "players.db")
	i := st.start(t)
	if i.ready() {
		t.Error("ready without a database")
	}
	i.guest("device").wants(http.StatusServiceUnavailable, wire.CodeUnavailable)
	i.me(i.mint(t, "ada", time.Now(), time.Minute))
	if err := os.Remove(folder); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, testPatience, i.ready, "the service to be ready")
	i.login("device")
}

// The story on Postgres, with the network to it cut half way.
func TestWithoutPostgres(t *testing.T) {
	database, err := url.Parse(sharedPostgres.CreateDatabase(t))
	if err != nil {
		t.Fatal(err)
	}
	proxy := faultproxy.Start(t, database.Host)
	database.Host = proxy.Addr()
	st := newStack(t, "REQUEST_TIMEOUT=2s", "DATABASE_URL="+database.String())
	one, two := st.start(t), st.start(t)
	l := one.loginAs("device", "Ada")
	held := one.renew(l.RefreshToken)
	for _, harm := range []func(){proxy.Cut, proxy.Stall} {
		harm()
		two.guest("device").wants(http.StatusServiceUnavailable, wire.CodeUnavailable)
		two.post(refreshPath, "", authapi.RefreshRequest{RefreshToken: held.RefreshToken}).
			wants(http.StatusServiceUnavailable, wire.CodeUnavailable)
		two.post(logoutPath, l.Token, nil).wants(http.StatusServiceUnavailable, wire.CodeUnavailable)
		if two.ready() {
			t.Error("ready without the database")
		}
		if me := two.me(held.Token); me.Player.DisplayName != "Ada" || len(me.Identities) != 0 {
			t.Errorf("without the database /me is %+v", me)
		}
		st.redis.FlushAll(t)
		if me := two.me(held.Token); me.Player.DisplayName != "Ada" || !me.Session.Healed {
			t.Errorf("without the database and with a wiped Redis /me is %+v", me)
		}
		proxy.Heal()
		testkit.Eventually(t, testPatience, two.ready, "the service to be ready again")
		held = two.renew(held.RefreshToken)
	}
	if me := two.me(held.Token); len(me.Identities) != 1 {
		t.Errorf("with the database again /me is %+v", me)
	}
	two.logout(held.Token)
	one.refused(held.Token, wire.CodeTokenRevoked)
	one.login("device")
}

func TestWrongSettingsStopTheStart(t *testing.T) {
	for _, setting := range []string{
		"MQTT_PUBLIC_URL=127.0.0.1:1883", "MQTT_PUBLIC_WS_URL=http://x", "REFRESH_TOKEN_TTL=0s", "LOGIN_TTL=-1h", "REQUEST_TIMEOUT=0s",
		"DATABASE_URL=mysql://x", "MODE=laptop", "SHARDS=32", "ACCESS_TOKEN_TTL=0s",
	} {
		t.Run(setting, func(t *testing.T) {
			st := newStack(t)
			st.start(t) // sets Redis up with 64 shards
			name, value, _ := strings.Cut(setting, "=")
			st.vars[name] = value
			err := st.startError(t)
			if err == nil {
				t.Fatal("it started")
			}
			if !strings.Contains(err.Error(), "HOLDFAST_"+name) {
				t.Errorf("the error does not name HOLDFAST_%s: %v", name, err)
			}
		})
	}
}

// TestEveryDocumentedAnswerIsGiven makes every answer happen that the document
// lists, but for those that nothing can provoke; each is held to its schema.
func TestEveryDocumentedAnswerIsGiven(t *testing.T) {
	st := newStack(t)
	proxy := st.behindProxy(t)
	i := st.start(t)
	l := i.login("device")
	i.renew(l.RefreshToken)
	i.refreshRefused("forged", wire.CodeRefreshInvalid)
	i.me(l.Token)
	i.get(jwksPath, "").wants(http.StatusOK, "")
	i.get(mePath, "").wants(http.StatusUnauthorized, wire.CodeTokenMissing)
	i.post(logoutPath, "", nil).wants(http.StatusUnauthorized, wire.CodeTokenMissing)
	for _, path := range []string{guestPath, refreshPath, logoutPath} {
		i.do(http.MethodPost, path, l.Token, strings.NewReader("[]")).wants(http.StatusBadRequest, "")
		i.do(http.MethodPost, path, l.Token, strings.NewReader(strings.Repeat(" ", 1<<17))).
			wants(http.StatusRequestEntityTooLarge, "")
		r := i.request(http.MethodPost, path, l.Token, strings.NewReader("x"))
		r.Header.Set("Content-Type", "text/plain")
		i.send(r).wants(http.StatusUnsupportedMediaType, "")
	}
	old := i.login("device").RefreshToken
	i.renew(i.renew(old).RefreshToken)
	proxy.Cut()
	i.guest("device").wants(http.StatusServiceUnavailable, "")
	i.get(mePath, l.Token).wants(http.StatusServiceUnavailable, "")
	i.post(logoutPath, l.Token, nil).wants(http.StatusServiceUnavailable, "")
	i.post(refreshPath, "", authapi.RefreshRequest{RefreshToken: old}).wants(http.StatusServiceUnavailable, "")
	proxy.Heal()
	testkit.Eventually(t, testPatience, i.ready, "the service to be ready again")
	i.logout(l.Token)
	st.spec.complete(t, http.StatusTooManyRequests, http.StatusInternalServerError)
}
