package sessiontest

import (
	"fmt"
	"slices"
	"time"

	"github.com/holdfast-games/holdfast/pkg/session"
)

func connectionPromises() []promise {
	return []promise{
		{"a connected event opens its connection", opens},
		{"a connected event heals an absent session", connectedHeals},
		{"a repeated connected event changes nothing", connectedRepeats},
		{"a connection with a tombstone does not open", tombstoneWins},
		{"tombstones survive the record and a new life", tombstoneOutlivesRecord},
		{"a tombstone lives ten minutes", tombstoneLapses},
		{"the newest 256 tombstones are kept", tombstonesAreBounded},
		{"a repeated disconnected event changes nothing", disconnectedRepeats},
		{"the end of one connection ends no other", closesOnlyItsOwn},
		{"a lost connection leaves no tombstone", lostMayComeBack},
		{"losing one of two connections keeps the player connected", losesOneOfTwo},
		{"at most eight connections are open, the oldest goes", atMostEight},
		{"a connection without an epoch is refused", malformedIsRefused},
	}
}

func opens(f *fixture) {
	id := f.dial("ann")
	before := f.get("ann")
	_ = f.events()
	f.World.Advance(time.Second)
	r := f.outcome(f.connected("ann", id), session.Opened)
	lease := f.now() + f.settings.OnlineLease.Milliseconds()
	f.equal("connections", r.Connections, []session.Connection{{ID: id, Lease: lease, Full: true, Node: "emqx@a"}})
	f.equal("presence", []any{r.Presence, r.Since, r.Reason, r.Deadline}, []any{session.Connected, f.now(), "", lease})
	f.equal("version", []int64{r.V, r.Prev}, []int64{f.now(), before.V})
	e := f.lastEvent("session.connected")
	f.equal("event", []any{e.Player, e.SID, e.V, e.Prev, e.At}, []any{"ann", r.SID, r.V, r.Prev, f.now()})
	f.equal("fields", e.Fields, map[string]string{"resumed": "0"})
	f.equal("open", f.Open(f), []string{"ann/" + string(id)})
	f.equal("deadline", f.Deadlines(f), map[string]int64{"ann": lease})
}

func connectedHeals(f *fixture) {
	id := session.NewConnectionID(f.now()-5000, f.now()-4000, "10.0.0.1:7")
	r := f.outcome(f.connected("ann", id), session.Opened)
	f.equal("record", []any{r.Presence, r.Healed, r.Epoch, r.Seen, r.Name}, []any{session.Connected, true, id.Epoch(), int64(0), "ann"})
	f.equal("events", f.eventTypes(), []string{"session.created", "session.connected"})
}

func connectedRepeats(f *fixture) {
	id := f.connect("ann")
	_ = f.events()
	f.World.Advance(time.Minute)
	before := f.get("ann")
	f.equal("record", f.outcome(f.connected("ann", id), session.Repeat), before)
	f.equal("events", f.eventTypes(), []string{})
}

func tombstoneWins(f *fixture) {
	first, late := f.connect("ann"), f.dial("ann")
	f.outcome(f.disconnected("ann", late, "normal"), session.StillOpen)
	_ = f.events()
	before := f.get("ann")
	f.equal("record", f.outcome(f.connected("ann", late), session.Closed), before)
	f.equal("open", f.Open(f), []string{"ann/" + string(first)})
	f.equal("events", f.eventTypes(), []string{})
}

func tombstoneOutlivesRecord(f *fixture) {
	id := session.NewConnectionID(f.now(), f.now(), "10.0.0.1:7")
	f.outcome(f.disconnected("ann", id, "normal"), session.Noted)
	f.outcome(f.connected("ann", id), session.Closed)
	f.equal("no session was made", f.get("ann").SID, "")
	f.call("ann")
	f.outcome(f.connected("ann", id), session.Closed)

	other := f.connect("bob")
	f.disconnected("bob", other, "tcp_closed")
	f.calm(f.settings.GraceIdle)
	f.outcome(f.due("bob"), session.Expired)
	f.outcome(f.connected("bob", other), session.Closed)
	f.call("bob")
	f.outcome(f.connected("bob", other), session.Closed)
}

func tombstoneLapses(f *fixture) {
	id := session.NewConnectionID(f.now(), f.now(), "10.0.0.1:7")
	f.disconnected("ann", id, "normal")
	f.World.Advance(time.Minute)
	f.outcome(f.disconnected("ann", id, "normal"), session.Noted) // renews it
	f.World.Advance(session.TombstoneTTL - time.Millisecond)
	f.outcome(f.connected("ann", id), session.Closed)
	f.World.Advance(time.Millisecond)
	f.outcome(f.connected("ann", id), session.Opened)
}

func tombstonesAreBounded(f *fixture) {
	var all []session.ConnectionID
	for i := range session.MaxTombstones + 2 {
		f.World.Advance(time.Millisecond)
		id := session.NewConnectionID(f.now(), f.now(), fmt.Sprintf("10.0.0.1:%d", i))
		f.disconnected("ann", id, "normal")
		all = append(all, id)
	}
	f.outcome(f.connected("ann", all[2]), session.Closed)
	f.outcome(f.connected("ann", all[len(all)-1]), session.Closed)
	f.outcome(f.connected("ann", all[1]), session.Opened)
}

func disconnectedRepeats(f *fixture) {
	id := f.connect("ann")
	f.outcome(f.disconnected("ann", id, "tcp_closed"), session.InGrace)
	before := f.get("ann")
	_ = f.events()
	f.World.Advance(time.Minute)
	before.Now = f.now()
	for _, reason := range []string{"tcp_closed", "normal", "takenover"} {
		f.equal("record", f.outcome(f.disconnected("ann", id, reason), session.Repeat), before)
	}
	second := f.connect("ann")
	_ = f.events()
	before = f.get("ann")
	f.equal("record of who is back", f.outcome(f.disconnected("ann", id, "tcp_closed"), session.Repeat), before)
	f.equal("open", ids(before.Connections), []session.ConnectionID{second})
	f.equal("events", f.eventTypes(), []string{})
}

func closesOnlyItsOwn(f *fixture) {
	first, second := f.connect("ann"), f.connect("ann")
	_ = f.events()
	version := f.get("ann").V
	r := f.outcome(f.disconnected("ann", first, "tcp_closed"), session.StillOpen)
	f.equal("open", ids(r.Connections), []session.ConnectionID{second})
	f.equal("presence", []any{r.Presence, r.V}, []any{session.Connected, version})
	unknown := session.NewConnectionID(f.now()-9999, 1, "10.0.0.9:9")
	r = f.outcome(f.disconnected("ann", unknown, "tcp_closed"), session.StillOpen)
	f.equal("open", ids(r.Connections), []session.ConnectionID{second})
	f.equal("events", f.eventTypes(), []string{})
}

func lostMayComeBack(f *fixture) {
	id := f.connect("ann")
	f.outcome(f.lost("ann", "7/7/10.0.0.9:9"), session.None)
	f.outcome(f.lost("bob", id), session.None)
	_ = f.events()
	r := f.outcome(f.lost("ann", id), session.InGrace)
	f.equal("why", []any{r.Presence, r.Reason}, []any{session.Grace, "lost"})
	f.equal("event", f.lastEvent("session.grace").Fields["reason"], "lost")
	f.equal("open", len(f.Open(f)), 0)
	f.outcome(f.lost("ann", id), session.None)
	f.outcome(f.connected("ann", id), session.Opened)
	f.equal("event", f.lastEvent("session.connected").Fields["resumed"], "1")
}

func losesOneOfTwo(f *fixture) {
	first, second := f.connect("ann"), f.connect("ann")
	short := f.get("ann").Connections[0]
	_ = f.events()
	r := f.outcome(f.lost("ann", second), session.StillOpen)
	f.equal("left", r.Connections, []session.Connection{short})
	f.equal("deadline", r.Deadline, short.Lease)
	f.equal("which", short.ID, first)
	f.equal("events", f.eventTypes(), []string{})
}

func atMostEight(f *fixture) {
	var all []session.ConnectionID
	for range session.MaxConnections + 2 {
		all = append(all, f.connect("ann"))
	}
	kept := all[2:]
	f.equal("open", ids(f.get("ann").Connections), kept)
	members := []string{}
	for _, id := range kept {
		members = append(members, "ann/"+string(id))
	}
	slices.Sort(members)
	f.equal("open of the shard", f.Open(f), members)
	f.outcome(f.disconnected("ann", all[0], "takenover"), session.StillOpen)
}

func malformedIsRefused(f *fixture) {
	f.call("ann")
	_ = f.events()
	for _, id := range []session.ConnectionID{"", "x", "/1/10.0.0.1:7", "-5/1/10.0.0.1:7", "0/1/10.0.0.1:7"} {
		f.outcome(f.connected("ann", id), session.Refused)
		f.equal("told to the broker", f.lastEvent("broker.kick").Fields["connection"], string(id))
	}
	f.connect("ann")
	f.outcome(f.disconnected("ann", "x", "normal"), session.Noted)
}
