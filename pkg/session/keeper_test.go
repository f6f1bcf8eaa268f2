package session_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-games/holdfast/pkg/apperr"
	"github.com/holdfast-games/holdfast/pkg/clock"
	"github.com/holdfast-games/holdfast/pkg/jwtkit"
	"github.com/holdfast-games/holdfast/pkg/session"
	"github.com/holdfast-games/holdfast/pkg/session/memstore"
	"github.com/holdfast-games/holdfast/pkg/shard"
)

const (
	player = "p1"
	family = "f1"
	// factsPause is how long a source that failed is left in peace.
	factsPause = 5 * time.Second
)

// source is a durable record that can be away.
type source struct {
	mu      sync.Mutex
	facts   map[string]session.Facts
	revoked map[string]bool // families
	err     error
	asked   []string
}

func (s *source) Facts(_ context.Context, player, family string) (session.Facts, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, player+" "+family)
	f, ok := s.facts[player]
	switch {
	case s.err != nil:
		return session.Facts{}, s.err
	case !ok:
		return session.Facts{}, session.ErrNoPlayer
	}
	f.FamilyRevoked = s.revoked[family]
	return f, nil
}

// house is a keeper on a map, with a clock and a source that tests move.
type house struct {
	*session.Keeper

	store  *memstore.Store
	source *source
	clock  *clock.Fake
}

func newHouse(t *testing.T) *house {
	t.Helper()
	h := &house{
		source: &source{revoked: map[string]bool{}, facts: map[string]session.Facts{
			player: {Name: "Durable", Provider: "steam", Rev: 2, Durable: true},
		}},
		clock: clock.NewFake(time.UnixMilli(1_800_000_000_000)),
	}
	h.store = newStore(t, h.clock)
	h.Keeper = session.NewKeeper(h.store, h.source, h.clock, slog.New(slog.DiscardHandler))
	return h
}

func newStore(t *testing.T, c clock.Clock) *memstore.Store {
	t.Helper()
	shards, err := shard.New(4)
	if err != nil {
		t.Fatal(err)
	}
	lives := 0
	store, err := memstore.New(shards, session.Defaults(), func() int64 { return c.Now().UnixMilli() }, func() string {
		lives++
		return "life-" + strconv.Itoa(lives)
	})
	if err != nil {
		t.Fatal(err)
	}
	return store
}

func (h *house) away() { h.source.err = errors.New("no answer") }

// wantAsked fails the test unless the source was asked for exactly these
// "player family" since the last call.
func (h *house) wantAsked(t *testing.T, want ...string) {
	t.Helper()
	if !slices.Equal(h.source.asked, want) {
		t.Errorf("the source was asked for %q, want %q", h.source.asked, want)
	}
	h.source.asked = nil
}

// ensure fails the test unless the token is good.
func (h *house) ensure(t *testing.T, c session.Claims) session.Result {
	t.Helper()
	res, err := h.Ensure(t.Context(), c, true)
	if err != nil {
		t.Fatalf("ensure: %v", err)
	}
	return res
}

func (h *house) wantRefused(t *testing.T, c session.Claims) {
	t.Helper()
	if res, err := h.Ensure(t.Context(), c, true); !errors.Is(err, session.ErrRevoked) || res.Record.SID != "" {
		t.Errorf("ensure: %v %+v, want ErrRevoked and no record", err, res)
	}
}

// wantNone fails the test when the player has a session.
func (h *house) wantNone(t *testing.T) {
	t.Helper()
	if res, err := h.Get(t.Context(), player); err != nil || res.Outcome != session.None {
		t.Errorf("get: %s, %v; want no session", res.Outcome, err)
	}
}

func (h *house) eventTypes() []string {
	var types []string
	for _, e := range h.store.Events() {
		types = append(types, e.Type)
	}
	return types
}

// token returns the claims of a token of the player, with a name that is not
// the durable one.
func token(rev int64) session.Claims {
	return session.Claims{Player: player, Rev: rev, Family: family, Name: "Token", Provider: "guest"}
}

func wantProfile(t *testing.T, r session.Record, name, provider string, durable bool) {
	t.Helper()
	if r.Name != name || r.Provider != provider || r.Durable != durable {
		t.Errorf("profile %q %q, durable %v; want %q %q %v", r.Name, r.Provider, r.Durable, name, provider, durable)
	}
}

func TestClaimsFrom(t *testing.T) {
	expires := time.Unix(1_800_000_000, 0)
	got := session.ClaimsFrom(jwtkit.Claims{
		Player: player, Rev: 3, Family: family, Name: "Ada", Provider: "steam", ID: "x", IssuedAt: expires.Add(-time.Hour), ExpiresAt: expires,
	})
	want := session.Claims{Player: player, Rev: 3, Family: family, Name: "Ada", Provider: "steam", ExpiresAt: expires}
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestKeeperHealsFromTheDurableRecord(t *testing.T) {
	connection := session.NewConnectionID(1_800_000_000_001, 1_800_000_000_002, "10.0.0.1:1000")
	for name, c := range map[string]struct {
		call  func(h *house) (session.Record, error)
		asked string
	}{
		"ensure": {func(h *house) (session.Record, error) {
			res, err := h.Ensure(t.Context(), token(2), false)
			return res.Record, err
		}, "p1 f1"},
		"begin": {func(h *house) (session.Record, error) {
			res, epoch, err := h.Begin(t.Context(), token(2))
			if epoch == 0 {
				t.Error("begin returned no epoch")
			}
			return res.Record, err
		}, "p1 f1"},
		"reserve": {func(h *house) (session.Record, error) {
			hold, err := h.Reserve(t.Context(), token(2), session.Reservation{Kind: session.Ticket, Slot: "duel", ID: "t1", Most: 1})
			if hold.ID != "t1" {
				t.Errorf("reserve: %s, holding %q", hold.Outcome, hold.ID)
			}
			return hold.Record, err
		}, "p1 f1"},
		"connected": {func(h *house) (session.Record, error) {
			res, err := h.Connected(t.Context(), player, connection, "node")
			return res.Record, err
		}, "p1 "},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			record, err := c.call(h)
			if err != nil || !record.Healed {
				t.Fatalf("healed %v, error %v", record.Healed, err)
			}
			wantProfile(t, record, "Durable", "steam", true)
			h.wantAsked(t, c.asked)
			again, err := c.call(h)
			if err != nil || again.SID != record.SID {
				t.Errorf("the second call: life %q after %q, %v", again.SID, record.SID, err)
			}
			h.wantAsked(t) // only who heals asks
		})
	}
}

func TestTokenStandsInWhileTheSourceIsAway(t *testing.T) {
	h := newHouse(t)
	h.away()
	first := h.ensure(t, token(2)).Record
	wantProfile(t, first, "Token", "guest", false)
	h.wantAsked(t, "p1 f1")

	h.clock.Advance(factsPause - time.Millisecond)
	h.ensure(t, token(2))
	other := token(0)
	other.Player = "p2"
	h.ensure(t, other)
	if _, _, err := h.Begin(t.Context(), token(2)); err != nil {
		t.Error(err)
	}
	h.wantAsked(t) // a dead database must not slow every call down

	h.clock.Advance(time.Millisecond)
	h.ensure(t, token(2))
	h.ensure(t, token(2))
	h.wantAsked(t, "p1 f1") // once more, and in peace again

	h.source.err = nil
	h.clock.Advance(factsPause)
	checked := h.ensure(t, token(2)).Record
	wantProfile(t, checked, "Durable", "steam", true)
	if checked.SID != first.SID || checked.V <= first.V {
		t.Errorf("life %q v %d, was %q v %d; want the same life with a newer version", checked.SID, checked.V, first.SID, first.V)
	}
	h.wantAsked(t, "p1 f1")
	h.ensure(t, token(2))
	h.wantAsked(t) // checked is checked
	if got := h.eventTypes(); !slices.Contains(got, "session.profile") {
		t.Errorf("events %q, want session.profile: the name has changed", got)
	}
}

func TestBeginChecksToo(t *testing.T) {
	h := newHouse(t)
	h.away()
	h.ensure(t, token(2))
	h.source.err = nil
	h.clock.Advance(factsPause)
	res, epoch, err := h.Begin(t.Context(), token(2))
	if err != nil || epoch < h.clock.Now().UnixMilli() {
		t.Fatalf("epoch %d, %v", epoch, err)
	}
	wantProfile(t, res.Record, "Durable", "steam", true)
}

func TestSlowSourceIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		slow := slowSource{}
		h.Keeper = session.NewKeeper(h.store, slow, h.clock, slog.New(slog.DiscardHandler))
		began := time.Now()
		record := h.ensure(t, token(2)).Record
		if took := time.Since(began); took != time.Second {
			t.Errorf("waited %s for the source", took)
		}
		wantProfile(t, record, "Token", "guest", false)
		began = time.Now()
		h.ensure(t, token(2))
		if took := time.Since(began); took != 0 {
			t.Errorf("waited %s for a source that is known to be away", took)
		}
	})
}

type slowSource struct{}

func (slowSource) Facts(ctx context.Context, _, _ string) (session.Facts, error) {
	<-ctx.Done()
	return session.Facts{}, ctx.Err()
}

// A client that hangs up says nothing about the source.
func TestCallerThatGivesUpIsNotAnOutage(t *testing.T) {
	h := newHouse(t)
	h.source.err = context.Canceled
	h.ensure(t, token(2))
	h.source.err = nil
	wantProfile(t, h.ensure(t, token(2)).Record, "Durable", "steam", true)
	h.wantAsked(t, "p1 f1", "p1 f1")
}

func TestRevokedTokenDoesNotHeal(t *testing.T) {
	for name, revoke := range map[string]func(s *source){
		"revision": func(s *source) { s.facts[player] = session.Facts{Rev: 3, Durable: true} },
		"family":   func(s *source) { s.revoked[family] = true },
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			revoke(h.source)
			h.wantRefused(t, token(2))
			if _, _, err := h.Begin(t.Context(), token(2)); !errors.Is(err, session.ErrRevoked) {
				t.Errorf("begin: %v", err)
			}
			if _, err := h.Reserve(t.Context(), token(2), session.Reservation{Kind: session.Lobby, ID: "l", Most: 1}); !errors.Is(err, session.ErrRevoked) {
				t.Errorf("reserve: %v", err)
			}
			h.wantNone(t)
			if got := h.eventTypes(); len(got) != 0 {
				t.Errorf("events %q", got)
			}
		})
	}
}

// The source comes back and says that the token, from which a session was
// made meanwhile, had been revoked. The token is refused; a newer login that
// uses the same session keeps it.
func TestRevocationFoundLaterRefusesTheTokenAlone(t *testing.T) {
	for name, c := range map[string]struct {
		revoke func(s *source)
		newer  session.Claims // a login that is good
	}{
		"revision": {
			func(s *source) { s.facts[player] = session.Facts{Name: "Durable", Rev: 3, Durable: true} },
			session.Claims{Player: player, Rev: 3, Family: "f2", Name: "Token"},
		},
		"family": {
			func(s *source) { s.revoked[family] = true },
			session.Claims{Player: player, Rev: 2, Family: "f2", Name: "Token"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			h.away()
			first := h.ensure(t, token(2)).Record
			h.ensure(t, c.newer)
			h.source.err = nil
			c.revoke(h.source)
			h.clock.Advance(factsPause)
			h.wantRefused(t, token(2))
			if _, _, err := h.Begin(t.Context(), token(2)); !errors.Is(err, session.ErrRevoked) {
				t.Errorf("begin: %v", err)
			}
			if _, err := h.Reserve(t.Context(), token(2), session.Reservation{Kind: session.Lobby, ID: "l", Most: 1}); !errors.Is(err, session.ErrRevoked) {
				t.Errorf("reserve: %v", err)
			}
			if life := h.ensure(t, c.newer).Record.SID; life != first.SID {
				t.Errorf("the newer login was moved from life %q to %q", first.SID, life)
			}
		})
	}
}

func TestPlayerNobodyKnows(t *testing.T) {
	h := newHouse(t)
	delete(h.source.facts, player)
	record := h.ensure(t, token(2)).Record
	wantProfile(t, record, "Token", "guest", true) // a valid token is enough
	h.wantAsked(t, "p1 f1")
	h.ensure(t, token(2))
	h.wantAsked(t) // asked once, that is all there is to know
}

// A session made from a token while the source was away, of a player whom the
// source then does not know.
func TestPlayerNobodyKnowsIsCheckedOnce(t *testing.T) {
	h := newHouse(t)
	h.away()
	delete(h.source.facts, player)
	h.ensure(t, token(2))
	h.source.err = nil
	h.clock.Advance(factsPause)
	wantProfile(t, h.ensure(t, token(2)).Record, "Token", "guest", true)
	h.wantAsked(t, "p1 f1", "p1 f1")
	h.ensure(t, token(2))
	h.wantAsked(t)
}

func TestConnectedWithoutARecord(t *testing.T) {
	id := session.NewConnectionID(1_800_000_000_001, 1, "10.0.0.1:1000")
	connect := func(t *testing.T, h *house) session.Result {
		t.Helper()
		res, err := h.Connected(t.Context(), player, id, "node")
		if err != nil {
			t.Fatal(err)
		}
		return res
	}
	t.Run("nobody knows the player", func(t *testing.T) {
		h := newHouse(t)
		delete(h.source.facts, player)
		res := connect(t, h)
		if res.Outcome != session.Opened || res.Record.Presence != session.Connected {
			t.Errorf("%s, %s", res.Outcome, res.Record.Presence)
		}
		wantProfile(t, res.Record, "", "", true)
	})
	t.Run("source away", func(t *testing.T) {
		h := newHouse(t)
		h.away()
		wantProfile(t, connect(t, h).Record, "", "", false)
		h.source.err = nil
		h.clock.Advance(factsPause)
		record := h.ensure(t, token(2)).Record
		wantProfile(t, record, "Durable", "steam", true)
		if record.Presence != session.Connected {
			t.Errorf("presence %s: the check took the connection away", record.Presence)
		}
	})
	t.Run("older than a revocation", func(t *testing.T) {
		h := newHouse(t)
		h.source.facts[player] = session.Facts{Rev: 3, RevokedAt: time.UnixMilli(id.Epoch()), Durable: true}
		if res := connect(t, h); res.Outcome != session.Refused {
			t.Errorf("%s, want refused", res.Outcome)
		}
		h.wantNone(t)
	})
	t.Run("newer than a revocation", func(t *testing.T) {
		h := newHouse(t)
		h.source.facts[player] = session.Facts{Name: "Durable", Rev: 3, RevokedAt: time.UnixMilli(id.Epoch() - 1), Durable: true}
		if res := connect(t, h); res.Outcome != session.Opened {
			t.Errorf("%s, want opened", res.Outcome)
		}
	})
}

func TestKeeperWithoutASource(t *testing.T) {
	h := newHouse(t)
	h.Keeper = session.NewKeeper(h.store, nil, h.clock, slog.New(slog.DiscardHandler))
	wantProfile(t, h.ensure(t, token(2)).Record, "Token", "guest", false)
	wantProfile(t, h.ensure(t, token(2)).Record, "Token", "guest", false)
}

// brokenStore answers every admission with one error.
type brokenStore struct {
	session.Store
	err error
}

func (b brokenStore) Ensure(context.Context, session.Claims, *session.Facts, bool) (session.Result, error) {
	return session.Result{}, b.err
}

func (b brokenStore) Begin(context.Context, session.Claims, *session.Facts) (session.Result, int64, error) {
	return session.Result{}, 0, b.err
}

func (b brokenStore) Reserve(context.Context, session.Claims, *session.Facts, session.Reservation) (session.Hold, error) {
	return session.Hold{}, b.err
}

func (b brokenStore) Connected(context.Context, string, session.ConnectionID, string, *session.Facts) (session.Result, error) {
	return session.Result{}, b.err
}

func TestErrorsOfTheStorePassThrough(t *testing.T) {
	for _, broken := range []error{apperr.Away("run a script", errors.New("no route")), session.ErrRevoked} {
		h := newHouse(t)
		h.Keeper = session.NewKeeper(brokenStore{err: broken}, h.source, h.clock, slog.New(slog.DiscardHandler))
		var errs [4]error
		_, errs[0] = h.Ensure(t.Context(), token(2), false)
		_, _, errs[1] = h.Begin(t.Context(), token(2))
		_, errs[2] = h.Reserve(t.Context(), token(2), session.Reservation{})
		_, errs[3] = h.Connected(t.Context(), player, "1/1/a", "node")
		for i, err := range errs {
			if !errors.Is(err, broken) {
				t.Errorf("call %d: %v, want %v", i, err, broken)
			}
		}
		h.wantAsked(t)
	}
}
