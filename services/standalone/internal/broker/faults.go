package broker

import (
	"math/rand/v2"
	"sync"
	"time"
)

// Faults make the broker misbehave in ways that real ones do. Everything is off at first, and may be switched at
// run time. Probabilities are 0 to 1.
type Faults struct {
	mu       sync.Mutex
	random   *rand.Rand
	drop     float64
	twice    float64
	reorder  float64
	throttle float64
	window   time.Duration
	min, max time.Duration
}

func newFaults() *Faults {
	return &Faults{random: rand.New(rand.NewPCG(1, 1))}
}

// Seed restarts the dice, so that a run can be repeated.
func (f *Faults) Seed(seed uint64) {
	f.set(func() { f.random = rand.New(rand.NewPCG(seed, seed)) })
}

// Drop loses each event with probability p.
func (f *Faults) Drop(p float64) { f.set(func() { f.drop = p }) }

// Duplicate sends each event a second time with probability p.
func (f *Faults) Duplicate(p float64) { f.set(func() { f.twice = p }) }

// Delay holds each event back for a random time from shortest to longest; Delay(0, 0) ends that.
func (f *Faults) Delay(shortest, longest time.Duration) {
	f.set(func() { f.min, f.max = shortest, max(shortest, longest) })
}

// Reorder holds an event back with probability p until the next event of the same client has been delivered, at
// most for window.
func (f *Faults) Reorder(p float64, window time.Duration) {
	f.set(func() { f.reorder, f.window = p, window })
}

// Throttle refuses each authenticated CONNECT with probability p as EMQX does when it cannot get hold of the client
// id: "server busy", no events.
func (f *Faults) Throttle(p float64) { f.set(func() { f.throttle = p }) }

// Reset switches every fault off; the dice stay where they are.
func (f *Faults) Reset() {
	f.set(func() {
		f.drop, f.twice, f.reorder, f.throttle = 0, 0, 0, 0
		f.window, f.min, f.max = 0, 0, 0
	})
}

func (f *Faults) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

// fate is what the dice decided for one event.
type fate struct {
	drop  bool
	twice bool
	delay time.Duration
	hold  time.Duration // > 0: wait for the client's next event, at most so long
}

func (f *Faults) roll() fate {
	f.mu.Lock()
	defer f.mu.Unlock()
	r := fate{drop: f.chance(f.drop), twice: f.chance(f.twice), delay: f.min}
	if f.max > f.min {
		r.delay += time.Duration(f.random.Int64N(int64(f.max - f.min)))
	}
	if f.chance(f.reorder) {
		r.hold = f.window
	}
	return r
}

func (f *Faults) throttled() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.chance(f.throttle)
}

func (f *Faults) chance(p float64) bool { return p > 0 && f.random.Float64() < p }

// Vanish is the crash and restart of the node: every connection is cut and nothing is told, no event, no will;
// queued events, sessions and pending wills are gone. Retained messages stay, the listeners keep listening.
func (b *Broker) Vanish() {
	b.gate.Lock()
	defer b.gate.Unlock()
	for _, c := range b.connectionsNow() {
		c.silence()
	}
	for _, c := range b.clients.all() {
		c.waitGone(takeoverPatience)
		b.destroySession(c)
	}
	if b.sender != nil {
		b.sender.forget()
	}
}

// KillConnection cuts the client's network connection without a DISCONNECT, as a lost network does. It reports
// whether there was one.
func (b *Broker) KillConnection(clientID string) bool {
	c := b.clients.get(clientID)
	if c == nil || !c.isLive() {
		return false
	}
	_ = c.Conn.Close()
	return true
}
