package wire

import "strings"

// SnapshotPush is the payload of player/{id}/session: the snapshot, with its
// version a second time under the name that every push has.
type SnapshotPush struct {
	Snapshot
	// V equals Version.
	V int64 `json:"v"`
}

// MatchmakingType says what a MatchmakingPush is about.
type MatchmakingType string

// The values of MatchmakingType.
const (
	// MatchmakingQueued: the ticket waits in the queue.
	MatchmakingQueued MatchmakingType = "queued"
	// MatchmakingHeld: a player of the ticket cannot be reached; it keeps its
	// place.
	MatchmakingHeld MatchmakingType = "held"
	// MatchmakingResumed: the held ticket is matched again.
	MatchmakingResumed MatchmakingType = "resumed"
	// MatchmakingMatchFound: there is a match. Repeated until it is seen.
	MatchmakingMatchFound MatchmakingType = "match_found"
	// MatchmakingMatchCancelled: the match was called off before it started.
	MatchmakingMatchCancelled MatchmakingType = "match_cancelled"
	// MatchmakingMatchStarted: the match is being played.
	MatchmakingMatchStarted MatchmakingType = "match_started"
	// MatchmakingMatchResolved: the match is over.
	MatchmakingMatchResolved MatchmakingType = "match_resolved"
	// MatchmakingMatchReconnect: the player came back and is still in a match.
	MatchmakingMatchReconnect MatchmakingType = "match_reconnect"
	// MatchmakingQueueCancelled: the ticket left the queue without a match.
	MatchmakingQueueCancelled MatchmakingType = "queue_cancelled"
)

// MatchmakingPush is the payload of player/{id}/matchmaking.
type MatchmakingPush struct {
	// Type says what happened.
	Type MatchmakingType `json:"type"`
	// SID is the life of the session this belongs to.
	SID string `json:"sid"`
	// V is the session's version after the change. What is not newer than the
	// last one seen is a repeat.
	V int64 `json:"v"`
	// Prev is the version before it. Other than the last one seen, it means that
	// something was missed: fetch the snapshot.
	Prev int64 `json:"prev"`
	// Timestamp is when it happened, by the server's clock.
	Timestamp Time `json:"timestamp"`
	// Queue is the name of the queue.
	Queue string `json:"queue"`
	// ModID and GameMode are the two halves of a queue named "modId:gameMode",
	// for games that know their queues by these.
	ModID    string `json:"modId,omitempty"`
	GameMode string `json:"gameMode,omitempty"`
	// TicketID is the ticket this is about, if it is about one.
	TicketID string `json:"ticketId,omitempty"`
	// QueuedAt is when the ticket began to wait.
	QueuedAt Time `json:"queuedAt,omitzero"`
	// MatchID is the match this is about, if it is about one.
	MatchID string `json:"matchId,omitempty"`
	// LobbyCode is the lobby the match is played in, if it has one.
	LobbyCode string `json:"lobbyCode,omitempty"`
	// Players are the ids of all players of the match.
	Players []string `json:"players,omitempty"`
	// AcceptBy is when the ready check ends, if one is running.
	AcceptBy Time `json:"acceptBy,omitzero"`
	// RemainingMs is the time from Timestamp to AcceptBy in milliseconds, at
	// least 0; nil without AcceptBy.
	RemainingMs *int64 `json:"remainingMs,omitempty"`
	// Reason says why, where that is not plain from Type.
	Reason string `json:"reason,omitempty"`
}

// QueueHalves splits the name of a queue "modId:gameMode"; both are empty for
// any other name.
func QueueHalves(queue string) (modID, gameMode string) {
	modID, gameMode, ok := strings.Cut(queue, ":")
	if !ok {
		return "", ""
	}
	return modID, gameMode
}

// NotificationType says what a Notification is about.
type NotificationType string

// The values of NotificationType. More will come; clients show Reason for
// those they do not know.
const (
	// NotificationBanned: the player is banned, until Until or for good.
	NotificationBanned NotificationType = "banned"
	// NotificationLoggedOut: the player's tokens and connections were ended.
	NotificationLoggedOut NotificationType = "logged_out"
	// NotificationSessionEnded: the player ended the session; the token stays
	// good.
	NotificationSessionEnded NotificationType = "session_ended"
	// NotificationKicked: a game server ended the session; the token stays good.
	NotificationKicked NotificationType = "kicked"
)

// Notification is the payload of player/{id}/notifications.
type Notification struct {
	// Type says what happened.
	Type NotificationType `json:"type"`
	// Reason says why, for people.
	Reason string `json:"reason"`
	// Until is when it ends, if it does.
	Until Time `json:"until,omitzero"`
	// RemainingMs is the time from Timestamp to Until in milliseconds, at least
	// 0; nil without Until.
	RemainingMs *int64 `json:"remainingMs,omitempty"`
	// SID is the life of the session this belongs to; empty when there was none.
	SID string `json:"sid,omitempty"`
	// V is the session's version after the change.
	V int64 `json:"v"`
	// Prev is the version before it.
	Prev int64 `json:"prev"`
	// Timestamp is when it happened, by the server's clock.
	Timestamp Time `json:"timestamp"`
}
