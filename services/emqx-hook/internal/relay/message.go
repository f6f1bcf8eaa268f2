package relay

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/holdfast-games/holdfast/pkg/id"
	"github.com/holdfast-games/holdfast/pkg/outbox"
	"github.com/holdfast-games/holdfast/pkg/session"
	"github.com/holdfast-games/holdfast/proto/topic"
	"github.com/holdfast-games/holdfast/proto/wire"
)

// The events of the session store that a player is told about. Others go by
// in silence, unless they carry a push.
const (
	created   = "session.created"
	connected = "session.connected"
	grace     = "session.grace"
	place     = "session.place"
	profile   = "session.profile"
	announce  = "session.announce"
	expired   = "session.expired"
	ended     = "session.ended"
)

// message is what goes out on one topic of a player.
type message struct {
	kind    topic.Kind
	payload []byte
}

// name is the kind of the message as a label of metrics.
func (m message) name() string {
	switch m.kind {
	case topic.KindPlayerMatchmaking:
		return "matchmaking"
	case topic.KindPlayerNotifications:
		return "notification"
	default:
		return "snapshot"
	}
}

// plan says what an event causes: messages made from the event alone, in
// order, and whether the player's snapshot follows. Errors are ErrDrop.
func plan(e outbox.Event) (messages []message, snapshot bool, err error) {
	if e.Player == "" {
		return nil, false, nil
	}
	if !id.Valid(e.Player) {
		return nil, false, fmt.Errorf("%w: event %s is of a player with a malformed id", outbox.ErrDrop, e.ID)
	}
	if e.Fields["push"] != "" {
		payload, err := push(e)
		if err != nil {
			return nil, false, err
		}
		messages = append(messages, message{topic.KindPlayerMatchmaking, payload})
	}
	switch e.Type {
	case created, connected, grace, place, profile, announce:
		return messages, true, nil
	case expired, ended:
		last, err := farewell(e)
		return append(messages, last...), false, err
	default:
		return messages, false, nil
	}
}

// push fills in what the owner of the body could not know. The rest of the
// body goes out as it is, fields of a newer version included.
func push(e outbox.Event) ([]byte, error) {
	body := map[string]json.RawMessage{}
	if err := json.Unmarshal([]byte(e.Fields["body"]), &body); err != nil || body == nil {
		return nil, fmt.Errorf("%w: the body of event %s is not a JSON object", outbox.ErrDrop, e.ID)
	}
	fill := map[string]any{
		"type": e.Fields["push"], "sid": e.SID, "v": e.V, "prev": e.Prev, "timestamp": wire.FromMillis(e.At),
	}
	var known struct {
		AcceptBy wire.Time `json:"acceptBy"`
		Queue    string    `json:"queue"`
	}
	if err := json.Unmarshal([]byte(e.Fields["body"]), &known); err == nil {
		if !known.AcceptBy.IsZero() {
			fill["remainingMs"] = max(known.AcceptBy.Millis()-e.At, 0)
		}
		if modID, gameMode := wire.QueueHalves(known.Queue); modID != "" {
			fill["modId"], fill["gameMode"] = modID, gameMode
		}
	}
	for name, value := range fill {
		raw, err := encode(e, value)
		if err != nil {
			return nil, err
		}
		body[name] = raw
	}
	return encode(e, body)
}

// farewell tells a player whose session is over what became of its tickets,
// and, if somebody ended it, why.
func farewell(e outbox.Event) ([]message, error) {
	reason := e.Fields["reason"]
	why := reason
	if e.Type == expired {
		why = "expired"
	}
	var messages []message
	tickets := e.Places(string(session.Ticket))
	for _, queue := range slices.Sorted(maps.Keys(tickets)) {
		modID, gameMode := wire.QueueHalves(queue)
		payload, err := encode(e, wire.MatchmakingPush{
			ModID: modID, GameMode: gameMode,
			Type: wire.MatchmakingQueueCancelled, SID: e.SID, V: e.V, Prev: e.Prev, Timestamp: wire.FromMillis(e.At),
			Queue: queue, TicketID: tickets[queue], Reason: why,
		})
		if err != nil {
			return nil, err
		}
		messages = append(messages, message{topic.KindPlayerMatchmaking, payload})
	}
	if e.Type != ended {
		return messages, nil
	}
	payload, err := encode(e, wire.Notification{
		Type: notificationOf(reason), Reason: reason, SID: e.SID, V: e.V, Prev: e.Prev, Timestamp: wire.FromMillis(e.At),
	})
	return append(messages, message{topic.KindPlayerNotifications, payload}), err
}

// notificationOf names the end of a session by its reason. A reason of its own
// choice is what a game server gives when it kicks.
func notificationOf(reason string) wire.NotificationType {
	switch reason {
	case "banned":
		return wire.NotificationBanned
	case "logged_out", "revoked", "deleted":
		return wire.NotificationLoggedOut
	case "left":
		return wire.NotificationSessionEnded
	default:
		return wire.NotificationKicked
	}
}

func encode(e outbox.Event, value any) ([]byte, error) {
	raw, err := json.Marshal(value)
	if err != nil {
		return nil, fmt.Errorf("%w: encode a message of event %s: %w", outbox.ErrDrop, e.ID, err)
	}
	return raw, nil
}
