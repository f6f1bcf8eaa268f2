package desk

import (
	"context"

	"github.com/holdfast-games/holdfast/pkg/session"
	"github.com/holdfast-games/holdfast/services/matchmaking/internal/notice"
	"github.com/holdfast-games/holdfast/services/matchmaking/internal/queue"
)

// QueueStatus says how busy a queue is.
type QueueStatus struct {
	Name     string
	Activity queue.Activity
	WaitMS   int64
}

// Queues returns all queues, by name.
func (d *Desk) Queues(ctx context.Context) ([]QueueStatus, error) {
	names := d.Rules.Names()
	activities, err := d.Store.Activities(ctx, names)
	if err != nil {
		return nil, err
	}
	all := make([]QueueStatus, len(names))
	for i, name := range names {
		q, _ := d.Rules.Queue(name)
		all[i] = QueueStatus{Name: name, Activity: activities[i], WaitMS: estimate(q, activities[i])}
	}
	return all, nil
}

// Match returns a match of the player's. Errors: those of the keeper,
// ErrUnknownMatch, ErrNotInMatch.
func (d *Desk) Match(ctx context.Context, c session.Claims, id string) (queue.Match, error) {
	if _, err := d.Keeper.Ensure(ctx, c, false); err != nil {
		return queue.Match{}, err
	}
	m, _, err := d.member(ctx, c.Player, id)
	return m, err
}

func (d *Desk) member(ctx context.Context, player, id string) (queue.Match, queue.Member, error) {
	m, err := d.Store.Match(ctx, id)
	if err != nil {
		return queue.Match{}, queue.Member{}, err
	}
	if !m.Announced() {
		return queue.Match{}, queue.Member{}, queue.ErrUnknownMatch
	}
	member, ok := m.Member(player)
	if !ok {
		return queue.Match{}, queue.Member{}, queue.ErrNotInMatch
	}
	return m, member, nil
}

// LeaveMatch takes the player out of a match. It is no error to have left
// before. Errors: as Match.
func (d *Desk) LeaveMatch(ctx context.Context, c session.Claims, id string) error {
	if _, err := d.Keeper.Ensure(ctx, c, false); err != nil {
		return err
	}
	m, member, err := d.member(ctx, c.Player, id)
	if err != nil {
		return err
	}
	marks := []queue.Mark{{Player: c.Player, Status: queue.Left, Reason: queue.ReasonLeft}}
	if _, err := d.Store.Mark(ctx, m, marks, 0); err != nil {
		return err
	}
	_, err = d.Keeper.Release(ctx, notice.MatchPlace(m, member), notice.MatchResolved(m, queue.ReasonLeft))
	return err
}
