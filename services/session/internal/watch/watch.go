// Package watch wakes long polls when something about their player happens.
// It is a hint: whoever waits looks for itself now and then, too.
package watch

import (
	"context"
	"sync"

	"github.com/holdfast-games/holdfast/pkg/outbox"
)

// Changes knows who waits for which player.
type Changes struct {
	follow Follow

	mu      sync.Mutex
	waiting map[string]map[chan struct{}]struct{}
}

// Follow calls seen for every event from now on, until ctx ends.
type Follow func(ctx context.Context, seen func(outbox.Event)) error

// New returns a hub that learns of changes by follow.
func New(follow Follow) *Changes {
	return &Changes{follow: follow, waiting: map[string]map[chan struct{}]struct{}{}}
}

// Run follows the outbox until ctx ends.
func (c *Changes) Run(ctx context.Context) error {
	return c.follow(ctx, func(e outbox.Event) { c.Wake(e.Player) })
}

// Wake wakes whoever waits for the player.
func (c *Changes) Wake(player string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for ch := range c.waiting[player] {
		select {
		case ch <- struct{}{}:
		default: // it has been woken and has not looked yet
		}
	}
}

// Subscribe returns a channel that is sent to after each change of the
// player, and a function that ends the subscription.
func (c *Changes) Subscribe(player string) (woken <-chan struct{}, end func()) {
	ch := make(chan struct{}, 1)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.waiting[player] == nil {
		c.waiting[player] = map[chan struct{}]struct{}{}
	}
	c.waiting[player][ch] = struct{}{}
	return ch, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.waiting[player], ch)
		if len(c.waiting[player]) == 0 {
			delete(c.waiting, player)
		}
	}
}

// Waiting returns how many subscriptions there are.
func (c *Changes) Waiting() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := 0
	for _, all := range c.waiting {
		n += len(all)
	}
	return n
}
