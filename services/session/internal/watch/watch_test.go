package watch

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-games/holdfast/pkg/outbox"
	"github.com/holdfast-games/holdfast/pkg/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

func woken(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}

func TestWakeReachesWhoWaitsForThePlayer(t *testing.T) {
	c := New(nil)
	one, endOne := c.Subscribe("a")
	two, endTwo := c.Subscribe("a")
	other, endOther := c.Subscribe("b")
	if got := c.Waiting(); got != 3 {
		t.Errorf("waiting: %d, want 3", got)
	}
	c.Wake("a")
	if !woken(one) || !woken(two) || woken(other) {
		t.Error("want both who wait for a, and nobody else")
	}
	endOne()
	c.Wake("a")
	if woken(one) || !woken(two) {
		t.Error("want the one whose subscription goes on")
	}
	c.Wake("nobody")
	endTwo()
	endOther()
	if len(c.waiting) != 0 || c.Waiting() != 0 {
		t.Errorf("waiting: %d, left in the map: %v", c.Waiting(), c.waiting)
	}
}

// Whoever is slow finds one signal, and nobody waits for the slow.
func TestWakesAreNotQueued(t *testing.T) {
	c := New(nil)
	slow, end := c.Subscribe("a")
	defer end()
	for range 10 {
		c.Wake("a")
	}
	if !woken(slow) || woken(slow) {
		t.Error("want exactly one signal for what has not been looked at")
	}
	c.Wake("a")
	if !woken(slow) {
		t.Error("a change after the look was lost")
	}
}

func TestEndingASubscriptionTwice(t *testing.T) {
	c := New(nil)
	_, end := c.Subscribe("a")
	end()
	other, endOther := c.Subscribe("a")
	end()
	c.Wake("a")
	if !woken(other) {
		t.Error("the second end took somebody else's subscription")
	}
	endOther()
	if len(c.waiting) != 0 {
		t.Errorf("left in the map: %v", c.waiting)
	}
}

func TestRunWakesByTheOutbox(t *testing.T) {
	broken := errors.New("broken")
	c := New(func(_ context.Context, seen func(outbox.Event)) error {
		seen(outbox.Event{Player: "a", Type: "session.grace"})
		return broken
	})
	a, endA := c.Subscribe("a")
	defer endA()
	b, endB := c.Subscribe("b")
	defer endB()
	if err := c.Run(t.Context()); !errors.Is(err, broken) {
		t.Errorf("run: %v", err)
	}
	if !woken(a) || woken(b) {
		t.Error("want a woken, and b not")
	}
}

func TestCrowd(t *testing.T) {
	const players, waiters, rounds = 4, 8, 20
	c := New(nil)
	stop := make(chan struct{})
	var waking, waiting sync.WaitGroup
	for p := range players {
		waking.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					c.Wake(strconv.Itoa(p))
				}
			}
		})
		for range waiters {
			waiting.Go(func() {
				for range rounds {
					ch, end := c.Subscribe(strconv.Itoa(p))
					select {
					case <-ch:
					case <-time.After(20 * time.Second):
						t.Error("not woken")
					}
					end()
				}
			})
		}
	}
	waiting.Wait()
	close(stop)
	waking.Wait()
	if len(c.waiting) != 0 {
		t.Errorf("left in the map: %v", c.waiting)
	}
}
