// Package id makes identifiers and says which ones are well formed.
package id

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/google/uuid"
)

// MaxLen is the longest identifier, in bytes, that any part of Holdfast takes.
const MaxLen = 64

// New returns a new time-ordered identifier (UUID version 7).
func New() string { return uuid.Must(uuid.NewV7()).String() }

// NewOn returns a new identifier that carries the number of the shard its
// object lives on, for objects that are looked up by identifier alone.
func NewOn(shard int) string { return fmt.Sprintf("%02d.%s", shard, New()) }

// ShardOf returns the shard that NewOn put into the identifier.
func ShardOf(id string) (int, bool) {
	n, rest, ok := strings.Cut(id, ".")
	if !ok || len(n) < 2 || !Valid(rest) {
		return 0, false
	}
	shard, err := strconv.ParseUint(n, 10, 16)
	if err != nil {
		return 0, false
	}
	return int(shard), true
}

// Valid reports whether s is 1 to MaxLen letters, digits, '-' or '_': safe in
// a Redis key, an MQTT topic and a URL path.
func Valid(s string) bool {
	if s == "" || len(s) > MaxLen {
		return false
	}
	for i := range len(s) {
		c := s[i]
		ok := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_'
		if !ok {
			return false
		}
	}
	return true
}
