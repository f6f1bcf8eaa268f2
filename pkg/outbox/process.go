package outbox

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"

	"github.com/holdfast-games/holdfast/pkg/shard"
)

//go:embed lease.lua
var leaseLua string

// process handles a batch: events of one player in order, different players
// at once. What was handled is acknowledged even when something else failed.
func (r *Reader) process(ctx context.Context, streams []redis.XStream) error {
	var failed error
	for _, s := range streams {
		n, err := shardOf(s.Stream, r.shards)
		if err != nil {
			return err
		}
		if err := r.processShard(ctx, n, s.Messages); err != nil {
			failed = err
		}
	}
	return failed
}

func (r *Reader) processShard(ctx context.Context, n int, messages []redis.XMessage) error {
	var players []string
	byPlayer := map[string][]Event{}
	var done []string
	for _, m := range messages {
		if len(m.Values) == 0 { // trimmed away while it was pending
			done = append(done, m.ID)
			continue
		}
		e, err := parse(n, m)
		if err != nil {
			r.log.Error("malformed event", "error", err)
			done = append(done, m.ID)
			continue
		}
		if byPlayer[e.Player] == nil {
			players = append(players, e.Player)
		}
		byPlayer[e.Player] = append(byPlayer[e.Player], e)
	}
	var mu sync.Mutex
	var g errgroup.Group
	g.SetLimit(r.parallel)
	for _, p := range players {
		if r.isBlocked(n, p) { // its events stay pending, behind the one that failed
			continue
		}
		g.Go(func() error {
			ids, err := r.handleInOrder(ctx, byPlayer[p])
			if err != nil {
				r.block(n, p)
			}
			mu.Lock()
			defer mu.Unlock()
			done = append(done, ids...)
			return err
		})
	}
	err := g.Wait()
	if len(done) > 0 {
		if ackErr := r.client.XAck(ctx, Key(n), r.group, done...).Err(); ackErr != nil {
			r.block(n, "") // what is pending has to be read again
			return ackErr
		}
	}
	return err
}

func (r *Reader) handleInOrder(ctx context.Context, events []Event) (done []string, err error) {
	for _, e := range events {
		err := r.handleOnce(ctx, e)
		switch {
		case errors.Is(err, ErrDrop):
			r.log.Warn("event dropped", "type", e.Type, "player", e.Player, "id", e.ID, "error", err)
		case err != nil && e.age() > giveUpAfter:
			r.log.Error("event given up", "type", e.Type, "player", e.Player, "id", e.ID, "error", err)
		case err != nil:
			return done, fmt.Errorf("event %s %s: %w", e.Type, e.ID, err)
		}
		done = append(done, e.ID)
	}
	return done, nil
}

// giveUpAfter is how long an event that fails is tried again. What it should
// have caused is left to the re-checks of its owner.
const giveUpAfter = 10 * time.Minute

// age is how long ago the event was appended, by the clock of the machine.
func (e Event) age() time.Duration {
	ms, _ := splitID(e.ID)
	return time.Since(time.UnixMilli(ms))
}

// handleOnce also survives a handler that panics.
func (r *Reader) handleOnce(ctx context.Context, e Event) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	return r.handle(ctx, e)
}

// shardOf finds the shard whose outbox a key is.
func shardOf(key string, shards shard.Map) (int, error) {
	tag, _, ok := strings.Cut(strings.TrimPrefix(key, "hf:{"), "}")
	if ok {
		for _, n := range shards.All() {
			if Key(n) == key && tag != "" {
				return n, nil
			}
		}
	}
	return 0, errors.New("not an outbox: " + key)
}
