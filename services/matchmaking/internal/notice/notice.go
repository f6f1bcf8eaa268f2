// Package notice renders what the session of a player is told of tickets and
// matches: the place, the small copy kept in it, and the push that goes out.
package notice

import (
	"github.com/holdfast-games/holdfast/pkg/session"
	"github.com/holdfast-games/holdfast/proto/wire"
	"github.com/holdfast-games/holdfast/services/matchmaking/internal/queue"
)

// TicketPlace returns the place of a ticket in its player's session.
func TicketPlace(t queue.Ticket) session.PlaceRef {
	return session.PlaceRef{Player: t.Player, SID: t.SID, Kind: session.Ticket, Slot: t.Queue, ID: t.ID}
}

// TicketCopy returns what the session remembers of a ticket.
func TicketCopy(t queue.Ticket, waitMS int64) string {
	return session.Encode(session.TicketCopy{QueuedAt: t.QueuedAt, Held: t.State == queue.Held, EstimatedWaitMs: waitMS})
}

// MatchPlace returns the place of a match in a member's session.
func MatchPlace(m queue.Match, member queue.Member) session.PlaceRef {
	return session.PlaceRef{Player: member.Player, SID: member.SID, Kind: session.Match, ID: m.ID}
}

// MatchCopy returns what the session remembers of a match.
func MatchCopy(m queue.Match) string {
	return session.Encode(session.MatchCopy{Queue: m.Queue, State: string(wire.MatchFound), Players: m.Players()})
}

// Queued says that the ticket waits.
func Queued(t queue.Ticket) session.Push { return ticket(wire.MatchmakingQueued, t, "") }

// Cancelled says that a ticket left the queue without a match, and why.
func Cancelled(t queue.Ticket, reason string) session.Push {
	return ticket(wire.MatchmakingQueueCancelled, t, reason)
}

// HeldOrResumed says that a ticket is held, or is matched again.
func HeldOrResumed(t queue.Ticket) session.Push {
	if t.State == queue.Held {
		return ticket(wire.MatchmakingHeld, t, "")
	}
	return ticket(wire.MatchmakingResumed, t, "")
}

// MatchFound says that there is a match.
func MatchFound(m queue.Match) session.Push { return match(wire.MatchmakingMatchFound, m, "") }

// MatchReconnect says that who came back is still in the match.
func MatchReconnect(m queue.Match) session.Push { return match(wire.MatchmakingMatchReconnect, m, "") }

// MatchResolved says that the match is over for the player, and why.
func MatchResolved(m queue.Match, reason string) session.Push {
	return match(wire.MatchmakingMatchResolved, m, reason)
}

func ticket(kind wire.MatchmakingType, t queue.Ticket, reason string) session.Push {
	return push(wire.MatchmakingPush{
		Type: kind, Queue: t.Queue, TicketID: t.ID, QueuedAt: wire.FromMillis(t.QueuedAt), Reason: reason,
	})
}

func match(kind wire.MatchmakingType, m queue.Match, reason string) session.Push {
	return push(wire.MatchmakingPush{Type: kind, Queue: m.Queue, MatchID: m.ID, Players: m.Players(), Reason: reason})
}

// push leaves sid, v, prev and timestamp to the relay.
func push(p wire.MatchmakingPush) session.Push {
	return session.Push{Type: string(p.Type), Body: session.Encode(p)}
}
