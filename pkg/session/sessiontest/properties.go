package sessiontest

import (
	"fmt"
	"strings"

	"github.com/holdfast-games/holdfast/pkg/session"
)

// A Property is something that holds in every history, whatever the store.
type Property struct {
	Name     string
	Violated func(Trace) string // where and how, or ""
}

// Properties returns what must hold in every history.
func Properties() []Property {
	return []Property{
		{"nobody expires with an open connection, or without a grace", expiresOnlyAfterGrace},
		{"nobody comes back after a revocation", nobodyReturns},
		{"each life has one end, with its consequences once", oneEndForEachLife},
		{"presence is connected if and only if something is open or a handover is pending", presenceIsOpenness},
		{"the version of a life grows, and prev is the one before", versionsGrow},
		{"an epoch is newer than all before it", epochsAreNewer},
		{"no more is given back than time has passed", amnestyIsBounded},
		{"a player is in no more places than allowed", placesAreBounded},
		{"a player without a session has no deadline and nothing open", nothingLeftBehind},
	}
}

// each calls check for every moment but those at which data was lost, after
// which a trace starts anew.
func each(t Trace, check func(i int, m Moment) string, lost func()) string {
	for i, m := range t.Moments {
		if m.Step.Op == opWipe && m.Step.Variant == 0 {
			lost()
			continue
		}
		if wrong := check(i, m); wrong != "" {
			return fmt.Sprintf("step %d: %s\n%s", i, wrong, m)
		}
	}
	return ""
}

func expiresOnlyAfterGrace(t Trace) string {
	before := map[string]session.Record{}
	return each(t, func(_ int, m Moment) string {
		for _, r := range m.Results {
			was := before[r.Record.Player]
			if r.Outcome != session.Expired {
				continue
			}
			if was.SID != r.Record.SID || was.Presence == session.Connected || len(was.Connections) > 0 {
				return fmt.Sprintf("expired from %s with %d open connections", was.Presence, len(was.Connections))
			}
			if was.Deadline-was.Shift > r.Record.Now-r.Record.Shift {
				return fmt.Sprintf("expired %d ms early", was.Deadline-r.Record.Now)
			}
		}
		for _, r := range m.After {
			before[r.Player] = r
		}
		return ""
	}, func() { clear(before) })
}

// nobodyReturns looks at what the events say was revoked, and who is there.
func nobodyReturns(t Trace) string {
	fence, at := map[string]int64{}, map[string]int64{}
	ttl := t.Settings.RevokedTTL().Milliseconds()
	return each(t, func(_ int, m Moment) string {
		for _, e := range m.Events {
			if e.Type == "session.ended" {
				fence[e.Player], at[e.Player] = parsed(e.Fields["before"]), m.At
			}
		}
		for _, r := range m.After {
			if m.At > at[r.Player]+ttl {
				continue
			}
			for _, c := range r.Connections {
				if c.ID.Epoch() <= fence[r.Player] {
					return fmt.Sprintf("%s is open, and everything up to %d was ended", c.ID, fence[r.Player])
				}
			}
			if r.SID != "" && r.Epoch != 0 && r.Epoch <= fence[r.Player] {
				return fmt.Sprintf("epoch %d was handed out, and everything up to %d was ended", r.Epoch, fence[r.Player])
			}
		}
		return ""
	}, func() { clear(fence) })
}

func oneEndForEachLife(t Trace) string {
	made, over := map[string]int{}, map[string]int{}
	alive, lost := map[string]string{}, map[string]bool{}
	return each(t, func(_ int, m Moment) string {
		for _, e := range m.Events {
			switch e.Type {
			case "session.created":
				made[e.SID]++
			case "session.expired", "session.ended":
				over[e.SID]++
			}
			if e.SID != "" && (made[e.SID] != 1 || over[e.SID] > 1) {
				return fmt.Sprintf("life %s was made %d times and is over %d times", e.SID, made[e.SID], over[e.SID])
			}
		}
		for _, r := range m.After {
			if m.Step.Op == opLose && alive[r.Player] != r.SID {
				lost[alive[r.Player]] = true
			}
			if was := alive[r.Player]; was != "" && was != r.SID && over[was] != 1 && !lost[was] {
				return fmt.Sprintf("life %s is gone and nobody was told", was)
			}
			if r.SID != "" && over[r.SID] > 0 {
				return fmt.Sprintf("life %s is over and still there", r.SID)
			}
			alive[r.Player] = r.SID
		}
		return ""
	}, func() { clear(alive) })
}

func presenceIsOpenness(t Trace) string {
	due, open := map[string]int64{}, map[string]int{} // shifted; how many
	return each(t, func(_ int, m Moment) string {
		for _, r := range m.After {
			connected, moved := r.Presence == session.Connected, r.Deadline-r.Shift != due[r.Player]
			moved = moved || open[r.Player] > 0
			due[r.Player], open[r.Player] = r.Deadline-r.Shift, len(r.Connections)
			if len(r.Connections) > 0 && !connected {
				return fmt.Sprintf("%s is %q with %d open connections", r.Player, r.Presence, len(r.Connections))
			}
			wait := r.Deadline - r.Now
			if connected && len(r.Connections) == 0 && moved && wait > t.Settings.Handover.Milliseconds() {
				return fmt.Sprintf("%s is connected with nothing open for another %d ms", r.Player, wait)
			}
		}
		return ""
	}, func() { clear(due) })
}

func versionsGrow(t Trace) string {
	last, current := map[string]int64{}, map[string]int64{}
	return each(t, func(_ int, m Moment) string {
		for _, e := range m.Events {
			if e.SID == "" {
				continue
			}
			v := last[e.SID]
			if e.V < v || e.V > v && e.Prev != v || e.V < m.At && e.V > v {
				return fmt.Sprintf("%s has version %d after %d, the last one was %d", e.Type, e.V, e.Prev, v)
			}
			last[e.SID] = e.V
		}
		for _, r := range m.After {
			if r.SID == "" {
				continue
			}
			if r.V != last[r.SID] {
				return fmt.Sprintf("%s has version %d, and events told of %d", r.Player, r.V, last[r.SID])
			}
			if r.V < current[r.Player] {
				return fmt.Sprintf("%s has version %d after %d", r.Player, r.V, current[r.Player])
			}
			current[r.Player] = r.V
		}
		return ""
	}, func() {})
}

func epochsAreNewer(t Trace) string {
	last := map[string]int64{}
	return each(t, func(_ int, m Moment) string {
		if m.Step.Op != opBegin || len(m.Results) == 0 {
			return ""
		}
		r := m.Results[0].Record
		if r.Epoch < m.At || r.Epoch <= last[r.SID] {
			return fmt.Sprintf("epoch %d after %d", r.Epoch, last[r.SID])
		}
		last[r.SID] = r.Epoch
		return ""
	}, func() {})
}

func amnestyIsBounded(t Trace) string {
	start := storyStart().UnixMilli()
	return each(t, func(_ int, m Moment) string {
		for _, r := range m.After {
			if r.Shift > m.At-start {
				return fmt.Sprintf("%d ms were given within %d ms", r.Shift, m.At-start)
			}
		}
		return ""
	}, func() {})
}

func placesAreBounded(t Trace) string {
	return each(t, func(_ int, m Moment) string {
		for _, r := range m.After {
			if len(r.Connections) > session.MaxConnections || len(r.Held(session.Match)) > 1 || len(r.Held(session.Lobby)) > 1 {
				return fmt.Sprintf("%+v", r)
			}
		}
		return ""
	}, func() {})
}

// nothingLeftBehind holds at the end of a story.
func nothingLeftBehind(t Trace) string {
	if len(t.Moments) == 0 || len(t.Moments[len(t.Moments)-1].After) == 0 {
		return ""
	}
	there := map[string]session.Record{}
	for _, r := range t.Moments[len(t.Moments)-1].After {
		there[r.Player] = r
	}
	for _, member := range t.Open {
		if player, _, _ := strings.Cut(member, "/"); there[player].SID == "" {
			return member + " is open without a session"
		}
	}
	for player, r := range there {
		at, ok := t.Deadlines[player]
		if r.SID != "" && (!ok || at+r.Shift != r.Deadline) {
			return fmt.Sprintf("%s is due at %d, and listed for %d", player, r.Deadline, at+r.Shift)
		}
	}
	return ""
}

func parsed(s string) int64 {
	var n int64
	_, _ = fmt.Sscan(s, &n)
	return n
}
