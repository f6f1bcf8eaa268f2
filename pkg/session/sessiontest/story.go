package sessiontest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-games/holdfast/pkg/session"
)

// An Op is one of the things that can happen in a story.
type Op string

// The ops.
const (
	opEnsure     Op = "ensure"
	opBegin      Op = "begin"
	opConnected  Op = "connected"
	opClosed     Op = "disconnected"
	opLost       Op = "lost"
	opDue        Op = "due"
	opTend       Op = "tend" // beat, sweep, and due for whom the sweep names
	opSweep      Op = "sweep"
	opBeat       Op = "beat"
	opReconciled Op = "reconciled"
	opReserve    Op = "reserve"
	opMatch      Op = "reserve-match"
	opConfirm    Op = "confirm"
	opNote       Op = "note"
	opRelease    Op = "release"
	opRepeat     Op = "repeat"
	opEnd        Op = "end"
	opAnnounce   Op = "announce"
	opGet        Op = "get"
	opWipe       Op = "wipe"
	opLose       Op = "lose"
)

// likely is how often each op is told.
func likely() []Op {
	weights := []struct {
		op     Op
		weight int
	}{
		{opConnected, 14},
		{opClosed, 12},
		{opBegin, 9},
		{opEnsure, 8},
		{opTend, 10},
		{opDue, 7},
		{opSweep, 3},
		{opBeat, 2},
		{opReconciled, 5},
		{opLost, 4},
		{opReserve, 10},
		{opConfirm, 9},
		{opMatch, 7},
		{opNote, 6},
		{opRelease, 4},
		{opRepeat, 2},
		{opEnd, 5},
		{opAnnounce, 1},
		{opGet, 1},
		{opWipe, 1},
		{opLose, 1},
	}
	var all []Op
	for _, w := range weights {
		for range w.weight {
			all = append(all, w.op)
		}
	}
	return all
}

// waits are how long it is until the next step: mostly no time at all.
func waits() []time.Duration {
	return []time.Duration{
		0, 0, 0, 0, 0, 0, 0, 0, 0, 0, time.Millisecond, time.Millisecond, time.Millisecond, 2 * time.Millisecond,
		500 * time.Millisecond, time.Second, time.Second, 1500 * time.Millisecond, 2 * time.Second, 3 * time.Second,
		3 * time.Second, 4 * time.Second, 5 * time.Second, 6 * time.Second, 8 * time.Second, 9 * time.Second,
		session.ReserveTTL, session.Stale, session.Stale + time.Millisecond, 12 * time.Second, 65 * time.Second, 11 * time.Minute,
	}
}

// Numbers of what a story is about.
const (
	players     = 3
	connections = 4 // of a player
	variants    = 8
)

// A Step is one event of a story, in numbers: what they mean depends on what
// has happened, and so is the same for every store that answers alike.
type Step struct {
	Wait    time.Duration // before it
	Op      Op
	Player  int
	N       int // which connection, queue or match
	Variant int // which kind of claims, facts, reason, reference
}

func (s Step) String() string {
	return fmt.Sprintf("+%v %s p%d n%d v%d", s.Wait, s.Op, s.Player, s.N, s.Variant)
}

// A Story is a history before it has been played.
type Story struct {
	Reconciling bool // by which settings
	Steps       []Step
}

// tell makes up the story of a seed.
func tell(seed uint64) Story {
	random := rand.New(rand.NewPCG(seed, 0)) // repeatable on purpose
	ops, waits := likely(), waits()
	story := Story{Reconciling: random.IntN(2) == 1, Steps: make([]Step, 10+random.IntN(70))}
	for i := range story.Steps {
		story.Steps[i] = Step{
			Wait: waits[random.IntN(len(waits))], Op: ops[random.IntN(len(ops))], Player: random.IntN(players),
			N: random.IntN(connections), Variant: random.IntN(variants),
		}
	}
	return story
}

// shorten leaves out what is not needed for the story to go wrong: halves,
// quarters, and at last single steps.
func shorten(story Story, wrong func(Story) bool) Story {
	for size := len(story.Steps) / 2; size > 0; size /= 2 {
		for from := 0; from+size <= len(story.Steps); {
			shorter := Story{Reconciling: story.Reconciling, Steps: slices.Concat(story.Steps[:from], story.Steps[from+size:])}
			if wrong(shorter) {
				story = shorter
			} else {
				from += size
			}
		}
	}
	return story
}

// String shows the story step by step.
func (s Story) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "reconciling: %t\n", s.Reconciling)
	for i, step := range s.Steps {
		fmt.Fprintf(&b, "%3d %s\n", i, step)
	}
	return b.String()
}

// storySettings are short, so that a story sees many deadlines without a gap
// that would be given back.
func storySettings(reconciling bool) session.Settings {
	s := session.Settings{
		GraceIdle: 8 * time.Second, GraceLobby: 7 * time.Second, GraceQueue: 5 * time.Second, GraceMatch: 6 * time.Second,
		GraceNormal: 3 * time.Second, DetachedTTL: 9 * time.Second, HTTPLease: 4 * time.Second, HTTPReach: 4 * time.Second,
		OnlineLease: 15 * time.Second, Handover: 4 * time.Second, AccessTokenTTL: 30 * time.Second,
	}
	if reconciling {
		s.ReconcileInterval = 3 * time.Second
	}
	return s
}
