package outbox

import (
	"context"
	_ "embed"
	"errors"
	"strings"
	"sync"

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
			r.forget([]int{n})
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
		g.Go(func() error {
			ids, err := r.handleInOrder(ctx, byPlayer[p])
			mu.Lock()
			defer mu.Unlock()
			done = append(done, ids...)
			return err
		})
	}
	err := g.Wait()
	if len(done) > 0 {
		if ackErr := r.client.XAck(ctx, Key(n), r.group, done...).Err(); ackErr != nil {
			return ackErr
		}
	}
	return err
}

func (r *Reader) handleInOrder(ctx context.Context, events []Event) (done []string, err error) {
	for _, e := range events {
		err := r.handle(ctx, e)
		if errors.Is(err, ErrDrop) {
			r.log.Warn("event dropped", "type", e.Type, "player", e.Player, "id", e.ID, "error", err)
			err = nil
		}
		if err != nil {
			return done, err
		}
		done = append(done, e.ID)
	}
	return done, nil
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
