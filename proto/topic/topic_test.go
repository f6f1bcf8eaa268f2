package topic_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/holdfast-games/holdfast/proto/topic"
)

const (
	player = "019ab3f0-5c1e-7d2a-9c44-0f6f3f8c1b22"
	lobby  = "K7QX2M"
)

// constructor is one of the package's functions, with both ids as arguments.
type constructor struct {
	kind  topic.Kind
	build func(lobby, player string) (string, error)
	want  string
}

func ofPlayer(f func(string) (string, error)) func(lobby, player string) (string, error) {
	return func(_, player string) (string, error) { return f(player) }
}

func ofLobby(f func(string) (string, error)) func(lobby, player string) (string, error) {
	return func(lobby, _ string) (string, error) { return f(lobby) }
}

// constructors is the table of the contract.
var constructors = []constructor{
	{topic.KindPlayerSession, ofPlayer(topic.PlayerSession), "player/" + player + "/session"},
	{topic.KindPlayerMatchmaking, ofPlayer(topic.PlayerMatchmaking), "player/" + player + "/matchmaking"},
	{topic.KindPlayerNotifications, ofPlayer(topic.PlayerNotifications), "player/" + player + "/notifications"},
	{topic.KindPlayerAll, ofPlayer(topic.PlayerAll), "player/" + player + "/#"},
	{topic.KindLobbyEvents, ofLobby(topic.LobbyEvents), "lobby/K7QX2M/events"},
	{topic.KindLobbyMetadata, ofLobby(topic.LobbyMetadata), "lobby/K7QX2M/metadata"},
	{topic.KindLobbyPlayerInfo, topic.LobbyPlayerInfo, "lobby/K7QX2M/players/" + player + "/info"},
	{topic.KindLobbyPlayerState, topic.LobbyPlayerState, "lobby/K7QX2M/players/" + player + "/state"},
	{topic.KindLobbyPlayerActions, topic.LobbyPlayerActions, "lobby/K7QX2M/players/" + player + "/actions"},
	{topic.KindLobbyChat, topic.LobbyChat, "lobby/K7QX2M/chat/" + player},
	{topic.KindLobbyAllInfo, ofLobby(topic.LobbyAllInfo), "lobby/K7QX2M/players/+/info"},
	{topic.KindLobbyAllActions, ofLobby(topic.LobbyAllActions), "lobby/K7QX2M/players/+/actions"},
	{topic.KindLobbyAllChat, ofLobby(topic.LobbyAllChat), "lobby/K7QX2M/chat/+"},
}

func needsPlayer(kind topic.Kind) bool { return strings.Contains(kind.Template(), "{id}") }
func needsLobby(kind topic.Kind) bool  { return strings.Contains(kind.Template(), "{code}") }

func TestEveryKindHasAConstructorAndIsParsed(t *testing.T) {
	t.Parallel()
	built := map[topic.Kind]bool{}
	for _, c := range constructors {
		built[c.kind] = true
		got, err := c.build(lobby, player)
		if err != nil || got != c.want {
			t.Errorf("kind %d: built %q, %v; want %q", c.kind, got, err, c.want)
			continue
		}
		want := topic.Topic{Kind: c.kind}
		if needsPlayer(c.kind) {
			want.Player = player
		}
		if needsLobby(c.kind) {
			want.Lobby = lobby
		}
		parsed, err := topic.Parse(got)
		if err != nil || parsed != want {
			t.Errorf("Parse(%q) = %+v, %v; want %+v", got, parsed, err, want)
		}
		if parsed.String() != got {
			t.Errorf("%+v is written as %q, want %q", parsed, parsed.String(), got)
		}
	}
	for _, kind := range topic.Kinds() {
		if !built[kind] {
			t.Errorf("kind %d (%s) has no constructor in this test", kind, kind.Template())
		}
	}
}

func TestBadIDsAreRefused(t *testing.T) {
	t.Parallel()
	players := []string{
		"", "a/b", "a+", "+", "a#", "#", "a\x00", "a b", "ä", "\xff", "$share", "a.b", strings.Repeat("a", 65),
	}
	lobbies := []string{"", "K7Q/2M", "K7QX+M", "######", "K7QX2\x00", "k7qx2m", "K7QX2", "K7QX2MM", "Ä7QX2"}
	for _, c := range constructors {
		for _, id := range players {
			if got, err := c.build(lobby, id); needsPlayer(c.kind) && (!errors.Is(err, topic.ErrPlayer) || got != "") {
				t.Errorf("%s: player %q gives %q, %v; want ErrPlayer", c.kind.Template(), id, got, err)
			}
		}
		for _, code := range lobbies {
			if got, err := c.build(code, player); needsLobby(c.kind) && (!errors.Is(err, topic.ErrLobby) || got != "") {
				t.Errorf("%s: lobby %q gives %q, %v; want ErrLobby", c.kind.Template(), code, got, err)
			}
		}
	}
}

func TestLongestPlayerIDIsGood(t *testing.T) {
	t.Parallel()
	id := strings.Repeat("-_zA9", 13)[:64]
	if got, err := topic.PlayerSession(id); err != nil || got != "player/"+id+"/session" {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestParseRefusesWhatIsNotOurs(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"", "/", "#", "+", "player", "player/", "player/p1", "player/p1/", "player/p1/account", "player//session",
		"player/+/session", "player/#", "player/p1/+", "player/p1/session/", "/player/p1/session", "Player/p1/session",
		"player/p1/session/#", "player/p1/matchmaking/x", "player/p 1/session", "player/p1\x00/session",
		"$share/g/player/p1/session", "$SYS/brokers", "$events/client_connected",
		"lobby/K7QX2M", "lobby/K7QX2M/#", "lobby/+/events", "lobby/K7QX2M/players", "lobby/K7QX2M/players/p1",
		"lobby/K7QX2M/players/+/state", "lobby/K7QX2M/players/p1/+", "lobby/K7QX2M/players/#", "lobby/K7QX2M/chat",
		"lobby/K7QX2M/chat/#", "lobby/k7qx2m/events", "lobby/{code}/events", "player/{id}/session",
	} {
		if got, err := topic.Parse(text); !errors.Is(err, topic.ErrUnknown) || got != (topic.Topic{}) {
			t.Errorf("Parse(%q) = %+v, %v; want ErrUnknown", text, got, err)
		}
	}
}

func TestZeroTopicIsNoTopic(t *testing.T) {
	t.Parallel()
	if got := (topic.Topic{Player: player, Lobby: lobby}).String(); got != "" {
		t.Errorf("a topic of no kind is written as %q", got)
	}
	for _, kind := range topic.Kinds() {
		if topic.KindUnknown.Covers(kind) || kind.Covers(topic.KindUnknown) {
			t.Errorf("the unknown kind meets kind %d", kind)
		}
	}
}

// TestCoversAgreesWithMQTT compares Covers with the matching rules of MQTT for
// every pair of kinds.
func TestCoversAgreesWithMQTT(t *testing.T) {
	t.Parallel()
	for _, filter := range constructors {
		if got := strings.ContainsAny(filter.want, "+#"); filter.kind.Filter() != got {
			t.Errorf("%s: Filter() = %v, want %v", filter.want, !got, got)
		}
		for _, published := range constructors {
			want := !published.kind.Filter() && mqttMatch(filter.want, published.want)
			if got := filter.kind.Covers(published.kind); got != want {
				t.Errorf("%s covers %s: %v, want %v", filter.want, published.want, got, want)
			}
		}
	}
}

func mqttMatch(filter, name string) bool {
	levels := strings.Split(name, "/")
	for i, want := range strings.Split(filter, "/") {
		if want == "#" {
			return true
		}
		if i >= len(levels) || (want != "+" && want != levels[i]) {
			return false
		}
	}
	return len(strings.Split(filter, "/")) == len(levels)
}

// FuzzParse: what is parsed is written back as it was, and its ids are good.
func FuzzParse(f *testing.F) {
	for _, c := range constructors {
		f.Add(c.want)
	}
	f.Add("player/a/b/session")
	f.Add("lobby/K7QX2M/players/\x00/info")
	f.Fuzz(func(t *testing.T, text string) {
		parsed, err := topic.Parse(text)
		if err != nil {
			if !errors.Is(err, topic.ErrUnknown) || parsed != (topic.Topic{}) {
				t.Fatalf("Parse(%q) = %+v, %v", text, parsed, err)
			}
			return
		}
		if parsed.String() != text {
			t.Fatalf("Parse(%q) is written as %q", text, parsed.String())
		}
		if strings.ContainsAny(parsed.Player+parsed.Lobby, "/+#\x00") {
			t.Fatalf("Parse(%q) let %+v through", text, parsed)
		}
		if needsPlayer(parsed.Kind) != topic.ValidPlayer(parsed.Player) || needsLobby(parsed.Kind) != topic.ValidLobby(parsed.Lobby) {
			t.Fatalf("Parse(%q) = %+v: ids do not fit the kind", text, parsed)
		}
	})
}

// FuzzConstruct: whatever a constructor accepts comes back from the parser, and
// it refuses exactly the bad ids.
func FuzzConstruct(f *testing.F) {
	f.Add(lobby, player)
	f.Add("K7QX+M", "a/b")
	f.Add("", "#")
	f.Fuzz(func(t *testing.T, code, id string) {
		for _, c := range constructors {
			text, err := c.build(code, id)
			good := (!needsPlayer(c.kind) || topic.ValidPlayer(id)) && (!needsLobby(c.kind) || topic.ValidLobby(code))
			if good != (err == nil) {
				t.Fatalf("%s of %q, %q: %v", c.kind.Template(), code, id, err)
			}
			if err != nil {
				continue
			}
			parsed, err := topic.Parse(text)
			if err != nil || parsed.Kind != c.kind {
				t.Fatalf("Parse(%q) = %+v, %v", text, parsed, err)
			}
			if (needsPlayer(c.kind) && parsed.Player != id) || (needsLobby(c.kind) && parsed.Lobby != code) {
				t.Fatalf("Parse(%q) = %+v, built from %q, %q", text, parsed, code, id)
			}
		}
	})
}
