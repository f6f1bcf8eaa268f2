package hook

import (
	"context"
	"encoding/json"
	"strconv"

	"github.com/labstack/echo/v4"

	"github.com/holdfast-games/holdfast/pkg/apperr"
	"github.com/holdfast-games/holdfast/pkg/httpkit"
	"github.com/holdfast-games/holdfast/pkg/id"
	"github.com/holdfast-games/holdfast/pkg/session"
	"github.com/holdfast-games/holdfast/proto/wire"
	"github.com/holdfast-games/holdfast/services/emqx-hook/internal/api"
)

// The events of the broker that matter.
const (
	clientConnected    = "client.connected"
	clientDisconnected = "client.disconnected"
	sessionSubscribed  = "session.subscribed"
)

const (
	// maxNumber is the largest number that Lua keeps exact.
	maxNumber = 1 << 53
	// maxText bounds the peer name, the node and the reason, in bytes.
	maxText = 256
	// absent is how EMQX writes a value that is not there.
	absent = "undefined"
)

var errEvent = apperr.New(apperr.Invalid, string(wire.CodeInvalidJSON), "the body is not an event of the broker")

// event is an event about a player's connection, checked.
type event struct {
	kind       string
	player     string
	connection session.ConnectionID // of the events of a connection
	node       string
	reason     string
	topic      string // of session.subscribed
}

// ReceiveEvent implements api.ServerInterface.
func (h *Hook) ReceiveEvent(c echo.Context) error {
	ctx, cancel := context.WithTimeout(c.Request().Context(), budget)
	defer cancel()
	err := guard(func() error {
		body, err := httpkit.Decode[json.RawMessage](c)
		if err != nil {
			return err
		}
		e, ours, err := parseEvent(body)
		if err != nil {
			return err
		}
		result := foreign
		if ours {
			if result, err = h.apply(ctx, e); err != nil {
				return err
			}
		}
		h.metrics.events.WithLabelValues(e.kind, result).Inc()
		return nil
	})
	if err != nil && answerFor(err).ours {
		h.metrics.failures.WithLabelValues(callWebhook).Inc()
	}
	return receive(c, err)
}

// apply makes the one transition that an event asks for.
func (h *Hook) apply(ctx context.Context, e event) (result string, err error) {
	switch e.kind {
	case clientConnected:
		_, err = h.config.Sessions.Connected(ctx, e.player, e.connection, e.node)
	case clientDisconnected:
		_, err = h.config.Sessions.Disconnected(ctx, e.player, e.connection, e.reason)
	default: // sessionSubscribed
		if !showsSnapshot(e.player, e.topic) {
			return ignored, nil
		}
		_, err = h.config.Sessions.Announce(ctx, e.player)
	}
	return applied, err
}

// parseEvent reads an event. It is not ours when the client did not log in as
// a player through this hook; then only kind is set. Errors are of kind
// Invalid.
func parseEvent(body []byte) (e event, ours bool, err error) {
	var head struct {
		Event       string          `json:"event"`
		Clientid    string          `json:"clientid"`
		ClientAttrs json.RawMessage `json:"client_attrs"`
	}
	if err := json.Unmarshal(body, &head); err != nil {
		return event{}, false, errEvent.With(err)
	}
	switch head.Event {
	case clientConnected, clientDisconnected, sessionSubscribed:
		e.kind = head.Event
	default:
		return event{}, false, httpkit.InvalidField("event is none of those this hook is for")
	}
	if head.Clientid == "" {
		return event{}, false, httpkit.InvalidField("clientid is missing")
	}
	var attrs map[string]string
	if err := json.Unmarshal(head.ClientAttrs, &attrs); err != nil || attrs["player"] != head.Clientid || !id.Valid(head.Clientid) {
		return e, false, nil //nolint:nilerr // whatever else has attributes of its own is a foreign client
	}
	var row api.BrokerEvent
	if err := json.Unmarshal(body, &row); err != nil {
		return event{}, false, errEvent.With(err)
	}
	e.player = row.Clientid
	if e.kind == sessionSubscribed {
		e.topic = row.Topic
		if e.topic == "" {
			return event{}, false, httpkit.InvalidField("topic is missing")
		}
		return e, true, nil
	}
	e.node, e.reason = text(row.Node), text(row.Reason)
	if e.connection, err = connection(row); err != nil {
		return event{}, false, err
	}
	return e, true, nil
}

// connection builds the identity that both events of a connection share.
func connection(row api.BrokerEvent) (session.ConnectionID, error) {
	epoch, err := strconv.ParseInt(row.ClientAttrs["epoch"], 10, 64)
	switch {
	case err != nil || epoch < 1 || epoch > maxNumber:
		return "", httpkit.InvalidField("client_attrs.epoch is not an epoch of this hook")
	case row.ConnectedAt < 1 || row.ConnectedAt > maxNumber:
		return "", httpkit.InvalidField("connected_at is missing or not in ms; EMQX 5.8.6 or later is needed")
	case row.Peername == "" || row.Peername == absent || !printable(row.Peername):
		return "", httpkit.InvalidField("peername is missing or not an address and port")
	}
	return session.NewConnectionID(epoch, row.ConnectedAt, row.Peername), nil
}

// text is a value that nothing depends on: "unknown" when the broker does not
// say, or says what it never would.
func text(s string) string {
	if s == "" || s == absent || !printable(s) {
		return "unknown"
	}
	return s
}

// printable reports whether s is at most maxText visible ASCII characters.
func printable(s string) bool {
	if len(s) > maxText {
		return false
	}
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}
