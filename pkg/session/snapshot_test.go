package session_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-games/holdfast/pkg/session"
)

var update = flag.Bool("update", false, "write the golden files again")

const now = int64(1_800_000_000_000)

// places are what a player can hold, by the word that names it in the golden
// file.
func places() map[string]session.Place {
	return map[string]session.Place{
		"ticket": {
			Kind: session.Ticket, Slot: "duel", ID: "ticket-1", V: 3,
			Copy: session.Encode(session.TicketCopy{QueuedAt: now - 7_000, Held: true, EstimatedWaitMs: 12_000}),
		},
		"lobby": {Kind: session.Lobby, ID: "K7XQ2M", V: 1, Copy: session.Encode(session.LobbyCopy{})},
		"match": {
			Kind: session.Match, ID: "match-1", V: 2,
			Copy: session.Encode(session.MatchCopy{
				Queue: "duel", State: "found", Players: []string{player, "p2"}, AcceptBy: now + 15_000, LobbyCode: "K7XQ2M",
			}),
		},
	}
}

// record returns a session with the confirmed places named.
func record(presence session.Presence, held ...string) session.Record {
	r := session.Record{
		Player: player, SID: "life-1", V: now - 1_000, Prev: now - 9_000, Presence: presence, Epoch: now - 60_000, Since: now - 1_000,
		Deadline: now + 60_000, Seen: now, Name: "Ada", Provider: "steam", Durable: true, Now: now, Shift: 500,
	}
	if presence == session.Grace {
		r.Reason = "keepalive_timeout"
	}
	if presence == session.Connected {
		r.Connections = []session.Connection{{ID: session.NewConnectionID(now-60_000, now-1_000, "10.0.0.1:1000"), Lease: now, Full: true, Node: "n"}}
	}
	for _, name := range held {
		r.Places = append(r.Places, places()[name])
	}
	return r
}

// combinations returns a record for every presence and every set of places.
func combinations() map[string]session.Record {
	all := map[string]session.Record{}
	for _, presence := range []session.Presence{session.Detached, session.Connected, session.Grace} {
		for _, held := range [][]string{
			nil, {"lobby"}, {"match"}, {"ticket"}, {"lobby", "match"}, {"lobby", "ticket"}, {"match", "ticket"}, {"lobby", "match", "ticket"},
		} {
			all[strings.Join(append([]string{string(presence)}, held...), " ")] = record(presence, held...)
		}
	}
	return all
}

func TestSnapshotOfEveryCombination(t *testing.T) {
	snapshots := map[string]any{}
	for name, r := range combinations() {
		snapshots[name] = session.Snapshot(r)
	}
	golden(t, "snapshots.json", snapshots)
}

// golden compares a value with a file; -update writes the file.
func golden(t *testing.T, name string, value any) {
	t.Helper()
	got, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	got = append(got, '\n')
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is not what comes out any more (-update writes it):\n%s", path, got)
	}
}

func TestPendingPlacesAreHidden(t *testing.T) {
	for _, presence := range []session.Presence{session.Detached, session.Connected, session.Grace} {
		r := record(presence, "ticket", "lobby", "match")
		for i := range r.Places {
			r.Places[i].NotAfter = now + 10_000
		}
		s := session.Snapshot(r)
		if len(s.Queue) != 0 || s.Lobby != nil || s.Match != nil {
			t.Errorf("%s: a place that is not confirmed shows: %+v", presence, s)
		}
		r.Places[0].NotAfter = 0
		if s := session.Snapshot(r); len(s.Queue) != 1 || s.Lobby != nil || s.Match != nil {
			t.Errorf("%s: want the ticket alone: %+v", presence, s)
		}
	}
}

func TestDeadlineOnlyWhenNotConnected(t *testing.T) {
	for presence, want := range map[session.Presence]bool{session.Detached: true, session.Connected: false, session.Grace: true} {
		s := session.Snapshot(record(presence))
		if has := !s.Deadline.IsZero(); has != want || (s.RemainingMs != nil) != want {
			t.Errorf("%s: deadline %s, remaining %v; want them: %v", presence, s.Deadline, s.RemainingMs, want)
		}
	}
}

func TestRemainingTimeIsNeverNegative(t *testing.T) {
	r := record(session.Grace, "match")
	r.Now = r.Deadline + 1_000_000
	s := session.Snapshot(r)
	if *s.RemainingMs != 0 || *s.Match.RemainingMs != 0 {
		t.Errorf("remaining %d and %d, want 0", *s.RemainingMs, *s.Match.RemainingMs)
	}
}

func TestOptionalPartsOfPlaces(t *testing.T) {
	r := record(session.Connected)
	r.Places = []session.Place{
		{Kind: session.Match, ID: "m", Copy: session.Encode(session.MatchCopy{Queue: "duel", State: "started", Players: []string{player}})},
		{Kind: session.Ticket, Slot: "a", ID: "t1", Copy: session.Encode(session.TicketCopy{QueuedAt: now})},
		{Kind: session.Ticket, Slot: "b", ID: "t2", Copy: session.Encode(session.TicketCopy{QueuedAt: now, Held: true})},
	}
	golden(t, "snapshot-bare-places.json", session.Snapshot(r))
}

// Copies of a later version may hold what this one does not know, and places
// may be of a new kind.
func TestSnapshotShowsWhatItCan(t *testing.T) {
	r := record(session.Connected)
	r.Healed = true
	r.Places = []session.Place{
		{Kind: "tournament", ID: "x", Copy: "{}"},
		{Kind: session.Match, ID: "m", Copy: `{"queue":"duel","state":"started","players":["p1"],"spectators":7}`},
		{Kind: session.Ticket, Slot: "duel", ID: "t", Copy: "not JSON"},
	}
	golden(t, "snapshot-newer-places.json", session.Snapshot(r))
}

func TestEncodeOfWhatCannotBe(t *testing.T) {
	if got := session.Encode(make(chan int)); got != "{}" {
		t.Errorf("Encode = %q", got)
	}
}

func TestTime(t *testing.T) {
	got := session.Time(now + 250)
	if got.Location() != time.UTC || got.Format(time.RFC3339Nano) != "2027-01-15T08:00:00.25Z" {
		t.Errorf("Time = %s", got)
	}
}
