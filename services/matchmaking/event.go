package matchmaking

import (
	"cmp"

	"github.com/holdfast-games/holdfast/pkg/outbox"
	"github.com/holdfast-games/holdfast/pkg/rediskit"
	"github.com/holdfast-games/holdfast/pkg/session"
	"github.com/holdfast-games/holdfast/services/matchmaking/internal/steward"
)

// eventOf turns an entry of an outbox into what a steward understands.
func eventOf(e outbox.Event) steward.Event {
	until, err := rediskit.ParseInt(e.Fields["until"])
	if err != nil {
		until = e.At // not reachable any more; the next call says it better
	}
	return steward.Event{
		Type: e.Type, Player: e.Player, SID: e.SID, V: e.V, At: e.At, Until: until, Reason: e.Fields["reason"],
		Queue: e.Fields["queue"], Ticket: e.Fields["ticket"],
		Match:   cmp.Or(e.Fields["match"], e.Places(string(session.Match))[""]),
		Tickets: e.Places(string(session.Ticket)), Dropped: e.Dropped(string(session.Ticket)),
	}
}
