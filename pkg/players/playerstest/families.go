package playerstest

import (
	"fmt"
	"time"

	"github.com/holdfast-games/holdfast/pkg/id"
	"github.com/holdfast-games/holdfast/pkg/players"
)

var familyTests = []testCase{
	{"each token gets the next", testRotate},
	{"the previous token gets the same answer again", testRepeat},
	{"an older token ends the family", testReuse},
	{"a counter never handed out changes nothing", testInvalidCounter},
	{"an unknown family is an outcome", testUnknownFamily},
	{"expiry slides up to the absolute limit", testExpiry},
	{"logout ends one family", testRevokeFamily},
	{"a login needs a player as it was read", testCreateFamilyChanged},
	{"malformed families are invalid", testCreateFamilyInvalid},
	{"a granted token carries the newest player", testRotateCarriesPlayer},
	{"purge", testPurge},
}

func (b *backend) mustGrant(
	familyID string, presented int64, now time.Time, outcome players.Outcome, counter int64, expires time.Time,
) {
	b.t.Helper()
	r := b.rotate(familyID, presented, now)
	if r.Outcome != outcome || r.Counter != counter || !r.ExpiresAt.Equal(expires) {
		b.t.Fatalf("token %d: %v with counter %d until %s; want %v, %d, %s",
			presented, r.Outcome, r.Counter, r.ExpiresAt, outcome, counter, expires)
	}
}

func testRotate(b *backend) {
	family := b.family(b.player(guest(1), "Ada"))
	for i := range int64(5) {
		now := start.Add(time.Duration(i) * time.Hour)
		b.mustGrant(family, i+1, now, players.Rotated, i+2, now.Add(sliding))
	}
}

func testRepeat(b *backend) {
	ada := b.player(guest(1), "Ada")
	family := b.family(ada)
	b.mustGrant(family, 1, start, players.Rotated, 2, start.Add(sliding))
	for i := range 3 {
		later := start.Add(time.Duration(i) * 24 * time.Hour)
		b.mustGrant(family, 1, later, players.Repeated, 2, start.Add(sliding))
	}
	b.mustGrant(family, 2, start, players.Rotated, 3, start.Add(sliding))
	b.mustGrant(family, 2, start, players.Repeated, 3, start.Add(sliding))
	equal(b.t, "revoked", b.facts(ada.ID, family).FamilyRevoked, false)
}

func testReuse(b *backend) {
	ada := b.player(guest(1), "Ada")
	family, other := b.family(ada), b.family(ada)
	b.mustGrant(family, 1, start, players.Rotated, 2, start.Add(sliding))
	b.mustGrant(family, 2, start, players.Rotated, 3, start.Add(sliding))
	want := players.RotateResult{Outcome: players.Reused, Player: ada, EndReason: players.Replay}
	equal(b.t, "the copied token", b.rotate(family, 1, start), want)
	equal(b.t, "revoked", b.facts(ada.ID, family).FamilyRevoked, true)
	want.Outcome = players.Ended
	for presented := range int64(5) {
		equal(b.t, fmt.Sprintf("token %d after that", presented), b.rotate(family, presented, start), want)
	}
	equal(b.t, "rev", b.get(ada.ID).Rev, 0)
	b.mustGrant(other, 1, start, players.Rotated, 2, start.Add(sliding))
}

func testInvalidCounter(b *backend) {
	ada := b.player(guest(1), "Ada")
	family := b.family(ada)
	for _, presented := range []int64{-1 << 63, -1, 0, 2, 3, 1<<63 - 1} {
		want := players.RotateResult{Outcome: players.InvalidCounter, Player: ada}
		equal(b.t, fmt.Sprintf("token %d", presented), b.rotate(family, presented, start), want)
	}
	b.mustGrant(family, 1, start, players.Rotated, 2, start.Add(sliding))
}

func testUnknownFamily(b *backend) {
	b.family(b.player(guest(1), "Ada"))
	for _, familyID := range []string{id.New(), "", "a\x00b", "a\xff"} {
		want := players.RotateResult{Outcome: players.UnknownFamily}
		equal(b.t, "an unknown family", b.rotate(familyID, 1, start), want)
		if err := b.RevokeFamily(b.t.Context(), familyID, players.Logout, start); err != nil {
			b.t.Errorf("RevokeFamily of an unknown family: %v", err)
		}
	}
}

func testExpiry(b *backend) {
	ada := b.player(guest(1), "Ada")
	unused, used := b.family(ada), b.family(ada)
	last, limit := start.Add(sliding-time.Millisecond), start.Add(absolute)
	b.mustGrant(used, 1, last, players.Rotated, 2, last.Add(sliding))
	expired := players.RotateResult{Outcome: players.Expired, Player: ada}
	equal(b.t, "a token not used in time", b.rotate(unused, 1, start.Add(sliding)), expired)

	almost := last.Add(sliding - time.Millisecond)
	b.mustGrant(used, 2, almost, players.Rotated, 3, almost.Add(sliding))
	near := limit.Add(-time.Hour)
	b.mustGrant(used, 3, near, players.Rotated, 4, limit)
	b.mustGrant(used, 3, near, players.Repeated, 4, limit)
	for _, presented := range []int64{1, 3, 4, 5} { // expired is all that counts: nothing is ended
		equal(b.t, "a token at the absolute limit", b.rotate(used, presented, limit), expired)
	}
	equal(b.t, "revoked", b.facts(ada.ID, used).FamilyRevoked, false)
}

func testRevokeFamily(b *backend) {
	ada := b.player(guest(1), "Ada")
	family, other := b.family(ada), b.family(ada)
	for _, reason := range []players.EndReason{players.Logout, players.Banned} { // the first one stays
		if err := b.RevokeFamily(b.t.Context(), family, reason, start); err != nil {
			b.t.Fatalf("RevokeFamily: %v", err)
		}
	}
	b.revoke(ada.ID, start) // nor does this give it another reason
	want := players.RotateResult{Outcome: players.Ended, Player: b.get(ada.ID), EndReason: players.Logout}
	equal(b.t, "a token of the family", b.rotate(family, 1, start), want)
	want.EndReason = players.Banned
	equal(b.t, "a token of the other", b.rotate(other, 1, start), want)
}

func testCreateFamilyChanged(b *backend) {
	ada := b.player(guest(1), "Ada")
	b.revoke(ada.ID, start)
	stale := newFamily(ada)
	mustBe(b.t, "a login from before a revocation", b.CreateFamily(b.t.Context(), stale), players.ErrChanged)
	equal(b.t, "its family", b.rotate(stale.ID, 1, start).Outcome, players.UnknownFamily)
	ada = b.get(ada.ID)
	b.mustGrant(b.family(ada), 1, start, players.Rotated, 2, start.Add(sliding))

	rev, err := b.Delete(b.t.Context(), ada.ID, start)
	if err != nil {
		b.t.Fatal(err)
	}
	ada.Rev = rev
	mustBe(b.t, "a login of a deleted player", b.CreateFamily(b.t.Context(), newFamily(ada)), players.ErrChanged)
	nobody := newFamily(players.Player{ID: id.New()})
	mustBe(b.t, "a login of nobody", b.CreateFamily(b.t.Context(), nobody), players.ErrNotFound)
}

func testCreateFamilyInvalid(b *backend) {
	ada := b.player(guest(1), "Ada")
	for name, spoil := range map[string]func(*players.NewFamily){
		"no id":             func(f *players.NewFamily) { f.ID = "" },
		"no player":         func(f *players.NewFamily) { f.PlayerID = "" },
		"malformed id":      func(f *players.NewFamily) { f.ID = "a\x00" },
		"no expiry":         func(f *players.NewFamily) { f.ExpiresAt = time.Time{} },
		"past the absolute": func(f *players.NewFamily) { f.ExpiresAt = f.AbsoluteExpiresAt.Add(1) },
	} {
		f := newFamily(ada)
		spoil(&f)
		mustBe(b.t, name, b.CreateFamily(b.t.Context(), f), players.ErrInvalid)
	}
	f := newFamily(ada)
	if err := b.CreateFamily(b.t.Context(), f); err != nil {
		b.t.Fatal(err)
	}
	b.mustGrant(f.ID, 1, start, players.Rotated, 2, start.Add(sliding))
	mustBe(b.t, "an id in use", b.CreateFamily(b.t.Context(), f), players.ErrInvalid)
	b.mustGrant(f.ID, 2, start, players.Rotated, 3, start.Add(sliding))
}

func testRotateCarriesPlayer(b *backend) {
	ada := b.player(guest(1), "Ada")
	b.revoke(ada.ID, start)
	ada = b.get(ada.ID)
	family := b.family(ada)
	equal(b.t, "the player", b.rotate(family, 1, start).Player, ada)
	if err := b.Rename(b.t.Context(), ada.ID, "Countess", start); err != nil {
		b.t.Fatal(err)
	}
	equal(b.t, "the renamed player", b.rotate(family, 1, start).Player, b.get(ada.ID))
}

func testPurge(b *backend) {
	ada := b.player(guest(1), "Ada")
	var old []string
	for range 5 {
		old = append(old, b.family(ada))
	}
	kept, ended := b.family(ada), b.family(ada)
	b.rotate(kept, 1, start.Add(time.Hour))
	endedAt := start.Add(time.Minute)
	if err := b.RevokeFamily(b.t.Context(), ended, players.Logout, endedAt); err != nil {
		b.t.Fatal(err)
	}
	purge := func(before time.Time, limit, want int) {
		b.t.Helper()
		n, err := b.PurgeExpired(b.t.Context(), before, limit)
		if err != nil || n != want {
			b.t.Fatalf("PurgeExpired(%s, %d) = %d, %v; want %d", before, limit, n, err, want)
		}
	}
	purge(endedAt, 100, 0)
	purge(endedAt.Add(time.Millisecond), 0, 0)
	purge(endedAt.Add(time.Millisecond), -1, 0)
	purge(endedAt.Add(time.Millisecond), 100, 1)
	equal(b.t, "the ended family", b.rotate(ended, 1, start).Outcome, players.UnknownFamily)
	equal(b.t, "revoked when purged", b.facts(ada.ID, ended).FamilyRevoked, true)

	over := start.Add(sliding + time.Millisecond)
	purge(over, 3, 3)
	purge(over, 3, 2)
	purge(over, 3, 0)
	for _, family := range old {
		equal(b.t, "an expired family", b.rotate(family, 1, start).Outcome, players.UnknownFamily)
	}
	equal(b.t, "a live family", b.rotate(kept, 2, start).Outcome, players.Rotated)
	equal(b.t, "the player", b.get(ada.ID), ada)
}
