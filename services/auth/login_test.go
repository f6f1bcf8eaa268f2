package auth_test

import (
	"bytes"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-games/holdfast/pkg/id"
	"github.com/holdfast-games/holdfast/proto/authapi"
	"github.com/holdfast-games/holdfast/proto/wire"
)

func TestFirstLoginMakesThePlayer(t *testing.T) {
	i := newInstance(t, "MQTT_PUBLIC_URL=mqtts://mq.example.com:8883", "MQTT_PUBLIC_WS_URL=wss://mq.example.com/mqtt")
	before := time.Now()
	l := i.login("device-of-ada")
	player := l.Player.ID
	if !l.Player.IsNew || l.Player.Provider != "guest" || !id.Valid(player) {
		t.Errorf("player %+v, want a new guest", l.Player)
	}
	if name := l.Player.DisplayName; !strings.HasPrefix(name, "Player-") || len(name) != len("Player-")+4 {
		t.Errorf("name %q, want Player- and four characters", name)
	}
	want := authapi.MQTTAccess{
		URL: "mqtts://mq.example.com:8883", WsURL: "wss://mq.example.com/mqtt", ClientID: player, Username: player,
	}
	if l.MQTT != want {
		t.Errorf("mqtt %+v, want %+v", l.MQTT, want)
	}
	life := l.TokenExpiresAt.Time().Sub(before)
	if life < 14*time.Minute || life > 16*time.Minute {
		t.Errorf("the access token lives for %s, want 15 minutes", life)
	}
	s := l.Session
	if s.Player.ID != player || s.Player.DisplayName != l.Player.DisplayName || s.Presence != wire.PresenceDetached || s.Healed {
		t.Errorf("session %+v, want a detached one that was not healed", s)
	}
	if me := i.me(l.Token); me.Session.SID != s.SID {
		t.Errorf("/me is in session %s, the login in %s", me.Session.SID, s.SID)
	}
}

func TestTheSameDeviceIsTheSamePlayer(t *testing.T) {
	st := newStack(t)
	one, two := st.start(t), st.start(t)
	first := one.loginAs("device", "  Ada  ")
	again := two.login("device")
	switch {
	case first.Player.DisplayName != "Ada":
		t.Errorf("name %q, want it trimmed", first.Player.DisplayName)
	case again.Player.ID != first.Player.ID || again.Player.IsNew:
		t.Errorf("second login is %+v, first %+v", again.Player, first.Player)
	case again.Player.DisplayName != "Ada":
		t.Errorf("a login without a name made it %q", again.Player.DisplayName)
	case again.Session.SID != first.Session.SID:
		t.Error("the second login has another session")
	case again.RefreshToken == first.RefreshToken || again.Token == first.Token:
		t.Error("two logins share a token")
	}
	renamed := two.loginAs("device", "Lovelace")
	if renamed.Player.DisplayName != "Lovelace" || renamed.Session.Player.DisplayName != "Lovelace" {
		t.Errorf("renamed to %+v in session of %+v", renamed.Player, renamed.Session.Player)
	}
	if me := one.me(first.Token); me.Player.DisplayName != "Lovelace" {
		t.Errorf("an older token sees the name %q", me.Player.DisplayName)
	}
	if other := one.login("Device"); other.Player.ID == first.Player.ID {
		t.Error("another device is the same player")
	}
}

func TestDeviceIdsAreNotStored(t *testing.T) {
	i := newInstance(t)
	l := i.login("a-very-secret-device")
	var stored []byte
	for _, suffix := range []string{"", "-wal"} {
		b, err := os.ReadFile(strings.TrimPrefix(i.vars["DATABASE_URL"], "sqlite://") + suffix)
		if err != nil {
			t.Fatal(err)
		}
		stored = append(stored, b...)
	}
	if !bytes.Contains(stored, []byte(l.Player.ID)) {
		t.Error("the database does not hold the player: this test looks at the wrong file")
	}
	if bytes.Contains(stored, []byte("a-very-secret-device")) {
		t.Error("the database holds a device id")
	}
}

func TestConcurrentLoginsOfOneDeviceAreOnePlayer(t *testing.T) {
	const logins = 64
	st := newStack(t)
	instances := []*instance{st.start(t), st.start(t)}
	got := make([]authapi.Login, logins)
	var wg sync.WaitGroup
	for n := range got {
		wg.Go(func() { got[n] = instances[n%2].login("one-device") })
	}
	wg.Wait()
	made, refresh := 0, map[string]bool{}
	for n, l := range got {
		if l.Player.ID != got[0].Player.ID || l.Session.SID != got[0].Session.SID {
			t.Errorf("login %d is %s in %s, login 0 %s in %s", n, l.Player.ID, l.Session.SID, got[0].Player.ID, got[0].Session.SID)
		}
		if l.Player.IsNew {
			made++
		}
		refresh[l.RefreshToken] = true
	}
	if made != 1 || len(refresh) != logins {
		t.Errorf("%d logins made the player, and there are %d refresh tokens; want 1 and %d", made, len(refresh), logins)
	}
	for n, l := range got {
		instances[n%2].renew(l.RefreshToken)
	}
}

func TestInstancesStartAtOnceOnEmptyFolders(t *testing.T) {
	const instances = 4
	st := newStack(t)
	all := make([]*instance, instances)
	var wg sync.WaitGroup
	for n := range all {
		wg.Go(func() { all[n] = st.start(t) })
	}
	wg.Wait()
	l := all[0].login("device")
	for n, i := range all {
		i.me(l.Token)
		if again := i.login("device"); again.Player.ID != l.Player.ID {
			t.Errorf("instance %d makes another player of the device: they hash with different keys", n)
		}
		i.renew(i.login("device").RefreshToken)
	}
}

func TestMeShowsTheIdentities(t *testing.T) {
	i := newInstance(t)
	before := time.Now().Truncate(time.Millisecond)
	l := i.loginAs("device", "Ada")
	me := i.me(l.Token)
	if me.Player != (wire.Player{ID: l.Player.ID, DisplayName: "Ada"}) {
		t.Errorf("player %+v", me.Player)
	}
	if len(me.Identities) != 1 || me.Identities[0].Provider != "guest" {
		t.Fatalf("identities %+v, want one guest", me.Identities)
	}
	if at := me.Identities[0].LinkedAt.Time(); at.Before(before) || at.After(time.Now()) {
		t.Errorf("linked at %s", at)
	}
}

func TestMeHealsALostSession(t *testing.T) {
	i := newInstance(t)
	l := i.loginAs("device", "Ada")
	i.redis.FlushAll(t)
	me := i.me(l.Token)
	if !me.Session.Healed || me.Session.SID == l.Session.SID || me.Player.DisplayName != "Ada" {
		t.Errorf("after a wipe: %+v", me)
	}
	if again := i.me(l.Token); again.Session.SID != me.Session.SID || again.Session.Healed {
		t.Errorf("the second look: %+v, the first %+v", again.Session, me.Session)
	}
}

func TestKeysArePublished(t *testing.T) {
	i := newInstance(t)
	a := i.get(jwksPath, "").wants(http.StatusOK, "")
	if got := a.header.Get("Cache-Control"); got != "public, max-age=300" {
		t.Errorf("Cache-Control %q", got)
	}
	var set authapi.JWKS
	a.into(&set)
	if len(set.Keys) != 1 {
		t.Fatalf("%d keys, want 1", len(set.Keys))
	}
	k := set.Keys[0]
	if k.Alg != "ES256" || k.Kty != "EC" || k.Crv != "P-256" || k.Use != "sig" {
		t.Errorf("key %+v", k)
	}
	if !verifies(t, k, i.login("device").Token) {
		t.Error("the published key does not verify a token")
	}
}
