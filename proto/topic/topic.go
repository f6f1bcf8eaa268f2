// Package topic is the grammar of Holdfast's MQTT topics: one constructor for
// each topic and filter of the contract, and one parser that takes them apart.
// A topic that the parser does not know is nobody's: deny it.
package topic

import (
	"errors"
	"fmt"
	"strings"
)

// Errors of this package, always wrapped with the text they are about.
var (
	// ErrUnknown means that a text is neither a topic nor a filter of the
	// contract.
	ErrUnknown = errors.New("topic: unknown")
	// ErrPlayer means that a player id does not match [A-Za-z0-9_-]{1,64}.
	ErrPlayer = errors.New("topic: bad player id")
	// ErrLobby means that a lobby code does not match [A-Z0-9]{6}.
	ErrLobby = errors.New("topic: bad lobby code")
)

const (
	playerMax   = 64
	lobbyLen    = 6
	playerField = "{id}"
	lobbyField  = "{code}"
)

// Topic is a topic or filter taken apart.
type Topic struct {
	// Kind says which one it is.
	Kind Kind
	// Player is the player id in it; empty where the kind has none.
	Player string
	// Lobby is the lobby code in it; empty where the kind has none.
	Lobby string
}

// String returns the topic as the broker knows it; empty for the zero Topic.
func (t Topic) String() string {
	out := strings.Replace(t.Kind.Template(), playerField, t.Player, 1)
	return strings.Replace(out, lobbyField, t.Lobby, 1)
}

// Parse takes a topic or filter of the contract apart. Everything else,
// wildcards in other places and shared subscriptions included, is ErrUnknown.
func Parse(text string) (Topic, error) {
	levels := strings.Split(text, "/")
	for _, kind := range Kinds() {
		if t, ok := match(kind, levels); ok {
			return t, nil
		}
	}
	return Topic{}, fmt.Errorf("%w: %q", ErrUnknown, text)
}

func match(kind Kind, levels []string) (Topic, bool) {
	pattern := strings.Split(kind.Template(), "/")
	if len(pattern) != len(levels) {
		return Topic{}, false
	}
	t := Topic{Kind: kind}
	for i, want := range pattern {
		switch want {
		case playerField:
			t.Player = levels[i]
		case lobbyField:
			t.Lobby = levels[i]
		case levels[i]:
		default:
			return Topic{}, false
		}
	}
	return t, t.check() == nil
}

func (t Topic) check() error {
	template := t.Kind.Template()
	if strings.Contains(template, playerField) && !ValidPlayer(t.Player) {
		return fmt.Errorf("%w: %q", ErrPlayer, t.Player)
	}
	if strings.Contains(template, lobbyField) && !ValidLobby(t.Lobby) {
		return fmt.Errorf("%w: %q", ErrLobby, t.Lobby)
	}
	return nil
}

func build(t Topic) (string, error) {
	if err := t.check(); err != nil {
		return "", err
	}
	return t.String(), nil
}

// ValidPlayer reports whether id can stand for a player in a topic.
func ValidPlayer(id string) bool {
	if id == "" || len(id) > playerMax {
		return false
	}
	for i := range len(id) {
		if c := id[i]; !isUpper(c) && !isDigit(c) && !isLower(c) && c != '_' && c != '-' {
			return false
		}
	}
	return true
}

// ValidLobby reports whether code can stand for a lobby in a topic.
func ValidLobby(code string) bool {
	if len(code) != lobbyLen {
		return false
	}
	for i := range len(code) {
		if c := code[i]; !isUpper(c) && !isDigit(c) {
			return false
		}
	}
	return true
}

func isUpper(c byte) bool { return 'A' <= c && c <= 'Z' }
func isLower(c byte) bool { return 'a' <= c && c <= 'z' }
func isDigit(c byte) bool { return '0' <= c && c <= '9' }
