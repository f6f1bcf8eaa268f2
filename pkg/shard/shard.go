// Package shard maps every player, lobby and queue to a shard: the unit within
// which Redis changes keys together. The keys of one shard share a hash tag,
// so that they share a slot on Redis Cluster.
package shard

import "fmt"

// Default is the number of shards of a deployment that does not choose one.
const Default = 64

// Max is the largest number of shards.
const Max = 1024

// Map assigns names to N shards. The zero value is not usable.
type Map struct{ n int }

// New returns a map of n shards, 1 to Max.
func New(n int) (Map, error) {
	if n < 1 || n > Max {
		return Map{}, fmt.Errorf("shards: %d is not between 1 and %d", n, Max)
	}
	return Map{n: n}, nil
}

// N returns the number of shards.
func (m Map) N() int { return m.n }

// Of returns the shard of a name: crc16 (XMODEM) modulo N.
func (m Map) Of(name string) int { return int(crc16(name)) % m.n }

// All returns every shard.
func (m Map) All() []int {
	all := make([]int, m.n)
	for i := range all {
		all[i] = i
	}
	return all
}

// Key returns a key of a shard: "hf:{07}:" and the rest.
func Key(shard int, rest string) string { return fmt.Sprintf("hf:{%02d}:%s", shard, rest) }

func crc16(s string) uint16 {
	var crc uint16
	for i := range len(s) {
		crc ^= uint16(s[i]) << 8
		for range 8 {
			if crc&0x8000 != 0 {
				crc = crc<<1 ^ 0x1021
			} else {
				crc <<= 1
			}
		}
	}
	return crc
}
