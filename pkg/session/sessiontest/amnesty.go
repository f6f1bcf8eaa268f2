package sessiontest

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/holdfast-games/holdfast/pkg/session"
)

func amnestyPromises() []promise {
	return []promise{
		{"time without a sweep is given back", gapWithoutSweep},
		{"time without the hook is given back when it beats again", gapWithoutHook},
		{"a pause of ten seconds is no outage", shortPause},
		{"racing sweepers give a gap once", racingAmnesty},
		{"overlapping outages are not counted twice", overlappingOutages},
		{"outages in a row give no more than the time that passed", outagesInARow},
		{"one outage gives a day at most", amnestyCap},
		{"a deadline is shown as it will be met", shownDeadline},
		{"an hour without the hook expires nobody and drops no lease", hourWithoutHook},
		{"beats of others guard nothing", otherBeats},
		{"each shard has its own clock", shardsAreSeparate},
	}
}

func (f *fixture) given(want time.Duration) {
	f.Helper()
	for _, pass := range f.sweep() {
		f.equal("given", []any{pass.Paused, pass.GivenMS}, []any{false, want.Milliseconds()})
	}
}

func (f *fixture) paused() {
	f.Helper()
	for _, pass := range f.sweep() {
		f.equal("paused", []any{pass.Paused, pass.GivenMS, len(pass.Members)}, []any{true, int64(0), 0})
	}
}

func gapWithoutSweep(f *fixture) {
	f.given(0)
	f.World.Advance(time.Hour)
	f.given(time.Hour)
	f.given(0)
	f.World.Advance(session.Stale + time.Millisecond)
	f.given(session.Stale + time.Millisecond)
	f.equal("shift", f.get("ann").Shift, (time.Hour + session.Stale + time.Millisecond).Milliseconds())
}

func gapWithoutHook(f *fixture) {
	f.calm(time.Minute)
	f.World.Advance(session.Stale)
	f.given(0)
	f.World.Advance(time.Millisecond)
	f.paused()
	f.World.Advance(time.Hour)
	f.paused()
	f.beat()
	f.given(session.Stale + time.Millisecond + time.Hour)
	f.given(0)
}

func shortPause(f *fixture) {
	f.calm(time.Minute)
	f.World.Advance(session.Stale)
	f.given(0)
	f.beat()
	f.given(0)
	f.equal("shift", f.get("ann").Shift, int64(0))
}

func racingAmnesty(f *fixture) {
	f.calm(time.Minute)
	f.World.Advance(time.Hour)
	f.beat()
	var wg sync.WaitGroup
	var given atomic.Int64
	for range 16 {
		wg.Go(func() {
			passes, err := f.Store.Sweep(f.Context(), f.Shards.All())
			if err != nil {
				f.Errorf("sweep: %v", err)
			}
			for _, p := range passes {
				given.Add(p.GivenMS)
			}
		})
	}
	wg.Wait()
	f.equal("given in all", given.Load(), time.Hour.Milliseconds()*int64(f.Shards.N()))
}

func overlappingOutages(f *fixture) {
	f.calm(time.Minute)
	start := f.now()
	f.World.Advance(30 * time.Second) // no sweep for a minute, no hook from its second half on
	f.beat()
	f.World.Advance(30 * time.Second)
	f.paused()
	f.World.Advance(30 * time.Second)
	f.beat()
	f.given(90 * time.Second)
	f.equal("shift", f.get("ann").Shift, f.now()-start)
}

func outagesInARow(f *fixture) {
	f.calm(time.Minute)
	start := f.now()
	for range 5 {
		f.World.Advance(time.Minute)
		f.beat()
		f.World.Advance(session.Stale) // the sweep is late, the hook is about to be
		f.sweep()
		f.World.Advance(time.Second)
		f.paused()
	}
	if shift, passed := f.get("ann").Shift, f.now()-start; shift > passed {
		f.Errorf("%d ms were given within %d ms", shift, passed)
	}
}

func amnestyCap(f *fixture) {
	f.calm(time.Minute)
	f.World.Advance(session.AmnestyMax + time.Hour)
	f.beat()
	f.given(session.AmnestyMax)
	f.given(0)
}

func shownDeadline(f *fixture) {
	f.sweep()
	f.disconnected("ann", f.connect("ann"), "tcp_closed")
	before := f.get("ann")
	f.World.Advance(time.Hour)
	f.sweep()
	after := f.get("ann")
	f.equal("moved by", after.Deadline-before.Deadline, time.Hour.Milliseconds())
	f.equal("shift", after.Shift, time.Hour.Milliseconds())
	f.equal("version", after.V, before.V)
	_ = f.events()
	f.disconnected("bob", f.connect("bob"), "tcp_closed")
	f.equal("shown to bob", f.get("bob").Deadline, f.now()+f.settings.GraceIdle.Milliseconds())
	for _, e := range f.events() {
		if e.Type == "session.grace" {
			f.equal("told to bob", e.Fields["deadline"], number(f.get("bob").Deadline))
		}
	}
}

func hourWithoutHook(f *fixture) {
	f = f.with(func(s *session.Settings) { s.OnlineLease = 3 * time.Minute })
	f.beat()
	f.sweep()
	f.call("detached")
	f.connect("online")
	f.connect("online")
	f.disconnected("away", f.connect("away"), "normal")
	players := []string{"detached", "online", "away"}
	for range 60 {
		f.World.Advance(time.Minute)
		for _, pass := range f.sweep() {
			for _, r := range must[[]session.Result](f)(f.Store.Due(f.Context(), append(pass.Members, players...))) {
				if r.Outcome != session.Early && r.Outcome != session.Paused {
					f.Fatalf("during the outage: %+v", r)
				}
			}
		}
	}
	f.beat()
	f.sweep()
	for _, p := range players {
		f.outcome(f.due(p), session.Early)
	}
	f.equal("open", len(f.get("online").Connections), 2)
	f.calm(f.settings.GraceNormal)
	f.outcome(f.due("away"), session.Expired)
}

func otherBeats(f *fixture) {
	if err := f.Store.Beat(f.Context(), "cook"); err != nil {
		f.Fatalf("beat: %v", err)
	}
	f.sweep()
	f.World.Advance(session.Stale)
	f.given(0)
	f.World.Advance(time.Millisecond)
	f.given(0)
}

func shardsAreSeparate(f *fixture) {
	f.sweep()
	f.World.Advance(time.Hour)
	n := f.Shards.Of("ann")
	passes := must[[]session.Due](f)(f.Store.Sweep(f.Context(), []int{n}))
	f.equal("passes", []any{len(passes), passes[0].Shard, passes[0].GivenMS}, []any{1, n, time.Hour.Milliseconds()})
	for _, pass := range f.sweep() {
		want := time.Hour.Milliseconds()
		if pass.Shard == n {
			want = 0
		}
		f.equal("given", pass.GivenMS, want)
	}
}
