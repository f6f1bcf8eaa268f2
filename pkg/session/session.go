// Package session is the session protocol: what a player's session is, the
// transitions it can make, and the promises of the store that makes them.
// docs/session-protocol.md explains why each of them is as it is.
package session

import (
	"strconv"
	"strings"
	"time"
)

// Presence says how the player is attached to us.
type Presence string

// The presences.
const (
	Detached  Presence = "detached"  // no broker connection yet
	Connected Presence = "connected" // at least one broker connection is open
	Grace     Presence = "grace"     // the last connection ended; the player may come back
)

// Kind is a kind of place a player can hold.
type Kind string

// The kinds of places.
const (
	Ticket Kind = "ticket" // waiting in a queue; the slot is the queue
	Lobby  Kind = "lobby"  // sitting in a lobby; no slot
	Match  Kind = "match"  // playing; no slot
)

// Claims are what a verified access token says.
type Claims struct {
	Player    string
	Rev       int64  // revocation generation of the player when the token was made
	Family    string // the login this token descends from
	Name      string
	Provider  string
	ExpiresAt time.Time
}

// Facts are what the durable player record says, or, when it cannot be asked,
// what the token says (Durable is false then).
type Facts struct {
	Name          string
	Provider      string
	Rev           int64
	RevokedAt     time.Time // of the last revocation, zero when there was none
	FamilyRevoked bool
	Durable       bool
	Login         bool // the player has just logged in: making a session is no healing
}

// Connection is one open broker connection.
type Connection struct {
	ID    ConnectionID
	Lease int64 // ms, shifted time; without a renewal it is dropped then
	Full  bool  // the lease is a whole one, not the short one of a takeover
	Node  string
}

// ConnectionID ties both events of a connection together:
// "<epoch>/<connected_at>/<peername>".
type ConnectionID string

// NewConnectionID builds the identity of a connection. The epoch comes from
// Begin, connected_at in ms and peername ("ip:port") from the broker.
func NewConnectionID(epoch, connectedAt int64, peername string) ConnectionID {
	return ConnectionID(strconv.FormatInt(epoch, 10) + "/" + strconv.FormatInt(connectedAt, 10) + "/" + peername)
}

// Epoch returns the epoch of the connection, 0 when the id is malformed.
func (c ConnectionID) Epoch() int64 {
	head, _, _ := strings.Cut(string(c), "/")
	n, err := strconv.ParseInt(head, 10, 64)
	if err != nil || n < 0 {
		return 0
	}
	return n
}

// Place is where a player is: one reservation with the owner's small copy of
// what a snapshot shows.
type Place struct {
	Kind     Kind
	Slot     string
	ID       string
	V        int64  // version of the owner's object the copy was made from
	NotAfter int64  // ms; 0 once confirmed
	Copy     string // opaque to the store
}

// Pending reports whether the owner has not confirmed the place yet.
func (p Place) Pending() bool { return p.NotAfter != 0 }

// Record is a session at one moment. Times are Unix ms, Deadline with the
// shift applied.
type Record struct {
	Player      string
	SID         string
	V           int64
	Prev        int64
	Presence    Presence
	Epoch       int64
	Connections []Connection // by epoch, then id
	Since       int64
	Reason      string
	Deadline    int64
	Seen        int64
	Read        int64 // the version the player is known to have read
	Reach       int64 // when session.seen was last emitted
	Healed      bool
	Places      []Place // by kind, then slot
	Name        string
	Provider    string
	Durable     bool // the profile comes from the durable record, not from a token

	Now   int64 // when this was read
	Shift int64
}

// Place returns the place of a kind and slot.
func (r Record) Place(kind Kind, slot string) (Place, bool) {
	for _, p := range r.Places {
		if p.Kind == kind && p.Slot == slot {
			return p, true
		}
	}
	return Place{}, false
}

// Held returns the confirmed places of a kind.
func (r Record) Held(kind Kind) []Place {
	var held []Place
	for _, p := range r.Places {
		if p.Kind == kind && !p.Pending() {
			held = append(held, p)
		}
	}
	return held
}

// ReachUntil returns until when, in ms, the player counts as reachable if it
// does nothing more: 0 while connected, which has no end, and a time not
// after Now when it is not reachable.
func (r Record) ReachUntil(httpReach time.Duration) int64 {
	switch {
	case r.Presence == Connected:
		return 0
	case r.Presence == Detached || r.Seen > r.Since: // it has called since the drop, or never dropped
		return r.Seen + httpReach.Milliseconds()
	default:
		return r.Since
	}
}
