package api_test

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/holdfast-games/holdfast/pkg/clock"
	"github.com/holdfast-games/holdfast/pkg/httpkit"
	"github.com/holdfast-games/holdfast/pkg/id"
	"github.com/holdfast-games/holdfast/pkg/jwtkit"
	"github.com/holdfast-games/holdfast/pkg/players"
	players_memstore "github.com/holdfast-games/holdfast/pkg/players/memstore"
	"github.com/holdfast-games/holdfast/pkg/session"
	session_memstore "github.com/holdfast-games/holdfast/pkg/session/memstore"
	"github.com/holdfast-games/holdfast/pkg/shard"
	"github.com/holdfast-games/holdfast/proto/authapi"
	"github.com/holdfast-games/holdfast/proto/wire"
	"github.com/holdfast-games/holdfast/services/auth/internal/api"
	"github.com/holdfast-games/holdfast/services/auth/internal/guest"
	"github.com/holdfast-games/holdfast/services/auth/internal/login"
	"github.com/holdfast-games/holdfast/services/auth/internal/refreshtoken"
)

// newHandler is the edge on stores in memory.
func newHandler(tb testing.TB) http.Handler {
	tb.Helper()
	dir, log := tb.TempDir(), slog.New(slog.DiscardHandler)
	keys, err := jwtkit.LoadOrCreate(dir)
	if err != nil {
		tb.Fatal(err)
	}
	signer, err := jwtkit.NewSigner(keys, time.Minute, clock.System{})
	if err != nil {
		tb.Fatal(err)
	}
	shards, err := shard.New(1)
	if err != nil {
		tb.Fatal(err)
	}
	now := func() int64 { return time.Now().UnixMilli() }
	sessions, err := session_memstore.New(shards, session.Defaults(), now, id.New)
	if err != nil {
		tb.Fatal(err)
	}
	store := players_memstore.New()
	e := httpkit.New("auth", log, prometheus.NewRegistry())
	api.Register(e, api.Server{
		Desk: &login.Desk{
			Players: store, Sessions: sessions, Signer: signer, Refresh: refreshtoken.New("key"), Clock: clock.System{},
			Log: log, RefreshTTL: time.Hour, LoginTTL: time.Hour,
		},
		Guests: guest.New("key"), Keeper: session.NewKeeper(sessions, players.NewSource(store), clock.System{}, log),
		Players: store, Verifier: jwtkit.NewVerifier(dir, clock.System{}), Timeout: time.Minute,
	})
	return e
}

func send(h http.Handler, path, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// FuzzGuestLogin sends any body: the answer is a login within its limits, or a
// problem that blames the request.
func FuzzGuestLogin(f *testing.F) {
	for _, body := range []string{
		`{"deviceId":"a"}`, `{"deviceId":"a","displayName":" Ada "}`, `{"deviceId":"\ud800"}`, `{"deviceId":"a","deviceId":1}`,
		`{"DEVICEID":"a"}`, `[`, `null`, "{\"deviceId\":\"\xff\"}", `{"deviceId":"a","displayName":"\u202e"}`, ``, `{"a":1e999}`,
	} {
		f.Add(body)
	}
	h := newHandler(f)
	f.Fuzz(func(t *testing.T, body string) {
		w := send(h, "/api/auth/guest", body)
		if got := w.Header().Get("Content-Length"); got != strconv.Itoa(w.Body.Len()) {
			t.Errorf("Content-Length %q for %d bytes", got, w.Body.Len())
		}
		switch w.Code {
		case http.StatusOK:
			checkLogin(t, h, body, w.Body.Bytes())
		case http.StatusBadRequest, http.StatusRequestEntityTooLarge:
			var p wire.Problem
			if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || p.Status != w.Code || p.Code.Status() != w.Code {
				t.Errorf("problem %s, %v", w.Body, err)
			}
		default:
			t.Errorf("%q got %d: %s", body, w.Code, w.Body)
		}
	})
}

func checkLogin(t *testing.T, h http.Handler, body string, answer []byte) {
	t.Helper()
	var l, again authapi.Login
	if err := json.Unmarshal(answer, &l); err != nil {
		t.Fatalf("login %s: %v", answer, err)
	}
	if n := utf8.RuneCountInString(l.Player.DisplayName); n < 1 || n > 32 || strings.TrimSpace(l.Player.DisplayName) != l.Player.DisplayName {
		t.Errorf("display name %q", l.Player.DisplayName)
	}
	if err := json.Unmarshal(send(h, "/api/auth/guest", body).Body.Bytes(), &again); err != nil || again.Player.ID != l.Player.ID {
		t.Errorf("the same body is %+v and %+v, %v", l.Player, again.Player, err)
	}
	if w := send(h, "/api/auth/refresh", `{"refreshToken":"`+l.RefreshToken+`"}`); w.Code != http.StatusOK {
		t.Errorf("refresh after the login: %d %s", w.Code, w.Body)
	}
}
