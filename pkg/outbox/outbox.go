// Package outbox carries every consequence of a change: scripts append an
// event to the stream of their shard together with the change itself, and
// consumer groups read it at least once and in order.
//
// A group reads a shard through one reader at a time, whoever holds the lease
// for it. The lease spreads work and guards nothing: consumers are idempotent.
// All readers of a group share one consumer name, so that what a dead reader
// left pending is what the next one reads first.
package outbox

import (
	_ "embed"
	"fmt"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/holdfast-games/holdfast/pkg/rediskit"
)

// Lua is the prelude that gives scripts outbox_append(key, fields).
//
//go:embed append.lua
var Lua string

// The consumer groups. append.lua creates the same ones.
const (
	Relay       = "relay"       // publishes to MQTT
	Broker      = "broker"      // kicks connections
	Matchmaking = "matchmaking" // holds, resumes and cancels tickets; moves matches
)

// Groups returns all consumer groups.
func Groups() []string { return []string{Relay, Broker, Matchmaking} }

// Event is one entry of an outbox.
type Event struct {
	ID     string // of the stream entry, unique within the shard
	Shard  int
	Type   string // "session.grace", "match.forming", …
	Player string
	SID    string
	V      int64 // session version after the change
	Prev   int64 // and before it
	At     int64 // ms, Redis time
	Fields map[string]string
}

// Places returns the places of a kind that the event lists: id by slot.
func (e Event) Places(kind string) map[string]string { return e.withPrefix(kind + ":") }

// Dropped returns the places of a kind that the event says were dropped: id by slot.
func (e Event) Dropped(kind string) map[string]string { return e.withPrefix("drop:" + kind + ":") }

func (e Event) withPrefix(prefix string) map[string]string {
	found := map[string]string{}
	for k, v := range e.Fields {
		if slot, ok := strings.CutPrefix(k, prefix); ok {
			found[slot] = v
		}
	}
	return found
}

func parse(n int, m redis.XMessage) (Event, error) {
	e := Event{ID: m.ID, Shard: n, Fields: make(map[string]string, len(m.Values))}
	numbers := map[string]*int64{"v": &e.V, "prev": &e.Prev, "at": &e.At}
	for k, raw := range m.Values {
		v, ok := raw.(string)
		if !ok {
			return e, fmt.Errorf("outbox %d %s: field %s is a %T", n, m.ID, k, raw)
		}
		switch {
		case numbers[k] != nil:
			number, err := rediskit.ParseInt(v)
			if err != nil {
				return e, fmt.Errorf("outbox %d %s: field %s: %w", n, m.ID, k, err)
			}
			*numbers[k] = number
		case k == "type":
			e.Type = v
		case k == "player":
			e.Player = v
		case k == "sid":
			e.SID = v
		default:
			e.Fields[k] = v
		}
	}
	return e, nil
}
