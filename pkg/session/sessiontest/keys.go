package sessiontest

import (
	"strings"
	"time"

	"github.com/holdfast-games/holdfast/pkg/session"
	"github.com/holdfast-games/holdfast/pkg/shard"
)

func keyPromises() []promise {
	return []promise{
		{"every key of a player ends by itself", playerKeysEnd},
		{"after an end only what must be remembered is left", keysAfterEnd},
		{"after an expiry only the tombstones are left", keysAfterExpiry},
	}
}

// ttl fails unless the key lives about as long as wanted: TTLs run in real time.
func (f *fixture) ttl(key string, want time.Duration) {
	f.Helper()
	got, ok := f.Keys(f)[shard.Key(f.Shards.Of("ann"), key)]
	if late := want - got; !ok || late < -time.Second || late > time.Minute {
		f.Errorf("%s lives for %v, want %v", key, got, want)
	}
}

// left returns the keys that name the player, and those that must not be.
func (f *fixture) left(player string) (named, unknown []string) {
	f.Helper()
	shared := []string{":open", ":deadlines:session", ":clock", ":outbox"}
	for key, ttl := range f.Keys(f) {
		if rest, ok := strings.CutSuffix(key, ":"+player); ok {
			named = append(named, rest[strings.LastIndex(rest, ":")+1:])
			if ttl <= 0 {
				f.Errorf("%s lives for ever", key)
			}
			continue
		}
		known := false
		for _, suffix := range shared {
			known = known || strings.HasSuffix(key, "}"+suffix)
		}
		if !known {
			unknown = append(unknown, key)
		}
	}
	return named, unknown
}

func playerKeysEnd(f *fixture) {
	if f.Keys == nil {
		f.Skip("this store has no keys")
	}
	f.call("ann")
	f.ttl("session:ann", f.settings.DetachedTTL+session.Backstop)
	id := f.connect("ann")
	f.ttl("session:ann", f.settings.OnlineLease+session.Backstop)
	f.hold("ann", session.Ticket, "ranked", "t1")
	f.disconnected("ann", id, "normal")
	f.ttl("session:ann", f.settings.GraceNormal+session.Backstop)
	f.ttl("closed:ann", session.TombstoneTTL)
	named, unknown := f.left("ann")
	f.equal("keys", []int{len(named), len(unknown)}, []int{2, 0})
}

func keysAfterEnd(f *fixture) {
	if f.Keys == nil {
		f.Skip("this store has no keys")
	}
	f.disconnected("ann", f.connect("ann"), "normal")
	f.connect("ann")
	f.end("ann", session.Ending{Reason: "banned", Revoke: true, Family: "laptop"})
	f.ttl("closed:ann", session.TombstoneTTL)
	f.ttl("revoked:ann", f.settings.RevokedTTL())
	named, unknown := f.left("ann")
	f.equal("keys", []int{len(named), len(unknown)}, []int{2, 0})
	f.equal("members", len(f.Open(f))+len(f.Deadlines(f)), 0)
}

func keysAfterExpiry(f *fixture) {
	if f.Keys == nil {
		f.Skip("this store has no keys")
	}
	f.hold("ann", session.Lobby, "", "AB12CD")
	f.disconnected("ann", f.connect("ann"), "normal")
	f.calm(f.settings.GraceNormal)
	f.outcome(f.due("ann"), session.Expired)
	named, unknown := f.left("ann")
	f.equal("keys", []any{named, len(unknown)}, []any{[]string{"closed"}, 0})
	f.equal("members", len(f.Open(f))+len(f.Deadlines(f)), 0)
}
