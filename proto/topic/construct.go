package topic

// PlayerSession returns the topic of a player's snapshots, or ErrPlayer.
func PlayerSession(player string) (string, error) {
	return build(Topic{Kind: KindPlayerSession, Player: player})
}

// PlayerMatchmaking returns the topic of what happens to a player's tickets
// and match, or ErrPlayer.
func PlayerMatchmaking(player string) (string, error) {
	return build(Topic{Kind: KindPlayerMatchmaking, Player: player})
}

// PlayerNotifications returns the topic of what a player should be told, or
// ErrPlayer.
func PlayerNotifications(player string) (string, error) {
	return build(Topic{Kind: KindPlayerNotifications, Player: player})
}

// PlayerAll returns the filter over everything of one player, or ErrPlayer.
func PlayerAll(player string) (string, error) {
	return build(Topic{Kind: KindPlayerAll, Player: player})
}

// LobbyEvents returns the topic of what happens in a lobby, or ErrLobby.
func LobbyEvents(lobby string) (string, error) {
	return build(Topic{Kind: KindLobbyEvents, Lobby: lobby})
}

// LobbyMetadata returns the retained topic of a lobby's metadata, or ErrLobby.
func LobbyMetadata(lobby string) (string, error) {
	return build(Topic{Kind: KindLobbyMetadata, Lobby: lobby})
}

// LobbyPlayerInfo returns the retained topic of what members see of one
// member, or ErrLobby or ErrPlayer.
func LobbyPlayerInfo(lobby, player string) (string, error) {
	return build(Topic{Kind: KindLobbyPlayerInfo, Lobby: lobby, Player: player})
}

// LobbyPlayerState returns the retained topic of a member's private state, or
// ErrLobby or ErrPlayer.
func LobbyPlayerState(lobby, player string) (string, error) {
	return build(Topic{Kind: KindLobbyPlayerState, Lobby: lobby, Player: player})
}

// LobbyPlayerActions returns the topic of one member's game traffic, or
// ErrLobby or ErrPlayer.
func LobbyPlayerActions(lobby, player string) (string, error) {
	return build(Topic{Kind: KindLobbyPlayerActions, Lobby: lobby, Player: player})
}

// LobbyChat returns the topic of what one member says, or ErrLobby or
// ErrPlayer.
func LobbyChat(lobby, player string) (string, error) {
	return build(Topic{Kind: KindLobbyChat, Lobby: lobby, Player: player})
}

// LobbyAllInfo returns the filter over every member's info, or ErrLobby.
func LobbyAllInfo(lobby string) (string, error) {
	return build(Topic{Kind: KindLobbyAllInfo, Lobby: lobby})
}

// LobbyAllActions returns the filter over every member's game traffic, or
// ErrLobby.
func LobbyAllActions(lobby string) (string, error) {
	return build(Topic{Kind: KindLobbyAllActions, Lobby: lobby})
}

// LobbyAllChat returns the filter over every member's chat, or ErrLobby.
func LobbyAllChat(lobby string) (string, error) {
	return build(Topic{Kind: KindLobbyAllChat, Lobby: lobby})
}
