package wire

// Presence says how a player is connected to the broker.
type Presence string

// The values of Presence.
const (
	// PresenceDetached: no broker connection in this life of the session yet.
	PresenceDetached Presence = "detached"
	// PresenceConnected: at least one broker connection is open.
	PresenceConnected Presence = "connected"
	// PresenceGrace: the connection is gone and the player's places are kept
	// until the deadline.
	PresenceGrace Presence = "grace"
)

// Player is how a player is named to others.
type Player struct {
	// ID matches [A-Za-z0-9_-]{1,64} and is also the MQTT client id.
	ID string `json:"id"`
	// DisplayName is free text of 1 to 32 characters, not unique.
	DisplayName string `json:"displayName"`
}

// Snapshot is the whole truth about one player's session, enough after any
// gap.
type Snapshot struct {
	// Version grows with every visible change; it may jump, and never goes back.
	Version int64 `json:"version"`
	// Prev is the version before this one. Other than the last one seen, it
	// means that something was missed.
	Prev int64 `json:"prev"`
	// SID names this life of the session; a new one starts with nothing.
	SID string `json:"sid"`
	// Player is whom this is about.
	Player Player `json:"player"`
	// Presence says how the player is connected.
	Presence Presence `json:"presence"`
	// Since is when Presence last changed.
	Since Time `json:"since"`
	// Deadline is when the session ends unless the player comes back; none
	// while connected.
	Deadline Time `json:"deadline,omitzero"`
	// RemainingMs is the time from ServerTime to Deadline in milliseconds, at
	// least 0; nil without a Deadline.
	RemainingMs *int64 `json:"remainingMs,omitempty"`
	// Healed is true when this very call had to make the session anew.
	Healed bool `json:"healed,omitempty"`
	// Reason is why Presence last changed, in the broker's word.
	Reason string `json:"reason,omitempty"`
	// Queue holds the tickets the player waits with.
	Queue List[TicketSummary] `json:"queue"`
	// Lobby is the lobby the player sits in, if any.
	Lobby *LobbySummary `json:"lobby,omitempty"`
	// Match is the match the player is in, if any.
	Match *MatchSummary `json:"match,omitempty"`
	// Penalties are those still running.
	Penalties []Penalty `json:"penalties,omitempty"`
	// ServerTime is when this was written, by the server's clock.
	ServerTime Time `json:"serverTime"`
}

// Push returns s as it goes out on the player's session topic.
func (s Snapshot) Push() SnapshotPush {
	return SnapshotPush{Snapshot: s, V: s.Version}
}

// TicketSummary is a ticket as the snapshot shows it.
type TicketSummary struct {
	// TicketID names the ticket.
	TicketID string `json:"ticketId"`
	// Queue is the name of the queue it waits in.
	Queue string `json:"queue"`
	// QueuedAt is when waiting began; it never changes while the ticket lives.
	QueuedAt Time `json:"queuedAt"`
	// Held is true while a player of the ticket cannot be reached: it keeps its
	// place and is not matched.
	Held bool `json:"held"`
	// EstimatedWaitMs is the expected wait from now on in milliseconds; nil
	// when unknown.
	EstimatedWaitMs *int64 `json:"estimatedWaitMs,omitempty"`
}

// LobbySummary is a lobby as the snapshot shows it.
type LobbySummary struct {
	// Code is the lobby's code.
	Code string `json:"code"`
}

// MatchState is where a match is in its life.
type MatchState string

// The values of MatchState.
const (
	// MatchForming: being put together; may still dissolve unnoticed.
	MatchForming MatchState = "forming"
	// MatchFound: announced; with a ready check, waiting for the players.
	MatchFound MatchState = "found"
	// MatchReady: everybody accepted, or nobody had to.
	MatchReady MatchState = "ready"
	// MatchStarted: being played.
	MatchStarted MatchState = "started"
	// MatchFinished: over, with a result.
	MatchFinished MatchState = "finished"
	// MatchCancelled: called off before it started.
	MatchCancelled MatchState = "cancelled"
	// MatchVoid: over without a result, and nobody's fault.
	MatchVoid MatchState = "void"
)

// MatchSummary is a match as the snapshot shows it.
type MatchSummary struct {
	// ID names the match.
	ID string `json:"id"`
	// Queue is the name of the queue that made it.
	Queue string `json:"queue"`
	// State is where the match is in its life.
	State MatchState `json:"state"`
	// AcceptBy is when the ready check ends, if one is running.
	AcceptBy Time `json:"acceptBy,omitzero"`
	// RemainingMs is the time left until AcceptBy in milliseconds, at least 0;
	// nil without AcceptBy.
	RemainingMs *int64 `json:"remainingMs,omitempty"`
	// LobbyCode is the lobby the match is played in, if it has one.
	LobbyCode string `json:"lobbyCode,omitempty"`
	// Players are the ids of all players of the match.
	Players List[string] `json:"players"`
}

// Penalty is something a player may not do for a while.
type Penalty struct {
	// Kind says what is barred, such as "queue".
	Kind string `json:"kind"`
	// Until is when it ends.
	Until Time `json:"until"`
	// RemainingMs is the time left until then in milliseconds, at least 0.
	RemainingMs *int64 `json:"remainingMs,omitempty"`
	// Reason says what it is for.
	Reason string `json:"reason"`
}
