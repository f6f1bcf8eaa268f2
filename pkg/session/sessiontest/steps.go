package sessiontest

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-games/holdfast/pkg/session"
)

// take plays one step.
func (p *playing) take(step Step) {
	a := p.players[step.Player]
	switch step.Op {
	case opEnsure, opBegin, opConnected, opClosed, opLost:
		p.presence(a, step)
	case opReserve, opMatch, opConfirm, opNote, opRelease, opRepeat:
		p.places(a, step)
	case opEnd:
		p.end(a, step)
	case opAnnounce:
		res, err := p.b.Store.Announce(p.ctx, a.id)
		p.asked("announce %s", a.id)
		p.answer(a, res, err)
	case opGet:
		res, err := p.b.Store.Get(p.ctx, a.id)
		p.asked("get %s", a.id)
		p.answer(a, res, err)
	default:
		p.passing(a, step)
	}
}

func (p *playing) asked(format string, args ...any) { p.moment.Asked = fmt.Sprintf(format, args...) }

func (p *playing) presence(a *actor, step Step) {
	store, facts := p.b.Store, a.facts(step.Variant)
	id := a.connection(step.N)
	switch step.Op {
	case opEnsure:
		c := a.claims(step.Variant + step.N)
		p.asked("ensure %+v %+v", c, facts)
		res, err := store.Ensure(p.ctx, c, facts, step.N == 0)
		p.answer(a, res, err)
	case opBegin:
		c := a.claims(step.Variant)
		p.asked("begin %+v %+v", c, facts)
		res, epoch, err := store.Begin(p.ctx, c, facts)
		p.answer(a, res, err, epoch)
		if err == nil {
			a.dialled[step.N] = session.NewConnectionID(epoch, p.b.World.Now(), fmt.Sprintf("10.0.%d.1:%d", step.Player, step.N))
		}
	case opConnected:
		p.asked("connected %s %s %+v", a.id, id, facts)
		res, err := store.Connected(p.ctx, a.id, id, fmt.Sprint("emqx@", step.Variant), facts)
		p.answer(a, res, err)
	case opClosed:
		reasons := []string{"tcp_closed", "normal", "takenover", "takenover", "discarded", "keepalive_timeout", "kicked", "normal"}
		p.asked("disconnected %s %s %s", a.id, id, reasons[step.Variant])
		res, err := store.Disconnected(p.ctx, a.id, id, reasons[step.Variant])
		p.answer(a, res, err)
	default:
		p.asked("lost %s %s", a.id, id)
		res, err := store.Lost(p.ctx, a.id, id)
		p.answer(a, res, err)
	}
}

func (p *playing) places(a *actor, step Step) {
	store, ref := p.b.Store, a.place(step)
	push := session.Push{Type: "told", Body: fmt.Sprint(step.N)}
	v := int64(step.N)
	switch step.Op {
	case opReserve:
		r, c, facts := reservation(step), a.claims(step.Variant+step.N), a.facts(step.N+1)
		p.asked("reserve %+v %+v %+v", c, facts, r)
		h, err := store.Reserve(p.ctx, c, facts, r)
		p.held(a, h, err, session.PlaceRef{Player: a.id, SID: h.Record.SID, Kind: r.Kind, Slot: r.Slot, ID: h.ID})
	case opMatch:
		p.match(a, step)
	case opConfirm:
		drops := []session.Kind{"", session.Ticket}[step.Variant%2]
		p.asked("confirm %+v v%d drops %q", ref, v, drops)
		res, err := store.Confirm(p.ctx, ref, v, "confirmed", drops, push)
		p.answer(a, res, err)
	case opNote:
		p.asked("note %+v v%d", ref, v)
		res, err := store.Note(p.ctx, ref, v, fmt.Sprint("note ", v), push)
		p.answer(a, res, err)
	case opRelease:
		p.asked("release %+v", ref)
		res, err := store.Release(p.ctx, ref, push)
		p.answer(a, res, err)
	default:
		p.asked("repeat %+v unless %d was read", ref, a.v)
		res, err := store.Repeat(p.ctx, ref, a.v, push)
		p.answer(a, res, err)
	}
}

// match asks for the match place of one or two players.
func (p *playing) match(a *actor, step Step) {
	var asks []session.MatchReservation
	members := []*actor{a}
	if step.N%2 == 1 {
		members = append(members, p.players[(step.Player+1)%players])
	}
	for _, m := range members {
		ask := session.MatchReservation{Player: m.id, SID: m.sid(step.Variant / 7), Match: fmt.Sprint("m", step.N/2)}
		if m.reserved.Kind == session.Ticket {
			ask.Queue, ask.Ticket = m.reserved.Slot, m.reserved.ID
		}
		if step.Variant == 6 {
			ask.Ticket = "another"
		}
		asks = append(asks, ask)
	}
	p.asked("reserve match %+v", asks)
	holds, err := p.b.Store.ReserveMatch(p.ctx, asks)
	if err != nil {
		p.answer(a, session.Result{}, err)
		return
	}
	var answers strings.Builder
	for i, h := range holds {
		ref := members[i].reserved
		if h.Outcome == session.Reserved && step.Variant < 5 {
			ref = session.PlaceRef{Player: asks[i].Player, SID: asks[i].SID, Kind: session.Match, ID: asks[i].Match}
		}
		p.held(members[i], h, nil, ref)
		answers.WriteString(p.moment.Answer)
	}
	p.moment.Answer = answers.String()
}

func (p *playing) held(a *actor, h session.Hold, err error, ref session.PlaceRef) {
	p.answer(a, session.Result{Outcome: h.Outcome, Record: h.Record}, err, h.ID, h.NotAfter)
	if err == nil && (h.Outcome == session.Reserved || h.Outcome == session.Already) {
		a.reserved = ref
	}
}

func (p *playing) end(a *actor, step Step) {
	e := session.Ending{Reason: "kicked"}
	switch step.Variant {
	case 0:
		e = session.Ending{Reason: "logged_out", Family: "phone"}
	case 1:
		e = session.Ending{Reason: "logged_out", Family: "laptop"}
	case 2:
		e = session.Ending{Reason: "banned", Revoke: true}
	case 3, 4: // the durable record is written first
		a.rev, a.revokedAt = a.rev+1, p.b.World.Now()
		e = session.Ending{Reason: "banned", Revoke: true, Rev: a.rev}
	case 5: // nobody knows whether the last one was heard
		e = a.ending
	}
	a.ending = e
	p.asked("end %s %+v", a.id, e)
	res, rev, err := p.b.Store.End(p.ctx, a.id, e)
	p.answer(a, res, err, rev)
	if err == nil && step.N > 0 {
		a.rev = max(a.rev, rev) // or the durable record lags behind
	}
}

// passing plays what happens to everybody.
func (p *playing) passing(a *actor, step Step) {
	p.asked("%s", step.Op)
	switch step.Op { //nolint:exhaustive // take has played the others
	case opBeat:
		p.beat()
	case opReconciled:
		p.b.Reconciled(p.tb)
	case opTend:
		if step.Variant > 0 {
			p.beat()
		}
		if step.Variant > 4 {
			p.b.Reconciled(p.tb)
		}
		p.due(p.sweep())
	case opSweep:
		p.sweep()
	case opDue:
		everybody := []string{}
		for _, a := range p.players[step.N%players:] {
			everybody = append(everybody, a.id)
		}
		p.due(everybody)
	case opWipe:
		if step.Variant == 0 {
			p.b.World.Advance(time.Second) // it takes a moment
			p.b.Wipe(p.tb)
			p.log = eventLog{}
		}
	case opLose:
		if step.Variant < 2 {
			p.b.World.Advance(time.Second)
			p.b.Lose(p.tb, a.id)
		}
	}
}

func (p *playing) beat() {
	if err := p.b.Store.Beat(p.ctx, "hook"); err != nil {
		p.moment.Answer += failure(err)
	}
}

func (p *playing) sweep() []string {
	passes, err := p.b.Store.Sweep(p.ctx, p.b.Shards.All())
	p.moment.Answer += fmt.Sprintf("%+v %s", passes, failure(err))
	var members []string
	for _, pass := range passes {
		members = append(members, pass.Members...)
	}
	return members
}

func (p *playing) due(members []string) {
	if len(members) == 0 {
		return
	}
	results, err := p.b.Store.Due(p.ctx, members)
	var said strings.Builder
	said.WriteString(p.moment.Answer)
	for _, a := range p.players {
		if i := slices.Index(members, a.id); i >= 0 && err == nil {
			p.answer(a, results[i], nil)
			said.WriteString(p.moment.Answer)
		}
	}
	p.moment.Answer = said.String() + failure(err)
}
