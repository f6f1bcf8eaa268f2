package queuetest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/holdfast-games/holdfast/services/matchmaking/internal/queue"
)

// Compare plays random histories on the model and on a fresh backend, and
// wants the same answers, events and feeds from both.
func Compare(t *testing.T, open func() Backend) {
	t.Helper()
	rapid.Check(t, func(rt *rapid.T) {
		h := &history{
			T: rt, ctx: t.Context(), model: Model(t), tried: open(), shard: Shards(t).Of(ranked),
			tb: t, cursors: [2]queue.Cursor{{}, {ID: "0-0"}},
		}
		rt.Repeat(map[string]func(*rapid.T){
			"enqueue": h.enqueue, "release": h.release, "reach": h.reach, "recheck": h.recheck, "commit": h.commit,
			"found": h.found, "dissolve": h.dissolve, "restore": h.restore, "mark": h.mark, "finish": h.finish,
			"sweep": h.sweep, "wait": h.wait, "compare": h.same,
		})
		h.same(rt)
	})
}

// history plays on both backends at once.
type history struct {
	*rapid.T

	tb           testing.TB
	ctx          context.Context //nolint:containedctx // of the test that plays
	model, tried Backend
	shard        int
	cursors      [2]queue.Cursor
	made         int // matches proposed
}

// both does something on both backends and compares the answers.
func (h *history) both(what string, do func(s queue.Store) (any, error)) {
	var answers [2]string
	for i, b := range []Backend{h.model, h.tried} {
		value, err := do(b.Store)
		switch {
		case errors.Is(err, queue.ErrUnknownMatch):
			value = "unknown match"
		case err != nil:
			h.Fatalf("%s: %v", what, err)
		}
		text, err := json.Marshal(value)
		if err != nil {
			h.Fatalf("%s: %v", what, err)
		}
		answers[i] = string(text)
	}
	if answers[0] != answers[1] {
		h.Fatalf("%s:\nmodel %s\ntried %s", what, answers[0], answers[1])
	}
}

func (h *history) pick(what string, from ...string) string {
	return rapid.SampledFrom(from).Draw(h.T, what)
}

func (h *history) player(what string) string { return h.pick(what, "ann", "bob", "cat", "dan") }

func (h *history) ref() queue.Ref {
	player := h.player("player")
	return queue.Ref{Queue: ranked, Ticket: h.id(player), SID: h.pick("sid", "1", "1", "1", "2")}
}

func (h *history) id(name string) string { return fmt.Sprintf("%02d.%s", h.shard, name) }

func (h *history) until() int64 {
	in := rapid.SampledFrom([]int64{0, 0, -1000, 500, 15_000}).Draw(h.T, "until")
	if in == 0 {
		return 0
	}
	return h.model.Clock.Now() + in
}

func (h *history) enqueue(*rapid.T) {
	r := h.ref()
	e := queue.Entry{
		NotAfter: h.model.Clock.Now() + rapid.SampledFrom([]int64{10_000, -1}).Draw(h.T, "notAfter"),
		Ticket: queue.Ticket{
			ID: r.Ticket, Queue: ranked, Player: r.Ticket[3:], SID: r.SID, Rating: 600, ReachUntil: h.until(),
			ReachV: rapid.Int64Range(1, 5).Draw(h.T, "v"), Attributes: map[string][]string{"a": {"b"}},
		},
	}
	h.both("enqueue", func(s queue.Store) (any, error) { return s.Enqueue(h.ctx, e) })
}

func (h *history) release(*rapid.T) {
	r, tell := h.ref(), rapid.Bool().Draw(h.T, "tell")
	h.both("release", func(s queue.Store) (any, error) { return s.Release(h.ctx, r, "left", tell) })
}

func (h *history) reach(*rapid.T) {
	r, v, until := h.ref(), rapid.Int64Range(1, 6).Draw(h.T, "v"), h.until()
	h.both("reach", func(s queue.Store) (any, error) { return s.Reach(h.ctx, r, v, until) })
}

func (h *history) recheck(*rapid.T) {
	r := h.ref()
	h.both("recheck", func(s queue.Store) (any, error) { return s.Recheck(h.ctx, r) })
}

func (h *history) commit(*rapid.T) {
	var refs []queue.Ref
	for _, player := range []string{h.player("first"), h.player("second")} {
		refs = append(refs, queue.Ref{Queue: ranked, Ticket: h.id(player)})
	}
	if refs[0] == refs[1] {
		return
	}
	standings, err := h.model.Store.Standings(h.ctx, refs)
	if err != nil {
		h.Fatal(err)
	}
	h.made++
	p := queue.Proposal{Match: h.id(fmt.Sprintf("m%d", h.made))}
	for i, s := range standings {
		s.Ticket.ID = refs[i].Ticket
		p.Tickets = append(p.Tickets, s.Ticket)
	}
	h.both("commit", func(s queue.Store) (any, error) { return s.Commit(h.ctx, ranked, []queue.Proposal{p}) })
}

// onMatch does something with one of the matches made so far.
func (h *history) onMatch(what string, do func(s queue.Store, m queue.Match) (any, error)) {
	id := h.id(fmt.Sprintf("m%d", rapid.IntRange(max(h.made-2, 0), h.made).Draw(h.T, "match")))
	h.both(what, func(s queue.Store) (any, error) {
		m, err := s.Match(h.ctx, id)
		if err != nil {
			return nil, err
		}
		return do(s, m)
	})
}

func (h *history) found(*rapid.T) {
	h.onMatch("found", func(s queue.Store, m queue.Match) (any, error) { return s.Found(h.ctx, m, time.Minute) })
}

func (h *history) dissolve(*rapid.T) {
	verdict := rapid.SampledFrom([]queue.Status{queue.Willing, queue.Busy, queue.Unreachable, queue.Gone})
	verdicts := []queue.Status{verdict.Draw(h.T, "first"), verdict.Draw(h.T, "second")}
	h.onMatch("dissolve", func(s queue.Store, m queue.Match) (any, error) { return s.Dissolve(h.ctx, m, "refused", verdicts) })
}

func (h *history) restore(*rapid.T) {
	h.onMatch("restore", func(s queue.Store, m queue.Match) (any, error) {
		back, err := s.Restore(h.ctx, m)
		return append([]queue.Ticket{}, back...), err
	})
}

func (h *history) mark(*rapid.T) {
	mark := queue.Mark{
		Player: h.player("player"), Status: rapid.SampledFrom([]queue.Status{queue.In, queue.Read, queue.Left}).Draw(h.T, "status"),
		V: 7, Reason: "left",
	}
	next := rapid.SampledFrom([]time.Duration{0, time.Second}).Draw(h.T, "next")
	h.onMatch("mark", func(s queue.Store, m queue.Match) (any, error) { return s.Mark(h.ctx, m, []queue.Mark{mark}, next) })
}

func (h *history) finish(*rapid.T) {
	h.onMatch("finish", func(s queue.Store, m queue.Match) (any, error) { return s.Finish(h.ctx, m, "max_duration") })
}

func (h *history) sweep(*rapid.T) {
	h.both("sweep", func(s queue.Store) (any, error) {
		passes, err := s.Sweep(h.ctx)
		for i := range passes {
			slices.SortFunc(passes[i].Due, func(a, b queue.Due) int {
				return slices.Compare([]string{a.Match, a.Ticket.Ticket}, []string{b.Match, b.Ticket.Ticket})
			})
			passes[i].Due = append([]queue.Due{}, passes[i].Due...)
		}
		return passes, err
	})
}

func (h *history) wait(*rapid.T) {
	d := time.Duration(rapid.SampledFrom([]int64{1, 500, 3000, 9000, 31_000}).Draw(h.T, "ms")) * time.Millisecond
	for _, b := range []Backend{h.model, h.tried} {
		b.Clock.Advance(d)
		if b.Age != nil {
			b.Age(d)
		}
	}
}

// same compares all that can be read.
func (h *history) same(*rapid.T) {
	h.both("load", func(s queue.Store) (any, error) {
		f, err := s.Load(h.ctx, ranked)
		f.Cursor.ID = ""
		f.Tickets = append([]queue.Ticket{}, f.Tickets...)
		return f, err
	})
	h.both("activity", func(s queue.Store) (any, error) { return s.Activities(h.ctx, []string{ranked}) })
	i := 0
	h.both("follow", func(s queue.Store) (any, error) {
		f, err := s.Follow(h.ctx, ranked, h.cursors[i], 0)
		h.cursors[i] = f.Cursor
		i++
		f.Cursor.ID = ""
		for j, t := range f.Tickets {
			if t.State != queue.Waiting && t.State != queue.Held {
				f.Tickets[j] = queue.Ticket{ID: t.ID, V: t.V, State: t.State, Player: t.Player, SID: t.SID}
			}
		}
		return append([]queue.Ticket{}, f.Tickets...), err
	})
	want, got := fmt.Sprint(h.model.Events(h.tb)), fmt.Sprint(h.tried.Events(h.tb))
	if want != got {
		h.Fatalf("events:\nmodel %s\ntried %s", want, got)
	}
}
