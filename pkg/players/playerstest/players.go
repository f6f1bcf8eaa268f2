package playerstest

import (
	"strings"
	"time"

	"github.com/holdfast-games/holdfast/pkg/id"
	"github.com/holdfast-games/holdfast/pkg/players"
)

var playerTests = []testCase{
	{"an identity is the same player for ever", testSameIdentity},
	{"an identity is its provider and its hash", testIdentityParts},
	{"what cannot be stored is invalid", testInvalidPlayers},
	{"a player id is used once", testPlayerIDInUse},
	{"who is unknown is not found", testUnknownPlayers},
	{"both handles see one database", testTwoHandles},
	{"rename", testRename},
	{"facts", testFacts},
	{"revoke", testRevoke},
	{"delete", testDelete},
	{"a deleted player comes back by logging in", testRestore},
	{"ping", testPing},
}

func testSameIdentity(b *backend) {
	create := newPlayer("Ada")
	made, created, err := b.FindOrCreate(b.t.Context(), guest(1), create, start.Add(200*time.Microsecond))
	if err != nil || !created {
		b.t.Fatalf("first login: created %v, %v", created, err)
	}
	want := players.Player{ID: create.ID, DisplayName: "Ada", Provider: "guest", CreatedAt: start, UpdatedAt: start}
	equal(b.t, "the new player", made, want)

	found, created, err := b.FindOrCreate(b.t.Context(), guest(1), newPlayer("Eve"), start.Add(time.Hour))
	if err != nil || created {
		b.t.Fatalf("second login: created %v, %v", created, err)
	}
	equal(b.t, "the player at the second login", found, want)
	equal(b.t, "the player by id", b.get(create.ID), want)
}

func testIdentityParts(b *backend) {
	seen := map[string]bool{}
	for _, identity := range []players.Identity{
		guest(1), guest(2), steam(1), {Provider: "Guest", SubjectHash: "hash-1"}, {Provider: "guesth", SubjectHash: "ash-1"},
	} {
		seen[b.player(identity, "").ID] = true
	}
	equal(b.t, "players of five identities", len(seen), 5)
}

func testInvalidPlayers(b *backend) {
	good := players.Identity{Provider: "guest", SubjectHash: "hash"}
	long := strings.Repeat("x", 257)
	for _, c := range []struct {
		name     string
		identity players.Identity
		create   players.NewPlayer
	}{
		{"no provider", players.Identity{SubjectHash: "hash"}, newPlayer("")},
		{"no subject", players.Identity{Provider: "guest"}, newPlayer("")},
		{"NUL in the subject", players.Identity{Provider: "guest", SubjectHash: "a\x00b"}, newPlayer("")},
		{"subject that is no UTF-8", players.Identity{Provider: "guest", SubjectHash: "a\xff"}, newPlayer("")},
		{"long provider", players.Identity{Provider: long, SubjectHash: "hash"}, newPlayer("")},
		{"no id", good, players.NewPlayer{}},
		{"id with a slash", good, players.NewPlayer{ID: "a/b"}},
		{"NUL in the name", good, newPlayer("a\x00b")},
		{"name that is no UTF-8", good, newPlayer("a\xff")},
		{"long name", good, newPlayer(long)},
	} {
		_, _, err := b.FindOrCreate(b.t.Context(), c.identity, c.create, start)
		mustBe(b.t, c.name, err, players.ErrInvalid)
	}
	b.player(good, strings.Repeat("é", 128)) // none of the above took the identity
}

func testPlayerIDInUse(b *backend) {
	ada := b.player(guest(1), "Ada")
	_, _, err := b.FindOrCreate(b.t.Context(), guest(2), players.NewPlayer{ID: ada.ID, DisplayName: "Eve"}, start)
	mustBe(b.t, "an id in use", err, players.ErrInvalid)
	equal(b.t, "its owner", b.get(ada.ID), ada)
	b.player(guest(2), "Eve") // the refused login took nothing

	// The same login sent twice is no such case.
	again, created, err := b.FindOrCreate(b.t.Context(), guest(1), players.NewPlayer{ID: ada.ID}, start)
	if err != nil || created || again != ada {
		b.t.Errorf("the same login again: %+v, created %v, %v", again, created, err)
	}
}

func testUnknownPlayers(b *backend) {
	b.player(guest(1), "Ada")
	for _, playerID := range []string{id.New(), "", "a\x00b", "a\xff", "' OR ''='"} {
		_, err := b.Get(b.t.Context(), playerID)
		mustBe(b.t, "Get", err, players.ErrNotFound)
		_, err = b.Facts(b.t.Context(), playerID, "")
		mustBe(b.t, "Facts", err, players.ErrNotFound)
		_, err = b.Identities(b.t.Context(), playerID)
		mustBe(b.t, "Identities", err, players.ErrNotFound)
		_, err = b.Link(b.t.Context(), playerID, guest(2), start)
		mustBe(b.t, "Link", err, players.ErrNotFound)
		_, err = b.Unlink(b.t.Context(), playerID, "guest", start)
		mustBe(b.t, "Unlink", err, players.ErrNotFound)
		_, err = b.Revoke(b.t.Context(), playerID, players.Banned, start)
		mustBe(b.t, "Revoke", err, players.ErrNotFound)
		_, err = b.Delete(b.t.Context(), playerID, start)
		mustBe(b.t, "Delete", err, players.ErrNotFound)
		mustBe(b.t, "Rename", b.Rename(b.t.Context(), playerID, "Eve", start), players.ErrNotFound)
	}
	b.player(guest(2), "Eve") // Link took no identity for nobody
}

func testTwoHandles(b *backend) {
	ada := b.player(guest(1), "Ada")
	got, err := b.other.Get(b.t.Context(), ada.ID)
	if err != nil || got != ada {
		b.t.Errorf("through the other handle: %+v, %v", got, err)
	}
}

func testRename(b *backend) {
	ada, eve := b.player(guest(1), "Ada"), b.player(guest(2), "Eve")
	later := start.Add(time.Minute)
	if err := b.Rename(b.t.Context(), ada.ID, "Countess ♥", later); err != nil {
		b.t.Fatalf("Rename: %v", err)
	}
	want := ada
	want.DisplayName, want.UpdatedAt = "Countess ♥", later
	equal(b.t, "the renamed player", b.get(ada.ID), want)
	equal(b.t, "another player", b.get(eve.ID), eve)
	for _, name := range []string{"a\x00b", "a\xff", strings.Repeat("x", 257)} {
		mustBe(b.t, "a malformed name", b.Rename(b.t.Context(), ada.ID, name, later), players.ErrInvalid)
	}
	if _, err := b.Delete(b.t.Context(), ada.ID, later); err != nil {
		b.t.Fatal(err)
	}
	mustBe(b.t, "a deleted player", b.Rename(b.t.Context(), ada.ID, "Ada", later), players.ErrNotFound)
}

func testFacts(b *backend) {
	ada, eve := b.player(steam(1), "Ada"), b.player(guest(2), "Eve")
	alive, ended, foreign := b.family(ada), b.family(ada), b.family(eve)
	if err := b.RevokeFamily(b.t.Context(), ended, players.Logout, start); err != nil {
		b.t.Fatal(err)
	}
	for name, c := range map[string]struct {
		family  string
		revoked bool
	}{
		"no family": {"", false}, "alive": {alive, false}, "ended": {ended, true},
		"another player's": {foreign, true}, "unknown": {id.New(), true}, "malformed": {"a\x00b", true},
	} {
		want := players.Facts{DisplayName: "Ada", Provider: "steam", EndedAt: start, FamilyRevoked: c.revoked}
		equal(b.t, "facts, family "+name, b.facts(ada.ID, c.family), want)
	}
	// A family that has expired is not revoked: see the contract.
	b.rotate(alive, 1, start.Add(2*absolute))
	equal(b.t, "facts, expired family", b.facts(ada.ID, alive).FamilyRevoked, false)
}

func testRevoke(b *backend) {
	ada, eve := b.player(guest(1), "Ada"), b.player(guest(2), "Eve")
	first, second, foreign := b.family(ada), b.family(ada), b.family(eve)
	later := start.Add(time.Minute)
	equal(b.t, "rev after one revocation", b.revoke(ada.ID, later), 1)
	want := ada
	want.Rev, want.UpdatedAt, want.RevokedAt = 1, later, later
	equal(b.t, "the revoked player", b.get(ada.ID), want)
	for _, family := range []string{first, second} {
		facts := players.Facts{
			DisplayName: "Ada", Provider: "guest", Rev: 1, EndedAt: later, FamilyRevoked: true,
		}
		equal(b.t, "facts", b.facts(ada.ID, family), facts)
		r := b.rotate(family, 1, later)
		equal(b.t, "a token of the player", r, players.RotateResult{
			Outcome: players.Ended, Player: want, EndReason: players.Banned,
		})
	}
	equal(b.t, "a token of another player", b.rotate(foreign, 1, later).Outcome, players.Rotated)
	for i, c := range []struct{ now, want time.Duration }{{time.Hour, time.Hour}, {time.Minute, time.Hour}} {
		equal(b.t, "rev", b.revoke(ada.ID, start.Add(c.now)), int64(i+2))
		equal(b.t, "revoked at, which never goes back", b.facts(ada.ID, "").EndedAt, start.Add(c.want))
	}
}

func testDelete(b *backend) {
	ada := b.player(guest(1), "Ada")
	family := b.family(ada)
	later := start.Add(time.Minute)
	for _, at := range []time.Time{later, later.Add(time.Hour)} { // again changes nothing
		rev, err := b.Delete(b.t.Context(), ada.ID, at)
		if err != nil || rev != 1 {
			b.t.Fatalf("Delete = %d, %v", rev, err)
		}
		want := players.Player{
			ID: ada.ID, Provider: "guest", Rev: 1, RevokedAt: later,
			CreatedAt: start, UpdatedAt: later, DeletedAt: later,
		}
		equal(b.t, "the deleted player", b.get(ada.ID), want)
	}
	facts := players.Facts{Provider: "guest", Rev: 1, EndedAt: later, FamilyRevoked: true, Deleted: true}
	equal(b.t, "facts", b.facts(ada.ID, family), facts)
	equal(b.t, "reason", b.rotate(family, 1, later).EndReason, players.Removed)
	_, err := b.Link(b.t.Context(), ada.ID, steam(1), later)
	mustBe(b.t, "Link to a deleted player", err, players.ErrNotFound)
	_, err = b.Unlink(b.t.Context(), ada.ID, "guest", later)
	mustBe(b.t, "Unlink of a deleted player", err, players.ErrNotFound)
	equal(b.t, "rev of a ban on a deleted player", b.revoke(ada.ID, later), 2)
}

func testRestore(b *backend) {
	ada := b.player(guest(1), "Ada")
	gone, back := start.Add(time.Minute), start.Add(time.Hour)
	if _, err := b.Delete(b.t.Context(), ada.ID, gone); err != nil {
		b.t.Fatal(err)
	}
	got, created, err := b.FindOrCreate(b.t.Context(), guest(1), newPlayer("Countess"), back)
	if err != nil || created {
		b.t.Fatalf("login: created %v, %v", created, err)
	}
	want := ada
	want.DisplayName, want.Rev, want.RevokedAt, want.UpdatedAt = "Countess", 1, gone, back
	equal(b.t, "the player at the login", got, want)
	equal(b.t, "the player after it", b.get(ada.ID), want)
	equal(b.t, "deleted", b.facts(ada.ID, "").Deleted, false)
}

func testPing(b *backend) {
	if err := b.Ping(b.t.Context()); err != nil {
		b.t.Errorf("Ping: %v", err)
	}
}
