// Package desk serves players: they queue, look, and leave here. It keeps
// nothing; what it does half way, when it dies, the steward finishes.
package desk

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/holdfast-games/holdfast/pkg/apperr"
	"github.com/holdfast-games/holdfast/pkg/id"
	"github.com/holdfast-games/holdfast/pkg/session"
	"github.com/holdfast-games/holdfast/pkg/shard"
	"github.com/holdfast-games/holdfast/services/matchmaking/internal/notice"
	"github.com/holdfast-games/holdfast/services/matchmaking/internal/queue"
	"github.com/holdfast-games/holdfast/services/matchmaking/internal/rules"
)

// Store is what a desk needs of the store.
type Store interface {
	queue.Tickets
	queue.Matches
}

// Desk serves players. All fields must be set.
type Desk struct {
	Keeper   *session.Keeper
	Store    Store
	Rules    rules.Set
	Rater    queue.Rater
	Shards   shard.Map
	Settings session.Settings
}

// Request is what a player who wants to queue brings.
type Request struct {
	Queue      string
	Attributes map[string][]string
	Latencies  map[string]float64
	Key        string // Idempotency-Key, "" = none
}

// Joined is the answer to a Request.
type Joined struct {
	Ticket   queue.Ticket
	Position int64
	WaitMS   int64
	Already  bool
	Presence session.Presence
}

// attempts is how often a join starts again when the ticket was released, or
// ran out of time, before it was taken.
const attempts = 2

var errUnsettled = errors.New("the ticket was released while it was being taken")

// Join takes a ticket for the player, or returns the one that is held: in
// three round trips. Errors: those of the keeper, ErrUnknownQueue, ErrInMatch,
// ErrTooMany.
func (d *Desk) Join(ctx context.Context, c session.Claims, r Request) (Joined, error) {
	q, ok := d.Rules.Queue(r.Queue)
	if !ok {
		return Joined{}, queue.ErrUnknownQueue
	}
	rating, err := d.Rater.Rating(ctx, c.Player, r.Queue)
	if err != nil {
		return Joined{}, fmt.Errorf("ask for the rating: %w", err)
	}
	for range attempts {
		t := queue.Ticket{
			ID: d.ticketID(c.Player, r), Queue: r.Queue, Player: c.Player, Rating: rating,
			Attributes: r.Attributes, Latencies: r.Latencies,
		}
		joined, err := d.join(ctx, c, q, t, r.Key != "")
		if !errors.Is(err, errUnsettled) {
			return joined, err
		}
	}
	return Joined{}, apperr.Away("take a ticket", errUnsettled)
}

// ticketID is a new id, or the same one for each retry of one intent.
func (d *Desk) ticketID(player string, r Request) string {
	n := d.Shards.Of(r.Queue)
	if r.Key == "" {
		return id.NewOn(n)
	}
	sum := sha256.Sum256([]byte(player + "\x00" + r.Queue + "\x00" + r.Key))
	return fmt.Sprintf("%02d.%s", n, hex.EncodeToString(sum[:16]))
}

func (d *Desk) join(ctx context.Context, c session.Claims, q rules.Queue, t queue.Ticket, keyed bool) (Joined, error) {
	hold, err := d.Keeper.Reserve(ctx, c, session.Reservation{
		Kind: session.Ticket, Slot: t.Queue, ID: t.ID, Most: session.MaxTickets, Excludes: session.Match,
	})
	if err != nil {
		return Joined{}, err
	}
	if refused := refusal(hold.Outcome); refused != nil {
		return d.refused(ctx, t, hold.Record, refused, keyed)
	}
	already := hold.Outcome == session.Already && (hold.ID != t.ID || hold.NotAfter == 0)
	own := hold.ID == t.ID
	t.ID, t.SID = hold.ID, hold.Record.SID
	t.ReachV, t.ReachUntil = hold.Record.V, hold.Record.ReachUntil(d.Settings.HTTPReach)
	if place, ok := hold.Record.Place(session.Ticket, t.Queue); ok && already {
		t.QueuedAt = queuedAt(place)
	}
	queued, err := d.Store.Enqueue(ctx, queue.Entry{Ticket: t, NotAfter: hold.NotAfter})
	if err != nil {
		return Joined{}, err
	}
	joined := Joined{
		Ticket: queued.Ticket, Position: max(queued.Position, 1), WaitMS: estimate(q, queued.Activity),
		Already: already || queued.Outcome == queue.Already, Presence: hold.Record.Presence,
	}
	if queued.Outcome == queue.Late || queued.Outcome == queue.Over {
		t.QueuedAt = queued.Ticket.QueuedAt
		return d.overtaken(ctx, t, joined, hold.Record, keyed && own && queued.Outcome == queue.Over)
	}
	return d.confirm(ctx, joined, hold.Record)
}

func refusal(o session.Outcome) error {
	switch o {
	case session.Reserved, session.Already:
		return nil
	case session.Excluded:
		return queue.ErrInMatch
	case session.TooMany:
		return queue.ErrTooMany
	default:
		return fmt.Errorf("reserve a ticket: unexpected outcome %q", o)
	}
}

func queuedAt(p session.Place) int64 {
	var c session.TicketCopy
	_ = json.Unmarshal([]byte(p.Copy), &c) // a pending place has no copy yet
	return c.QueuedAt
}

func estimate(q rules.Queue, a queue.Activity) int64 {
	if a.WaitMS > 0 {
		return a.WaitMS
	}
	return q.Guess()
}

// overtaken ends a join whose ticket was over before it was taken: a retry is
// answered with the ticket it is about, anybody else starts again.
func (d *Desk) overtaken(ctx context.Context, t queue.Ticket, j Joined, r session.Record, retry bool) (Joined, error) {
	if _, err := d.Keeper.Release(ctx, notice.TicketPlace(t), notice.Cancelled(t, queue.ReasonLeft)); err != nil {
		return Joined{}, err
	}
	if !retry {
		return Joined{}, errUnsettled
	}
	return past(t, j, r), nil
}

// refused ends a join that the session does not allow, unless what stands in
// the way is a ghost.
func (d *Desk) refused(ctx context.Context, t queue.Ticket, r session.Record, refused error, keyed bool) (Joined, error) {
	healed, err := d.heal(ctx, r)
	switch {
	case err != nil:
		return Joined{}, err
	case healed:
		return Joined{}, errUnsettled
	case keyed:
		return d.repeated(ctx, t, r, refused)
	default:
		return Joined{}, refused
	}
}

// heal frees places of which the owner, that is us, knows nothing: what they
// stood for was lost, and must not keep the player from queueing.
func (d *Desk) heal(ctx context.Context, r session.Record) (bool, error) {
	healed := false
	for _, p := range r.Places {
		ghost, err := d.ghost(ctx, r, p)
		if err != nil {
			return false, err
		}
		if !ghost {
			continue
		}
		ref := session.PlaceRef{Player: r.Player, SID: r.SID, Kind: p.Kind, Slot: p.Slot, ID: p.ID}
		if _, err := d.Keeper.Release(ctx, ref, session.Push{}); err != nil {
			return false, err
		}
		healed = true
	}
	return healed, nil
}

func (d *Desk) ghost(ctx context.Context, r session.Record, p session.Place) (bool, error) {
	switch {
	case p.Pending():
		return false, nil // lapses by itself
	case p.Kind == session.Ticket:
		standings, err := d.Store.Standings(ctx, []queue.Ref{{Queue: p.Slot, Ticket: p.ID, SID: r.SID}})
		return err == nil && standings[0].Ticket.Player == "", err
	case p.Kind == session.Match:
		m, err := d.Store.Match(ctx, p.ID)
		if errors.Is(err, queue.ErrUnknownMatch) {
			return true, nil
		}
		return err == nil && m.State != queue.Forming && m.State != queue.Found, err
	default:
		return false, nil
	}
}

// repeated answers a retry that the session refuses: its ticket may be what
// the player is in a match with.
func (d *Desk) repeated(ctx context.Context, t queue.Ticket, r session.Record, refused error) (Joined, error) {
	t.SID = r.SID
	queued, err := d.Store.Enqueue(ctx, queue.Entry{Ticket: t, NotAfter: 1}) // too late for a new one
	if err != nil {
		return Joined{}, err
	}
	if queued.Outcome == queue.Late {
		return Joined{}, refused
	}
	return past(queued.Ticket, Joined{Presence: r.Presence}, r), nil
}

// past describes a ticket that is over.
func past(t queue.Ticket, j Joined, r session.Record) Joined {
	if t.QueuedAt == 0 {
		t.QueuedAt = r.Now
	}
	j.Ticket, j.Position, j.WaitMS, j.Already = t, 1, 0, true
	return j
}

// confirm makes the place real.
func (d *Desk) confirm(ctx context.Context, j Joined, reserved session.Record) (Joined, error) {
	t := j.Ticket
	if t.State == queue.Matched {
		return j, nil // the match has the last word on the place
	}
	res, err := d.Keeper.Confirm(ctx, notice.TicketPlace(t), t.V, notice.TicketCopy(t, j.WaitMS), "", notice.Queued(t))
	switch {
	case err != nil:
		return Joined{}, err
	case res.Outcome == session.Gone:
		return d.lost(ctx, j)
	case res.Record.Presence != reserved.Presence:
		_, err = d.Store.Reach(ctx, t.Ref(), res.Record.V, res.Record.ReachUntil(d.Settings.HTTPReach))
	}
	j.Presence = res.Record.Presence
	return j, err
}

// lost ends a join whose place was gone when the ticket was there: either a
// match was faster, or the session ended.
func (d *Desk) lost(ctx context.Context, j Joined) (Joined, error) {
	change, err := d.Store.Release(ctx, j.Ticket.Ref(), queue.ReasonGone, false)
	if err == nil && change.Outcome == queue.Done {
		err = errUnsettled
	}
	return j, err
}

// Leave takes the player out of one queue. It is no error not to wait there,
// nor that a match was faster.
func (d *Desk) Leave(ctx context.Context, c session.Claims, queueName string) error {
	res, err := d.Keeper.Ensure(ctx, c, false)
	if err != nil {
		return err
	}
	if place, ok := res.Record.Place(session.Ticket, queueName); ok {
		return d.leave(ctx, res.Record, place)
	}
	return nil
}

// LeaveAll takes the player out of every queue.
func (d *Desk) LeaveAll(ctx context.Context, c session.Claims) error {
	res, err := d.Keeper.Ensure(ctx, c, false)
	if err != nil {
		return err
	}
	for _, place := range res.Record.Places {
		if place.Kind == session.Ticket {
			err = errors.Join(err, d.leave(ctx, res.Record, place))
		}
	}
	return err
}

func (d *Desk) leave(ctx context.Context, r session.Record, p session.Place) error {
	t := queue.Ticket{ID: p.ID, Queue: p.Slot, Player: r.Player, SID: r.SID, QueuedAt: queuedAt(p)}
	change, err := d.Store.Release(ctx, t.Ref(), queue.ReasonLeft, true)
	if err != nil || change.Outcome == queue.Committed {
		return err
	}
	_, err = d.Keeper.Release(ctx, notice.TicketPlace(t), notice.Cancelled(t, queue.ReasonLeft))
	return err
}

// Status is one of the player's tickets.
type Status struct {
	Ticket   queue.Ticket
	Position int64
	WaitMS   int64
}

// Tickets returns the player's tickets, oldest first.
func (d *Desk) Tickets(ctx context.Context, c session.Claims) ([]Status, error) {
	res, err := d.Keeper.Ensure(ctx, c, false)
	if err != nil {
		return nil, err
	}
	var refs []queue.Ref
	var names []string
	for _, p := range res.Record.Held(session.Ticket) {
		refs = append(refs, queue.Ref{Queue: p.Slot, Ticket: p.ID, SID: res.Record.SID})
		names = append(names, p.Slot)
	}
	standings, err := d.Store.Standings(ctx, refs)
	if err != nil {
		return nil, err
	}
	activities, err := d.Store.Activities(ctx, names)
	if err != nil {
		return nil, err
	}
	var all []Status
	for i, s := range standings {
		if s.Ticket.Player == "" {
			continue
		}
		q, _ := d.Rules.Queue(s.Ticket.Queue)
		all = append(all, Status{Ticket: s.Ticket, Position: max(s.Position, 1), WaitMS: estimate(q, activities[i])})
	}
	slices.SortFunc(all, func(a, b Status) int {
		if a.Ticket.Older(b.Ticket) {
			return -1
		}
		return 1
	})
	return all, nil
}
