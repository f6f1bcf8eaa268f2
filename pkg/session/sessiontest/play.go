package sessiontest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-games/holdfast/pkg/outbox"
	"github.com/holdfast-games/holdfast/pkg/session"
)

// A Moment is one step as it was played: what was asked, what the store
// answered, and what it appended to the outboxes.
type Moment struct {
	At      int64
	Step    Step
	Asked   string
	Answer  string
	Results []session.Result
	Events  []outbox.Event
	After   []session.Record // of every player; only where it costs nothing
}

// String shows all that two stores must agree on.
func (m Moment) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d %s\n  -> %s\n", m.At, m.Asked, m.Answer)
	for _, r := range m.Results {
		fmt.Fprintf(&b, "  %s %+v\n", r.Outcome, r.Record)
	}
	for _, e := range m.Events {
		fmt.Fprintf(&b, "  event %d %s\n", e.Shard, describe(e))
	}
	return b.String()
}

// A Trace is a story as it was played on one store.
type Trace struct {
	Settings  session.Settings
	Moments   []Moment
	Open      []string
	Deadlines map[string]int64
}

// storyStart is far ahead of every real clock, so that no TTL ends anything,
// and always the same, so that a story repeats to the millisecond.
func storyStart() time.Time { return time.Date(2040, 1, 1, 0, 0, 0, 0, time.UTC) }

// play plays a story on an empty backend.
func play(tb testing.TB, b *Backend, story Story) Trace {
	tb.Helper()
	b.Wipe(tb)
	b.World.now.Store(storyStart().UnixMilli())
	p := &playing{tb: tb, b: b, ctx: tb.Context()}
	for i := range p.players {
		p.players[i] = &actor{id: fmt.Sprintf("p%d", i), name: "name-0"}
	}
	trace := Trace{Settings: storySettings(story.Reconciling)}
	for i, step := range story.Steps {
		b.World.Advance(step.Wait)
		b.World.lives.Store(int64(i))
		p.moment = Moment{At: b.World.Now(), Step: step}
		p.take(step)
		p.moment.Events = p.log.fresh(b.Events(tb))
		if b.Keys == nil {
			for _, a := range p.players {
				p.moment.After = append(p.moment.After, p.look(a))
			}
		}
		trace.Moments = append(trace.Moments, p.moment)
	}
	trace.Open, trace.Deadlines = b.Open(tb), b.Deadlines(tb)
	return trace
}

type playing struct {
	tb      testing.TB
	b       *Backend
	ctx     context.Context //nolint:containedctx // of one test
	players [players]*actor
	log     eventLog
	moment  Moment
}

// actor is what the world outside knows about a player.
type actor struct {
	id        string
	name      string // durable
	rev       int64  // durable
	revokedAt int64  // durable, ms
	sids      []string
	dialled   [connections]session.ConnectionID
	reserved  session.PlaceRef
	ending    session.Ending
	v         int64 // version seen last
}

func (a *actor) sid(back int) string {
	if len(a.sids) <= back {
		return ""
	}
	return a.sids[len(a.sids)-1-back]
}

// claims: every fourth token is of the generation before, every eighth of
// another login.
func (a *actor) claims(variant int) session.Claims {
	c := session.Claims{Player: a.id, Rev: a.rev, Family: "laptop", Name: a.name, Provider: "guest"}
	if variant%4 == 3 {
		c.Rev = max(0, c.Rev-1)
	}
	if variant == 6 {
		c.Family = "phone"
	}
	return c
}

func (a *actor) facts(variant int) *session.Facts {
	f := &session.Facts{Name: a.name, Provider: "guest", Rev: a.rev, Durable: true}
	if a.revokedAt > 0 {
		f.RevokedAt = time.UnixMilli(a.revokedAt)
	}
	switch variant {
	case 0, 1:
		return nil
	case 2: // the durable record is away
		return &session.Facts{Name: "name-0", Provider: "token"}
	case 4:
		f.Login = true
	case 5:
		a.name += "'"
		f.Name = a.name
	}
	return f
}

func (a *actor) connection(n int) session.ConnectionID {
	if a.dialled[n] == "" {
		return session.NewConnectionID(5, 5, fmt.Sprintf("10.0.0.%d:%d", n, n)) // of a time before ours
	}
	return a.dialled[n]
}

// place names a place: mostly the one reserved last, at times as of the life
// before or of whichever life.
func (a *actor) place(step Step) session.PlaceRef {
	r := reservation(step)
	ref := session.PlaceRef{Player: a.id, SID: a.sid(0), Kind: r.Kind, Slot: r.Slot, ID: r.ID}
	if step.Variant < 6 && a.reserved.ID != "" {
		ref = a.reserved
	}
	switch step.Variant {
	case 4:
		ref.SID = a.sid(1)
	case 5:
		ref.SID = ""
	}
	return ref
}

func reservation(step Step) session.Reservation {
	switch step.Variant {
	case 6:
		return session.Reservation{Kind: session.Lobby, ID: fmt.Sprint("l", step.N%2), Most: 1, Copy: "lobby copy"}
	case 7:
		return session.Reservation{Kind: session.Match, ID: fmt.Sprint("m", step.N%2), Most: 1}
	}
	return session.Reservation{
		Kind: session.Ticket, Slot: fmt.Sprint("q", step.Variant%5), ID: fmt.Sprintf("t%d-%d", step.Variant, step.N%2),
		Most: 1 + step.N%2, Excludes: session.Match, Copy: "{}",
	}
}

func (p *playing) look(a *actor) session.Record {
	res, err := p.b.Store.Get(p.ctx, a.id)
	if err != nil {
		p.tb.Fatalf("get: %v", err)
	}
	return res.Record
}

// answer notes what the store answered, and learns from it.
func (p *playing) answer(a *actor, res session.Result, err error, more ...any) {
	p.moment.Answer = fmt.Sprintln(append([]any{res.Outcome, failure(err)}, more...)...)
	if err != nil {
		return
	}
	p.moment.Results = append(p.moment.Results, res)
	if sid := res.Record.SID; sid != "" {
		a.v = res.Record.V
		if a.sid(0) != sid {
			a.sids = append(a.sids, sid)
		}
	}
}

// failure shows an error. The two that are answers are the same everywhere.
func failure(err error) string {
	switch {
	case err == nil:
		return ""
	case errors.Is(err, session.ErrRevoked):
		return "revoked"
	case errors.Is(err, session.ErrAbsent):
		return "absent"
	default:
		return "FAILED: " + err.Error()
	}
}
