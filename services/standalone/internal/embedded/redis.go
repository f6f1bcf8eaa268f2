// Package embedded runs the dependencies that a laptop does not have.
package embedded

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/alicebob/miniredis/v2"
)

// Redis is an in-process Redis whose TTLs run by the clock. Its data ends
// with the process.
type Redis struct {
	server *miniredis.Miniredis
	stop   context.CancelFunc
	ticks  sync.WaitGroup
}

const tick = 20 * time.Millisecond

// StartRedis starts one on a free port of the loopback interface.
func StartRedis() (*Redis, error) {
	server := miniredis.NewMiniRedis()
	if err := server.StartAddr("127.0.0.1:0"); err != nil {
		return nil, fmt.Errorf("start the embedded redis: %w", err)
	}
	ctx, stop := context.WithCancel(context.Background())
	r := &Redis{server: server, stop: stop}
	r.ticks.Go(func() { r.run(ctx) })
	return r, nil
}

// run makes TTLs pass: by itself the server's clock for them stands still.
func (r *Redis) run(ctx context.Context) {
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	last := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-ticker.C:
			r.server.FastForward(now.Sub(last))
			last = now
		}
	}
}

// URL is where it listens.
func (r *Redis) URL() string { return "redis://" + r.server.Addr() }

// Close stops it. Closing twice is safe.
func (r *Redis) Close() {
	r.stop()
	r.ticks.Wait()
	r.server.Close()
}
