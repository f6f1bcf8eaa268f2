package topic

// Kind says which topic or filter of the contract a Topic is. The zero value
// is none of them.
type Kind int

// The topics of the contract.
const (
	// KindUnknown is no topic of ours.
	KindUnknown Kind = iota
	// KindPlayerSession carries a player's snapshots.
	KindPlayerSession
	// KindPlayerMatchmaking carries what happens to a player's tickets and match.
	KindPlayerMatchmaking
	// KindPlayerNotifications carries what a player should be told.
	KindPlayerNotifications
	// KindPlayerAll is the filter over everything of one player.
	KindPlayerAll
	// KindLobbyEvents carries what happens in a lobby.
	KindLobbyEvents
	// KindLobbyMetadata holds a lobby's metadata, retained.
	KindLobbyMetadata
	// KindLobbyPlayerInfo holds what members see of one member, retained.
	KindLobbyPlayerInfo
	// KindLobbyPlayerState holds a member's private state, retained.
	KindLobbyPlayerState
	// KindLobbyPlayerActions carries one member's game traffic.
	KindLobbyPlayerActions
	// KindLobbyChat carries what one member says.
	KindLobbyChat
	// KindLobbyAllInfo is the filter over every member's info.
	KindLobbyAllInfo
	// KindLobbyAllActions is the filter over every member's game traffic.
	KindLobbyAllActions
	// KindLobbyAllChat is the filter over every member's chat.
	KindLobbyAllChat
)

// Kinds returns every kind but KindUnknown.
func Kinds() []Kind {
	kinds := make([]Kind, 0, KindLobbyAllChat)
	for k := KindUnknown + 1; k <= KindLobbyAllChat; k++ {
		kinds = append(kinds, k)
	}
	return kinds
}

// Template returns the topic with {id} for the player and {code} for the
// lobby; empty for KindUnknown.
func (k Kind) Template() string {
	switch k {
	case KindPlayerSession:
		return "player/{id}/session"
	case KindPlayerMatchmaking:
		return "player/{id}/matchmaking"
	case KindPlayerNotifications:
		return "player/{id}/notifications"
	case KindPlayerAll:
		return "player/{id}/#"
	case KindLobbyEvents:
		return "lobby/{code}/events"
	case KindLobbyMetadata:
		return "lobby/{code}/metadata"
	case KindLobbyPlayerInfo:
		return "lobby/{code}/players/{id}/info"
	case KindLobbyPlayerState:
		return "lobby/{code}/players/{id}/state"
	case KindLobbyPlayerActions:
		return "lobby/{code}/players/{id}/actions"
	case KindLobbyChat:
		return "lobby/{code}/chat/{id}"
	case KindLobbyAllInfo:
		return "lobby/{code}/players/+/info"
	case KindLobbyAllActions:
		return "lobby/{code}/players/+/actions"
	case KindLobbyAllChat:
		return "lobby/{code}/chat/+"
	default:
		return ""
	}
}

// Filter reports whether k is a filter with a wildcard: something to subscribe
// to, and never to publish on.
func (k Kind) Filter() bool {
	switch k {
	case KindPlayerAll, KindLobbyAllInfo, KindLobbyAllActions, KindLobbyAllChat:
		return true
	default:
		return false
	}
}

// Covers reports whether a subscription of kind k receives what is published
// on a topic of kind other, for the same player and lobby.
func (k Kind) Covers(other Kind) bool {
	switch k {
	case KindUnknown:
		return false
	case KindPlayerAll:
		return other == KindPlayerSession || other == KindPlayerMatchmaking || other == KindPlayerNotifications
	case KindLobbyAllInfo:
		return other == KindLobbyPlayerInfo
	case KindLobbyAllActions:
		return other == KindLobbyPlayerActions
	case KindLobbyAllChat:
		return other == KindLobbyChat
	default:
		return k == other
	}
}
