package login_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/holdfast-games/holdfast/pkg/apperr"
	"github.com/holdfast-games/holdfast/pkg/clock"
	"github.com/holdfast-games/holdfast/pkg/id"
	"github.com/holdfast-games/holdfast/pkg/jwtkit"
	"github.com/holdfast-games/holdfast/pkg/players"
	players_memstore "github.com/holdfast-games/holdfast/pkg/players/memstore"
	"github.com/holdfast-games/holdfast/pkg/session"
	session_memstore "github.com/holdfast-games/holdfast/pkg/session/memstore"
	"github.com/holdfast-games/holdfast/pkg/shard"
	"github.com/holdfast-games/holdfast/services/auth/internal/login"
	"github.com/holdfast-games/holdfast/services/auth/internal/refreshtoken"
)

const (
	day        = 24 * time.Hour
	refreshTTL = 30 * day
	loginTTL   = 90 * day
	accessTTL  = 15 * time.Minute
)

var ada = players.Identity{Provider: "guest", SubjectHash: "ada"}

// desk is a Desk in memory whose stores a test can interfere with.
type desk struct {
	*login.Desk

	clock    *clock.Fake
	players  *meddler
	sessions session.Store
	verifier *jwtkit.Verifier
}

// meddler lets a test act, or fail, just before a call reaches the store.
type meddler struct {
	players.Store

	beforeCreateFamily func() error
	beforeRename       func() error
}

func (m *meddler) CreateFamily(ctx context.Context, f players.NewFamily) error {
	if err := call(&m.beforeCreateFamily); err != nil {
		return err
	}
	return m.Store.CreateFamily(ctx, f)
}

func (m *meddler) Rename(ctx context.Context, player, name string, now time.Time) error {
	if err := call(&m.beforeRename); err != nil {
		return err
	}
	return m.Store.Rename(ctx, player, name, now)
}

// call runs a function once.
func call(f *func() error) error {
	run := *f
	if *f = nil; run == nil {
		return nil
	}
	return run()
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	fake := clock.NewFake(time.Date(2026, 11, 23, 18, 0, 0, 0, time.UTC))
	dir := t.TempDir()
	keys, err := jwtkit.LoadOrCreate(dir)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := jwtkit.NewSigner(keys, accessTTL, fake)
	if err != nil {
		t.Fatal(err)
	}
	shards, err := shard.New(1)
	if err != nil {
		t.Fatal(err)
	}
	sessions, err := session_memstore.New(shards, session.Defaults(), func() int64 { return fake.Now().UnixMilli() }, id.New)
	if err != nil {
		t.Fatal(err)
	}
	m := &meddler{Store: players_memstore.New()}
	return &desk{
		clock: fake, players: m, sessions: sessions, verifier: jwtkit.NewVerifier(dir, fake),
		Desk: &login.Desk{
			Players: m, Sessions: sessions, Signer: signer, Refresh: refreshtoken.New("key"), Clock: fake,
			Log: slog.New(slog.DiscardHandler), RefreshTTL: refreshTTL, LoginTTL: loginTTL,
		},
	}
}

func (d *desk) logIn(t *testing.T, name string) login.Login {
	t.Helper()
	l, err := d.LogIn(t.Context(), ada, name)
	if err != nil {
		t.Fatalf("LogIn: %v", err)
	}
	return l
}

// accepted reports whether services accept the access token.
func (d *desk) accepted(t *testing.T, token string) bool {
	t.Helper()
	claims, err := d.verifier.Verify(token)
	if err != nil {
		t.Fatalf("Verify: %v", err)
	}
	keeper := session.NewKeeper(d.sessions, players.NewSource(d.players), d.clock, slog.New(slog.DiscardHandler))
	_, err = keeper.Ensure(t.Context(), session.ClaimsFrom(claims), false)
	if err != nil && !errors.Is(err, session.ErrRevoked) {
		t.Fatalf("Ensure: %v", err)
	}
	return err == nil
}

func TestARevocationDuringALoginDoesNotHarmIt(t *testing.T) {
	d := newDesk(t)
	first := d.logIn(t, "Ada")
	d.players.beforeCreateFamily = func() error {
		_, err := d.players.Revoke(t.Context(), first.Player.ID, "test", d.clock.Now())
		return err
	}
	second := d.logIn(t, "")
	if second.Player.Rev != 1 || !d.accepted(t, second.Access) {
		t.Errorf("login of %+v, accepted %v", second.Player, d.accepted(t, second.Access))
	}
}

func TestAPlayerWhoIsDeletedDuringALoginComesBack(t *testing.T) {
	d := newDesk(t)
	first := d.logIn(t, "Ada")
	d.players.beforeRename = func() error {
		_, err := d.players.Delete(t.Context(), first.Player.ID, d.clock.Now())
		return err
	}
	second := d.logIn(t, "Eve")
	if second.Player.ID != first.Player.ID || second.Player.DisplayName != "Eve" || second.Player.Deleted() {
		t.Errorf("login of %+v", second.Player)
	}
	if !d.accepted(t, second.Access) {
		t.Error("its token is refused")
	}
}

func TestTheLoginThatMadeThePlayerSaysSoAlsoWhenItStartedOver(t *testing.T) {
	d := newDesk(t)
	d.players.beforeCreateFamily = func() error { return players.ErrChanged }
	if l := d.logIn(t, ""); !l.IsNew {
		t.Error("not new")
	}
}

func TestALoginGivesUpInTheEnd(t *testing.T) {
	d := newDesk(t)
	d.Desk.Players = alwaysChanged{d.players}
	_, err := d.LogIn(t.Context(), ada, "")
	if got := apperr.From(err); got.Kind != apperr.Unavailable || got.RetryAfter <= 0 {
		t.Errorf("error %v of kind %v", err, got.Kind)
	}
}

type alwaysChanged struct{ players.Store }

func (alwaysChanged) CreateFamily(context.Context, players.NewFamily) error {
	return players.ErrChanged
}

func TestLoginsLiveAsLongAsConfigured(t *testing.T) {
	for name, c := range map[string]struct {
		between time.Duration
		renewed int // how often, before it is over
	}{
		"used every day":            {day, 89},
		"used just in time":         {refreshTTL - time.Millisecond, 3},
		"not used for the lifetime": {refreshTTL, 0},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t)
			token, renewed := d.logIn(t, "").Refresh, 0
			for {
				d.clock.Advance(c.between)
				tokens, err := d.Renew(t.Context(), token)
				if err != nil {
					if !errors.Is(err, login.ErrRefreshExpired) {
						t.Errorf("error %v", err)
					}
					break
				}
				token, renewed = tokens.Refresh, renewed+1
			}
			if renewed != c.renewed {
				t.Errorf("renewed %d times, want %d", renewed, c.renewed)
			}
		})
	}
}

func TestARefreshCarriesTheNewName(t *testing.T) {
	d := newDesk(t)
	l := d.logIn(t, "Ada")
	d.logIn(t, "Lovelace")
	tokens, err := d.Renew(t.Context(), l.Refresh)
	if err != nil {
		t.Fatal(err)
	}
	claims, err := d.verifier.Verify(tokens.Access)
	if err != nil || claims.Name != "Lovelace" {
		t.Errorf("claims %+v, %v", claims, err)
	}
}

func TestALogoutOfAPlayerNobodyKnowsEndsTheToken(t *testing.T) {
	d := newDesk(t)
	for _, everywhere := range []bool{false, true} {
		token, claims, err := d.Signer.Sign(jwtkit.Claims{Player: id.New(), Family: "family"})
		if err != nil {
			t.Fatal(err)
		}
		if !d.accepted(t, token) {
			t.Fatal("the token is refused before")
		}
		if err := d.LogOut(t.Context(), claims, everywhere); err != nil {
			t.Fatalf("LogOut: %v", err)
		}
		if d.accepted(t, token) {
			t.Errorf("the token is accepted after a logout, everywhere: %v", everywhere)
		}
	}
}

func TestALogoutWithoutAFamilyIsEverywhere(t *testing.T) {
	d := newDesk(t)
	l := d.logIn(t, "")
	token, claims, err := d.Signer.Sign(jwtkit.Claims{Player: l.Player.ID})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.LogOut(t.Context(), claims, false); err != nil {
		t.Fatalf("LogOut: %v", err)
	}
	if d.accepted(t, token) || d.accepted(t, l.Access) {
		t.Error("tokens are accepted after the logout")
	}
}

func TestTokensOfADeletedPlayerAreRefused(t *testing.T) {
	d := newDesk(t)
	l := d.logIn(t, "")
	if _, err := d.players.Delete(t.Context(), l.Player.ID, d.clock.Now()); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Renew(t.Context(), l.Refresh); !errors.Is(err, login.ErrRefreshRevoked) {
		t.Errorf("Renew: %v", err)
	}
	claims, err := d.verifier.Verify(l.Access)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.LogOut(t.Context(), claims, true); err != nil {
		t.Errorf("LogOut: %v", err)
	}
	if d.accepted(t, l.Access) {
		t.Error("the access token is accepted")
	}
}
