package playerstest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/holdfast-games/holdfast/pkg/players"
	"github.com/holdfast-games/holdfast/pkg/players/memstore"
)

// testHistories plays random histories on the store and on a map, which must
// answer alike. Each history has names of its own, so that one database serves
// them all.
func testHistories(t *testing.T, open Open) {
	t.Helper()
	first, second := open(t)
	histories := 0
	rapid.Check(t, func(rt *rapid.T) {
		histories++
		h := &history{
			ctx: t.Context(), prefix: fmt.Sprintf("history-%d-", histories), now: start,
			model: memstore.New(), stores: []players.Store{first, second},
		}
		rt.Repeat(map[string]func(*rapid.T){
			"log in": h.logIn, "begin family": h.beginFamily, "rotate": h.rotate, "revoke family": h.revokeFamily,
			"revoke": h.revoke, "delete": h.remove, "rename": h.rename, "link": h.link, "unlink": h.unlink,
			"wait": h.wait, "": h.compare,
		})
	})
}

// history draws from few names, so that actions meet.
type history struct {
	ctx    context.Context
	prefix string
	now    time.Time
	model  players.Store
	stores []players.Store
	made   int

	players  []string
	families []string
}

// both takes one step on the map and on one handle of the store.
func (h *history) both(t *rapid.T, step func(players.Store) (any, error)) {
	want, wantErr := step(h.model)
	got, gotErr := step(h.stores[rapid.IntRange(0, len(h.stores)-1).Draw(t, "handle")])
	if !sameError(gotErr, wantErr) || !reflect.DeepEqual(got, want) {
		t.Fatalf("got  %+v, %v\nwant %+v, %v", got, gotErr, want, wantErr)
	}
}

func sameError(got, want error) bool {
	if got == nil || want == nil {
		return got == nil && want == nil
	}
	return errors.Is(got, want)
}

func (h *history) player(t *rapid.T) string {
	return rapid.SampledFrom(append([]string{h.prefix + "nobody"}, h.players...)).Draw(t, "player")
}

func (h *history) family(t *rapid.T) string {
	return rapid.SampledFrom(append([]string{h.prefix + "no-family"}, h.families...)).Draw(t, "family")
}

func (h *history) identity(t *rapid.T) players.Identity {
	return players.Identity{
		Provider:    rapid.SampledFrom([]string{"guest", "steam"}).Draw(t, "provider"),
		SubjectHash: h.prefix + rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "subject"),
	}
}

func (h *history) newID() string {
	h.made++
	return fmt.Sprint(h.prefix, h.made)
}

func (h *history) logIn(t *rapid.T) {
	identity, create := h.identity(t), players.NewPlayer{ID: h.newID(), DisplayName: "Ada"}
	h.both(t, func(s players.Store) (any, error) {
		p, created, err := s.FindOrCreate(h.ctx, identity, create, h.now)
		if created && s == h.model {
			h.players = append(h.players, p.ID)
		}
		return login{p, created}, err
	})
}

func (h *history) beginFamily(t *rapid.T) {
	f := players.NewFamily{
		ID: h.newID(), PlayerID: h.player(t), CreatedAt: h.now,
		ExpiresAt: h.now.Add(sliding), AbsoluteExpiresAt: h.now.Add(absolute),
	}
	if p, err := h.model.Get(h.ctx, f.PlayerID); err == nil {
		f.Rev = p.Rev - rapid.SampledFrom([]int64{0, 0, 0, 1}).Draw(t, "revs behind")
	}
	h.both(t, func(s players.Store) (any, error) { return nil, s.CreateFamily(h.ctx, f) })
	h.families = append(h.families, f.ID)
}

func (h *history) rotate(t *rapid.T) {
	r := players.Rotation{
		FamilyID: h.family(t), Presented: rapid.Int64Range(0, 6).Draw(t, "presented"), Now: h.now, Sliding: sliding,
	}
	h.both(t, func(s players.Store) (any, error) { return s.RotateFamily(h.ctx, r) })
}

func (h *history) revokeFamily(t *rapid.T) {
	family := h.family(t)
	h.both(t, func(s players.Store) (any, error) { return nil, s.RevokeFamily(h.ctx, family, players.Logout, h.now) })
}

func (h *history) revoke(t *rapid.T) {
	player := h.player(t)
	h.both(t, func(s players.Store) (any, error) { return s.Revoke(h.ctx, player, players.Banned, h.now) })
}

func (h *history) remove(t *rapid.T) {
	player := h.player(t)
	h.both(t, func(s players.Store) (any, error) { return s.Delete(h.ctx, player, h.now) })
}

func (h *history) rename(t *rapid.T) {
	player, name := h.player(t), rapid.StringN(-1, 20, -1).Draw(t, "name")
	h.both(t, func(s players.Store) (any, error) { return nil, s.Rename(h.ctx, player, name, h.now) })
}

func (h *history) link(t *rapid.T) {
	player, identity := h.player(t), h.identity(t)
	h.both(t, func(s players.Store) (any, error) { return s.Link(h.ctx, player, identity, h.now) })
}

func (h *history) unlink(t *rapid.T) {
	player, provider := h.player(t), rapid.SampledFrom([]string{"guest", "steam", "discord"}).Draw(t, "provider")
	h.both(t, func(s players.Store) (any, error) { return s.Unlink(h.ctx, player, provider, h.now) })
}

func (h *history) wait(t *rapid.T) {
	h.now = h.now.Add(time.Duration(rapid.Int64Range(1, int64(sliding)).Draw(t, "wait")))
}

// compare reads one player with one family after each step.
func (h *history) compare(t *rapid.T) {
	player, family := h.player(t), h.family(t)
	h.both(t, func(s players.Store) (any, error) { return s.Get(h.ctx, player) })
	h.both(t, func(s players.Store) (any, error) { return s.Facts(h.ctx, player, family) })
	h.both(t, func(s players.Store) (any, error) { return s.Identities(h.ctx, player) })
}
