package shard_test

import (
	"fmt"
	"testing"

	"github.com/holdfast-games/holdfast/pkg/shard"
)

func TestNewRefusesWhatIsNoNumberOfShards(t *testing.T) {
	for _, n := range []int{-1, 0, shard.Max + 1} {
		if _, err := shard.New(n); err == nil {
			t.Errorf("%d shards were taken", n)
		}
	}
	for _, n := range []int{1, shard.Default, shard.Max} {
		m, err := shard.New(n)
		if err != nil || m.N() != n || len(m.All()) != n || m.All()[n-1] != n-1 {
			t.Errorf("%d shards: got %v, %v", n, m.All(), err)
		}
	}
}

// TestOfIsRedisHash: with as many shards as fit, the shard is what Redis
// Cluster computes for a key slot, modulo that number. The slots are what
// CLUSTER KEYSLOT answers; 0x31C3 is the check value of CRC-16/XMODEM.
func TestOfIsRedisHash(t *testing.T) {
	for name, slot := range map[string]int{
		"123456789": 0x31C3, "foo": 12182, "hello": 866, "user1000": 3443, "": 0, "a": 15495,
	} {
		for _, n := range []int{1, 2, 64, 1024} { // divisors of the 16384 slots
			m, err := shard.New(n)
			if err != nil {
				t.Fatal(err)
			}
			if got, want := m.Of(name), slot%n; got != want {
				t.Errorf("Of(%q) of %d: got %d, want %d", name, n, got, want)
			}
		}
	}
}

func TestOfSpreads(t *testing.T) {
	m, err := shard.New(shard.Default)
	if err != nil {
		t.Fatal(err)
	}
	count := make([]int, m.N())
	const each = 200
	for i := range each * m.N() {
		count[m.Of(fmt.Sprintf("player-%d", i))]++
	}
	for n, c := range count {
		if c < each/2 || c > each*2 {
			t.Errorf("shard %d has %d of %d players", n, c, each*m.N())
		}
	}
}

func TestKeysOfAShardShareASlot(t *testing.T) {
	if got := shard.Key(7, "session:ann"); got != "hf:{07}:session:ann" {
		t.Errorf("got %q", got)
	}
	if got := shard.Key(1023, "open"); got != "hf:{1023}:open" {
		t.Errorf("got %q", got)
	}
}

func FuzzOf(f *testing.F) {
	f.Add("ann", 64)
	f.Fuzz(func(t *testing.T, name string, n int) {
		m, err := shard.New(n)
		if err != nil {
			return
		}
		if got := m.Of(name); got < 0 || got >= n || got != m.Of(name) {
			t.Errorf("Of(%q) of %d: got %d", name, n, got)
		}
	})
}
