package session_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"github.com/holdfast-games/holdfast/pkg/httpkit"
	"github.com/holdfast-games/holdfast/pkg/jwtkit"
	"github.com/holdfast-games/holdfast/pkg/players"
	kernel "github.com/holdfast-games/holdfast/pkg/session"
	"github.com/holdfast-games/holdfast/proto/wire"
	"github.com/holdfast-games/holdfast/services/session/internal/api"
	"github.com/holdfast-games/holdfast/services/session/internal/watch"
)

func TestSnapshotHealsWhatIsGone(t *testing.T) {
	i := newInstance(t)
	ada := i.login("Ada")
	first := i.snapshot(ada.token)
	if !first.Healed || first.Player.ID != ada.player || first.Player.DisplayName != "Ada" || first.Presence != wire.PresenceDetached {
		t.Errorf("the first call: %+v", first)
	}
	if again := i.snapshot(ada.token); again.Healed || again.SID != first.SID || again.Version != first.Version {
		t.Errorf("the second call: %+v, want the session of the first", again)
	}
	last := first
	for name, lose := range map[string]func(){
		"everything": func() { i.redis.FlushAll(t) },
		"the record": func() { i.lose(ada.player) },
	} {
		lose()
		healed := i.snapshot(ada.token)
		if !healed.Healed || healed.SID == last.SID || healed.Version < last.Version || healed.Player.DisplayName != "Ada" {
			t.Errorf("after the loss of %s: %+v, was %+v", name, healed, last)
		}
		last = healed
	}
}

// lose removes the player's record behind everybody's back.
func (s *stack) lose(player string) {
	s.tb.Helper()
	keys, err := s.Redis.Keys(s.tb.Context(), "hf:*session:"+player).Result()
	if err != nil || len(keys) != 1 {
		s.tb.Fatalf("the record of %s: %v, %v", player, keys, err)
	}
	if err := s.Redis.Del(s.tb.Context(), keys...).Err(); err != nil {
		s.tb.Fatal(err)
	}
}

// Lost state is never the token's fault: whatever was lost before a call, a
// good token is good.
func TestLostStateIsNever401Or404(t *testing.T) {
	s := newStack(t)
	one, two := s.start(t), s.start(t)
	ada := s.login("Ada")
	for range 5 {
		for _, i := range []*instance{one, two} {
			i.snapshot(ada.token)
			i.redis.FlushAll(t)
			i.do(http.MethodDelete, sessionPath, ada.token, "").wants(http.StatusNoContent, "")
			i.redis.FlushAll(t)
			i.get(sessionPath+"?version=0&wait=1", ada.token).wants(http.StatusOK, "")
			i.lose(ada.player)
		}
	}
}

func TestSnapshotShowsTheSession(t *testing.T) {
	i := newInstance(t)
	ada := i.login("Ada")
	before := i.snapshot(ada.token)
	_, epoch, err := i.Keeper.Begin(t.Context(), ada.claims)
	if err != nil {
		t.Fatal(err)
	}
	connection := kernel.NewConnectionID(epoch, epoch, "10.0.0.1:1000")
	if _, err := i.Store.Connected(t.Context(), ada.player, connection, "node", nil); err != nil {
		t.Fatal(err)
	}
	connected := i.snapshot(ada.token)
	if connected.Presence != wire.PresenceConnected || connected.RemainingMs != nil || connected.Prev != before.Version {
		t.Errorf("connected: %+v", connected)
	}
	i.hold(ada, kernel.Ticket, "duel", "t1", kernel.Encode(kernel.TicketCopy{QueuedAt: 1}))
	if _, err := i.Store.Disconnected(t.Context(), ada.player, connection, "tcp_closed"); err != nil {
		t.Fatal(err)
	}
	grace := i.snapshot(ada.token)
	if grace.Presence != wire.PresenceGrace || grace.Reason != "tcp_closed" || grace.RemainingMs == nil || *grace.RemainingMs <= 0 ||
		len(grace.Queue) != 1 || grace.Queue[0].TicketID != "t1" || grace.SID != before.SID {
		t.Errorf("in grace: %+v", grace)
	}
	if _, err := i.Store.Connected(t.Context(), ada.player, kernel.NewConnectionID(epoch+1, epoch+1, "10.0.0.1:1001"), "node", nil); err != nil {
		t.Fatal(err)
	}
	if back := i.snapshot(ada.token); back.Presence != wire.PresenceConnected || len(back.Queue) != 1 || back.SID != before.SID {
		t.Errorf("back: %+v, want all that was held", back)
	}
}

// hold gives the player a place.
func (s *stack) hold(l login, kind kernel.Kind, slot, id, copied string) {
	s.tb.Helper()
	h, err := s.Keeper.Reserve(s.tb.Context(), l.claims, kernel.Reservation{Kind: kind, Slot: slot, ID: id, Most: kernel.MaxTickets, Copy: copied})
	if err != nil || h.Outcome != kernel.Reserved {
		s.tb.Fatalf("reserve: %s, %v", h.Outcome, err)
	}
	ref := kernel.PlaceRef{Player: l.player, SID: h.Record.SID, Kind: kind, Slot: slot, ID: id}
	if res, err := s.Store.Confirm(s.tb.Context(), ref, 1, copied, "", kernel.Push{}); err != nil || res.Outcome != kernel.Confirmed {
		s.tb.Fatalf("confirm: %s, %v", res.Outcome, err)
	}
}

func TestTokensThatAreRefused(t *testing.T) {
	i := newInstance(t)
	foreign := newForeignToken(t)
	revoked, loggedOut, unseen := i.login("Bob"), i.login("Cid"), i.login("Eve")
	i.snapshot(revoked.token)
	i.revoke(revoked.player)
	i.snapshot(loggedOut.token)
	i.logout(loggedOut)
	if _, err := i.Players.Revoke(t.Context(), unseen.player, players.Banned, time.Now()); err != nil {
		t.Fatal(err) // in the database alone: Redis was wiped since
	}
	expired, _ := i.sign(time.Now().Add(-time.Hour), jwtkit.Claims{Player: revoked.player})
	for name, c := range map[string]struct {
		header string
		code   wire.Code
	}{
		"none":                  {"", wire.CodeTokenMissing},
		"no scheme":             {revoked.token, wire.CodeTokenMalformed},
		"other scheme":          {"Basic " + revoked.token, wire.CodeTokenMalformed},
		"empty":                 {"Bearer ", wire.CodeTokenMalformed},
		"no JWT":                {"Bearer abc", wire.CodeTokenMalformed},
		"cut off":               {"Bearer " + revoked.token[:len(revoked.token)-2], wire.CodeTokenMalformed},
		"of another key":        {"Bearer " + foreign, wire.CodeTokenMalformed},
		"the service token":     {"Bearer " + serviceToken, wire.CodeTokenMalformed},
		"far too long":          {"Bearer " + strings.Repeat("a", 5000), wire.CodeTokenMalformed},
		"expired":               {"Bearer " + expired, wire.CodeTokenExpired},
		"revoked":               {"Bearer " + revoked.token, wire.CodeTokenRevoked},
		"logged out":            {"Bearer " + loggedOut.token, wire.CodeTokenRevoked},
		"revoked before a wipe": {"Bearer " + unseen.token, wire.CodeTokenRevoked},
	} {
		t.Run(name, func(t *testing.T) {
			i := i.on(t)
			for _, method := range []string{http.MethodGet, http.MethodDelete} {
				for _, query := range []string{"", "?version=0&wait=1"} {
					r := i.request(method, sessionPath+query, "", "")
					if c.header != "" {
						r.Header.Set("Authorization", c.header)
					}
					i.send(r).wants(http.StatusUnauthorized, c.code)
				}
			}
		})
	}
	for _, l := range []login{revoked, loggedOut, unseen} {
		if r := i.record(l.player); r.SID != "" {
			t.Errorf("a refused token made the session %+v", r)
		}
	}
}

// newForeignToken returns a sound token that somebody else signed.
func newForeignToken(t *testing.T) string {
	t.Helper()
	keys, err := jwtkit.LoadOrCreate(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	other := &stack{tb: t, keys: keys}
	token, _ := other.sign(time.Now(), jwtkit.Claims{Player: "p1"})
	return token
}

func TestDatabaseAwayTokensStandIn(t *testing.T) {
	s := newStack(t)
	ada := s.login("Ada")
	s.vars = s.vars.With(map[string]string{"DATABASE_URL": "postgres://nobody@127.0.0.1:1/none?sslmode=disable"})
	i := s.start(t)
	if got := i.snapshot(ada.token); !got.Healed || got.Player.DisplayName != "from the token" {
		t.Errorf("%+v", got)
	}
	i.do(http.MethodDelete, sessionPath, ada.token, "").wants(http.StatusNoContent, "")
}

func TestParametersOutsideTheirLimits(t *testing.T) {
	i := newInstance(t)
	ada := i.login("Ada")
	for _, query := range []string{
		"version=-1", "version=x", "version=1.5", "version=9223372036854775808", "wait=31&version=1", "wait=31", "wait=-1", "wait=-1&version=1",
		"wait=x", "wait=2147483648", "wait=1.5", "version=-1&wait=5", "version=1&version=2", "wait=",
	} {
		i.get(sessionPath+"?"+query, ada.token).wants(http.StatusBadRequest, wire.CodeInvalidField)
	}
	// None of these may wait: there is nothing to wait for, or it has passed.
	last := i.snapshot(ada.token).Version
	for _, query := range []string{"", "?version=0", "?wait=30", "?wait=0", "?version=9223372036854775807", "?version=0&wait=30", "?version=9223372036854775807&wait=0"} {
		began := time.Now()
		if got := i.get(sessionPath+query, ada.token).snapshot(); got.Version != last {
			t.Errorf("%s: version %d, want %d", query, got.Version, last)
		}
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("%s took %s", query, took)
		}
	}
}

func TestPathsAndMethods(t *testing.T) {
	i := newInstance(t)
	ada := i.login("Ada")
	i.get(sessionPath+"/", ada.token).snapshot()
	i.do(http.MethodPut, sessionPath, ada.token, "{}").wants(http.StatusMethodNotAllowed, wire.CodeMethodNotAllowed)
	i.get(sessionPath+"/else", ada.token).wants(http.StatusNotFound, wire.CodeNotFound)
	i.get("/readyz", "").wants(http.StatusOK, "")
}

// roundTrips counts what goes to Redis.
type roundTrips struct{ n atomic.Int64 }

func (r *roundTrips) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) { return next(ctx, network, addr) }
}

func (r *roundTrips) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		r.n.Add(1)
		return next(ctx, cmd)
	}
}

func (r *roundTrips) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		r.n.Add(1)
		return next(ctx, cmds)
	}
}

func TestSnapshotIsOneRoundTrip(t *testing.T) {
	s := newStack(t)
	trips := &roundTrips{}
	e := httpkit.New("session", discard(), prometheus.NewRegistry())
	api.Register(e, api.Server{Keeper: s.Keeper, Verifier: s.Verifier, Changes: watch.New(nil)})
	server := httptest.NewServer(e)
	defer server.Close()
	i := &instance{stack: s, origin: server.URL, client: server.Client()}
	ada := s.login("Ada")
	i.snapshot(ada.token) // heals, loads the script
	s.Redis.AddHook(trips)
	for _, query := range []string{"", "?version=0", "?version=0&wait=30"} {
		trips.n.Store(0)
		i.get(sessionPath+query, ada.token).wants(http.StatusOK, "")
		if got := trips.n.Load(); got != 1 {
			t.Errorf("GET %s%s: %d round trips, want 1", sessionPath, query, got)
		}
	}
	trips.n.Store(0)
	i.get(sessionPath, ada.token[1:]).wants(http.StatusUnauthorized, wire.CodeTokenMalformed)
	if got := trips.n.Load(); got != 0 {
		t.Errorf("a malformed token costs %d round trips", got)
	}
}
