package session

import (
	"encoding/json"
	"time"

	"github.com/holdfast-games/holdfast/proto/wire"
)

// TicketCopy is what matchmaking keeps in a Ticket place.
type TicketCopy struct {
	QueuedAt        int64 `json:"queuedAt"` // ms
	Held            bool  `json:"held,omitempty"`
	EstimatedWaitMs int64 `json:"wait,omitempty"`
}

// MatchCopy is what matchmaking keeps in a Match place.
type MatchCopy struct {
	Queue     string   `json:"queue"`
	State     string   `json:"state"`
	Players   []string `json:"players"`
	AcceptBy  int64    `json:"acceptBy,omitempty"` // ms
	LobbyCode string   `json:"lobby,omitempty"`
}

// LobbyCopy is what the lobby service keeps in a Lobby place; the code is the
// id of the place.
type LobbyCopy struct{}

// Encode renders a copy for a Place. Copies are plain structs of strings and
// numbers, which always encode.
func Encode(copied any) string {
	b, err := json.Marshal(copied)
	if err != nil {
		return "{}"
	}
	return string(b)
}

// Snapshot renders the record as its player sees it.
func Snapshot(r Record) wire.Snapshot {
	s := wire.Snapshot{
		Version: r.V, Prev: r.Prev, SID: r.SID, Player: wire.Player{ID: r.Player, DisplayName: r.Name},
		Presence: wire.Presence(r.Presence), Since: at(r.Since), Healed: r.Healed, Reason: r.Reason,
		Queue: wire.List[wire.TicketSummary]{}, ServerTime: at(r.Now),
	}
	if r.Presence != Connected {
		s.Deadline, s.RemainingMs = at(r.Deadline), remaining(r.Deadline, r.Now)
	}
	for _, p := range r.Places {
		if p.Pending() {
			continue
		}
		switch p.Kind {
		case Ticket:
			s.Queue = append(s.Queue, ticketSummary(p))
		case Lobby:
			s.Lobby = &wire.LobbySummary{Code: p.ID}
		case Match:
			s.Match = matchSummary(p, r.Now)
		}
	}
	return s
}

func ticketSummary(p Place) wire.TicketSummary {
	var c TicketCopy
	_ = json.Unmarshal([]byte(p.Copy), &c) // a copy of a newer version shows what it can
	t := wire.TicketSummary{TicketID: p.ID, Queue: p.Slot, QueuedAt: at(c.QueuedAt), Held: c.Held}
	if c.EstimatedWaitMs > 0 {
		t.EstimatedWaitMs = &c.EstimatedWaitMs
	}
	return t
}

func matchSummary(p Place, now int64) *wire.MatchSummary {
	var c MatchCopy
	_ = json.Unmarshal([]byte(p.Copy), &c)
	m := &wire.MatchSummary{
		ID: p.ID, Queue: c.Queue, State: wire.MatchState(c.State), LobbyCode: c.LobbyCode, Players: c.Players,
	}
	if c.AcceptBy > 0 {
		m.AcceptBy, m.RemainingMs = at(c.AcceptBy), remaining(c.AcceptBy, now)
	}
	return m
}

func at(ms int64) wire.Time { return wire.FromMillis(ms) }

func remaining(deadline, now int64) *int64 {
	left := max(deadline-now, 0)
	return &left
}

// Time returns ms since 1970 as a time.
func Time(ms int64) time.Time { return time.UnixMilli(ms).UTC() }
