// Package api is the HTTP edge of the matchmaking service.
package api

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/holdfast-games/holdfast/pkg/httpkit"
	"github.com/holdfast-games/holdfast/pkg/jwtkit"
	"github.com/holdfast-games/holdfast/pkg/session"
	"github.com/holdfast-games/holdfast/proto/matchmakingapi"
	"github.com/holdfast-games/holdfast/proto/wire"
	"github.com/holdfast-games/holdfast/services/matchmaking/internal/desk"
	"github.com/holdfast-games/holdfast/services/matchmaking/internal/queue"
)

// Server answers the calls of the matchmaking service.
type Server struct {
	Desk     *desk.Desk
	Verifier *jwtkit.Verifier
}

var _ ServerInterface = (*Server)(nil)

// Register adds the routes.
func Register(e *echo.Echo, s Server) { RegisterHandlers(e, &s) }

func (s *Server) claims(c echo.Context) (session.Claims, error) {
	token, err := httpkit.Caller(c.Request(), s.Verifier)
	return session.ClaimsFrom(token), err
}

// Enqueue lets the caller wait for a match.
func (s *Server) Enqueue(c echo.Context, params matchmakingapi.EnqueueParams) error {
	claims, err := s.claims(c)
	if err != nil {
		return err
	}
	body, err := httpkit.Decode[matchmakingapi.EnqueueRequest](c)
	if err != nil {
		return err
	}
	request, err := requestOf(body, params)
	if err != nil {
		return err
	}
	joined, err := s.Desk.Join(c.Request().Context(), claims, request)
	if err != nil {
		return err
	}
	return httpkit.JSON(c, http.StatusOK, matchmakingapi.Enqueued{
		TicketID: joined.Ticket.ID, Queue: joined.Ticket.Queue, QueuedAt: wire.FromMillis(joined.Ticket.QueuedAt),
		Position: joined.Position, EstimatedWaitMs: joined.WaitMS, Already: joined.Already,
		Presence: wire.Presence(joined.Presence),
	})
}

// ListTickets answers with the caller's tickets.
func (s *Server) ListTickets(c echo.Context) error {
	claims, err := s.claims(c)
	if err != nil {
		return err
	}
	tickets, err := s.Desk.Tickets(c.Request().Context(), claims)
	if err != nil {
		return err
	}
	var list matchmakingapi.TicketList
	for _, t := range tickets {
		list.Tickets = append(list.Tickets, matchmakingapi.Ticket{
			TicketID: t.Ticket.ID, Queue: t.Ticket.Queue, QueuedAt: wire.FromMillis(t.Ticket.QueuedAt),
			Held: t.Ticket.State == queue.Held, Position: t.Position, EstimatedWaitMs: known(t.WaitMS),
		})
	}
	return httpkit.JSON(c, http.StatusOK, list)
}

// LeaveQueue takes the caller out of one queue.
func (s *Server) LeaveQueue(c echo.Context, params matchmakingapi.LeaveQueueParams) error {
	claims, err := s.claims(c)
	if err != nil {
		return err
	}
	body, err := httpkit.DecodeOptional[matchmakingapi.QueueRef](c)
	if err != nil {
		return err
	}
	if params.Queue != nil {
		body = matchmakingapi.QueueRef{Queue: *params.Queue}
	}
	name, err := queueName(body.Queue, body.ModID, body.GameMode)
	if err != nil {
		return err
	}
	if err := s.Desk.Leave(c.Request().Context(), claims, name); err != nil {
		return err
	}
	return c.NoContent(http.StatusNoContent)
}

// LeaveAllQueues takes the caller out of every queue.
func (s *Server) LeaveAllQueues(c echo.Context) error {
	claims, err := s.claims(c)
	if err != nil {
		return err
	}
	if err := s.Desk.LeaveAll(c.Request().Context(), claims); err != nil {
		return err
	}
	return c.NoContent(http.StatusNoContent)
}

// ListQueues answers anybody with all queues.
func (s *Server) ListQueues(c echo.Context) error {
	queues, err := s.Desk.Queues(c.Request().Context())
	if err != nil {
		return err
	}
	var list matchmakingapi.QueueList
	for _, q := range queues {
		list.Queues = append(list.Queues, matchmakingapi.Queue{
			Queue: q.Name, Waiting: q.Activity.Waiting, InMatch: q.Activity.InMatch, EstimatedWaitMs: known(q.WaitMS),
		})
	}
	return httpkit.JSON(c, http.StatusOK, list)
}

// GetMatch answers a player of a match.
func (s *Server) GetMatch(c echo.Context, id string) error {
	claims, err := s.claims(c)
	if err != nil {
		return err
	}
	m, err := s.Desk.Match(c.Request().Context(), claims, id)
	if err != nil {
		return err
	}
	return httpkit.JSON(c, http.StatusOK, matchOf(m))
}

// LeaveMatch takes the caller out of a match.
func (s *Server) LeaveMatch(c echo.Context, id string) error {
	claims, err := s.claims(c)
	if err != nil {
		return err
	}
	if err := s.Desk.LeaveMatch(c.Request().Context(), claims, id); err != nil {
		return err
	}
	return c.NoContent(http.StatusNoContent)
}

func matchOf(m queue.Match) matchmakingapi.Match {
	out := matchmakingapi.Match{
		ID: m.ID, Queue: m.Queue, State: wire.MatchState(m.State), CreatedAt: wire.FromMillis(m.CreatedAt),
		Players: m.Players(), Reason: m.Reason, ServerTime: wire.FromMillis(m.Now),
	}
	for _, player := range m.Players() {
		out.Teams = append(out.Teams, matchmakingapi.Team{Players: wire.List[string]{player}})
	}
	if m.State == queue.Found {
		left := max(m.EndsAt-m.Now, 0)
		out.Deadline, out.RemainingMs = wire.FromMillis(m.EndsAt), &left
	}
	return out
}

// known leaves out a wait of which nothing is known.
func known(waitMS int64) *int64 {
	if waitMS <= 0 {
		return nil
	}
	return &waitMS
}
