package playerstest

import (
	"slices"
	"time"

	"github.com/holdfast-games/holdfast/pkg/players"
)

var identityTests = []testCase{
	{"link and log in", testLink},
	{"a linked identity is not given away", testLinkTaken},
	{"malformed identities are invalid", testLinkInvalid},
	{"unlink", testUnlink},
	{"the last identity stays", testUnlinkLast},
	{"an unlinked identity is free", testUnlinkedIsFree},
}

func (b *backend) link(playerID string, identity players.Identity, already bool) {
	b.t.Helper()
	got, err := b.Link(b.t.Context(), playerID, identity, start.Add(time.Minute))
	if err != nil || got != already {
		b.t.Fatalf("Link(%v) = already %v, %v; want %v", identity, got, err, already)
	}
}

func (b *backend) unlink(playerID, provider string, already bool) {
	b.t.Helper()
	got, err := b.Unlink(b.t.Context(), playerID, provider, start.Add(time.Minute))
	if err != nil || got != already {
		b.t.Fatalf("Unlink(%s) = already %v, %v; want %v", provider, got, err, already)
	}
}

func (b *backend) mustHave(playerID string, want ...players.Identity) {
	b.t.Helper()
	got, err := b.Identities(b.t.Context(), playerID)
	if err != nil || !slices.Equal(got, want) {
		b.t.Errorf("Identities = %v, %v; want %v", got, err, want)
	}
}

func testLink(b *backend) {
	ada := b.player(steam(1), "Ada")
	b.mustHave(ada.ID, steam(1))
	b.link(ada.ID, guest(2), false)
	b.link(ada.ID, guest(2), true)
	b.link(ada.ID, steam(1), true)
	b.link(ada.ID, guest(1), false)
	b.mustHave(ada.ID, guest(1), guest(2), steam(1))
	want := ada
	want.UpdatedAt = start.Add(time.Minute)
	for _, identity := range []players.Identity{guest(1), guest(2), steam(1)} {
		got, created, err := b.FindOrCreate(b.t.Context(), identity, newPlayer("Eve"), start)
		if err != nil || created || got != want {
			b.t.Errorf("login by %v: %+v, created %v, %v", identity, got, created, err)
		}
	}
}

func testLinkTaken(b *backend) {
	ada, eve := b.player(guest(1), "Ada"), b.player(guest(2), "Eve")
	_, err := b.Link(b.t.Context(), eve.ID, guest(1), start)
	mustBe(b.t, "an identity of another", err, players.ErrIdentityTaken)
	b.mustHave(ada.ID, guest(1))
	b.mustHave(eve.ID, guest(2))
	equal(b.t, "the refused player", b.get(eve.ID), eve)
}

func testLinkInvalid(b *backend) {
	ada := b.player(guest(1), "Ada")
	for _, identity := range []players.Identity{{}, {Provider: "steam"}, {SubjectHash: "hash"}, {Provider: "a\x00", SubjectHash: "b"}} {
		_, err := b.Link(b.t.Context(), ada.ID, identity, start)
		mustBe(b.t, "a malformed identity", err, players.ErrInvalid)
	}
	b.mustHave(ada.ID, guest(1))
}

func testUnlink(b *backend) {
	ada := b.player(guest(1), "Ada")
	b.link(ada.ID, guest(2), false)
	b.link(ada.ID, steam(1), false)
	b.unlink(ada.ID, "discord", true)
	equal(b.t, "provider", b.get(ada.ID).Provider, "guest")
	b.unlink(ada.ID, "guest", false)
	b.unlink(ada.ID, "guest", true)
	b.mustHave(ada.ID, steam(1))
	equal(b.t, "provider after unlinking the first", b.get(ada.ID).Provider, "steam")
}

func testUnlinkLast(b *backend) {
	ada := b.player(guest(1), "Ada")
	b.link(ada.ID, guest(2), false)
	_, err := b.Unlink(b.t.Context(), ada.ID, "guest", start)
	mustBe(b.t, "the only provider", err, players.ErrLastIdentity)
	b.mustHave(ada.ID, guest(1), guest(2))
}

func testUnlinkedIsFree(b *backend) {
	ada := b.player(guest(1), "Ada")
	b.link(ada.ID, steam(1), false)
	b.unlink(ada.ID, "guest", false)
	eve := b.player(guest(1), "Eve")
	if eve.ID == ada.ID {
		b.t.Error("a login by an unlinked identity reached the old player")
	}
	equal(b.t, "the old player's name", b.get(ada.ID).DisplayName, "Ada")
}
