package sessiontest

import (
	"time"

	"github.com/holdfast-games/holdfast/pkg/session"
)

func callPromises() []promise {
	return []promise{
		{"who calls over HTTP is alive", callsKeepAlive},
		{"a call does not shorten a deadline", callsDoNotShorten},
		{"a call moves nothing of who is connected", callsOfConnected},
		{"in a match calls help for twice the grace at most", callsInMatch},
		{"our downtime does not count against the calls in a match", callsInMatchAfterOutage},
		{"reachUntil moves three times within the reach of a call", seenThrottle},
		{"only who waits without a connection is told as seen", seenOnlyWhereNeeded},
	}
}

func callsKeepAlive(f *fixture) {
	for range 20 {
		f.calm(f.settings.HTTPLease - time.Millisecond)
		r := f.call("ann")
		f.equal("life", r.SID, "life-1")
		f.outcome(f.due("ann"), session.Early)
	}
	f.calm(f.settings.HTTPLease)
	f.outcome(f.due("ann"), session.Expired)
}

func callsDoNotShorten(f *fixture) {
	made := f.call("ann")
	f.World.Advance(time.Second)
	f.equal("detached", f.call("ann").Deadline, made.Deadline)
	f.disconnected("ann", f.connect("ann"), "tcp_closed")
	inGrace := f.get("ann")
	f.World.Advance(time.Second)
	f.equal("in grace", f.call("ann").Deadline, inGrace.Deadline)
	f.World.Advance(f.settings.GraceIdle - f.settings.HTTPLease)
	f.equal("late in grace", f.call("ann").Deadline, f.now()+f.settings.HTTPLease.Milliseconds())
}

func callsOfConnected(f *fixture) {
	f.connect("ann")
	before := f.get("ann")
	f.World.Advance(23 * time.Hour)
	after := f.call("ann")
	f.equal("deadline", after.Deadline, before.Deadline)
	f.equal("seen", after.Seen, f.now())
}

func callsInMatch(f *fixture) {
	id := f.connect("ann")
	f.hold("ann", session.Match, "", "m1")
	f.disconnected("ann", id, "tcp_closed")
	since := f.now()
	for range 5 {
		f.calm(f.settings.HTTPLease - 15*time.Second)
		f.call("ann")
	}
	f.equal("deadline", f.get("ann").Deadline, since+2*f.settings.GraceMatch.Milliseconds())
	f.calm(15 * time.Second)
	f.call("ann")
	f.outcome(f.due("ann"), session.Expired)

	f.hold("bob", session.Match, "", "m2") // never connected: no grace, and no limit
	for range 20 {
		f.calm(f.settings.HTTPLease - time.Second)
		f.call("bob")
	}
	f.outcome(f.due("bob"), session.Early)
}

func callsInMatchAfterOutage(f *fixture) {
	f.sweep()
	id := f.connect("ann")
	f.hold("ann", session.Match, "", "m1")
	f.disconnected("ann", id, "tcp_closed")
	since := f.now()
	f.World.Advance(time.Hour)
	f.equal("given", f.sweepFor("ann").GivenMS, time.Hour.Milliseconds())
	for range 5 {
		f.calm(f.settings.HTTPLease - 15*time.Second)
		f.call("ann")
	}
	f.equal("deadline", f.get("ann").Deadline, since+(time.Hour+2*f.settings.GraceMatch).Milliseconds())
}

func seenThrottle(f *fixture) {
	f.hold("ann", session.Ticket, "ranked", "t1")
	f.hold("ann", session.Ticket, "casual", "t2")
	_ = f.events()
	third := f.settings.HTTPReach / 3
	f.World.Advance(third)
	f.call("ann")
	f.call("ann")
	e := f.lastEvent("session.seen")
	f.equal("fields", e.Fields, map[string]string{
		"until": number(f.now() + f.settings.HTTPReach.Milliseconds()), "ticket:ranked": "t1", "ticket:casual": "t2",
	})
	f.equal("remembered", f.get("ann").Reach, f.now())
	f.World.Advance(third - time.Millisecond)
	f.call("ann")
	f.equal("too early", f.eventTypes(), []string{})
	f.World.Advance(time.Millisecond)
	f.call("ann")
	f.equal("due again", f.lastEvent("session.seen").At, f.now())
}

func seenOnlyWhereNeeded(f *fixture) {
	f.call("ann")
	f.World.Advance(time.Minute)
	f.call("ann")
	f.equal("without a ticket", f.eventTypes(), []string{"session.created"})

	f.hold("ann", session.Ticket, "ranked", "t1")
	id := f.connect("ann")
	_ = f.events()
	f.World.Advance(time.Minute)
	f.call("ann")
	f.equal("while connected", f.eventTypes(), []string{})

	f.disconnected("ann", id, "tcp_closed")
	f.call("ann")
	f.equal("in the ms of the drop", f.eventTypes(), []string{"session.grace"})
	f.World.Advance(time.Millisecond)
	f.call("ann")
	f.equal("after the drop", f.eventTypes(), []string{"session.seen"})
}
