package outbox

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"

	"github.com/holdfast-games/holdfast/pkg/id"
	"github.com/holdfast-games/holdfast/pkg/rediskit"
	"github.com/holdfast-games/holdfast/pkg/shard"
)

const (
	consumer  = "reader" // one name for all readers of a group
	leaseTTL  = 3 * time.Second
	leaseTick = time.Second
	batchSize = 128
	blockFor  = time.Second
)

// Handler applies one event. An error keeps the event pending: it is handled
// again, before any later event of the same player. Drop ends that.
type Handler func(ctx context.Context, e Event) error

// ErrDrop is for handlers to wrap: it acknowledges the event all the same:
// no retry can mend it.
var ErrDrop = errors.New("dropped")

// Reader reads the outbox of every shard for one group, sharing the shards
// with the readers of other instances.
type Reader struct {
	client   redis.UniversalClient
	shards   shard.Map
	group    string
	handle   Handler
	parallel int
	instance string
	log      *slog.Logger
	pace     pace

	mu      sync.Mutex
	leased  map[int]time.Time       // until when, by the local clock
	fresh   map[int]bool            // leased, and what its last reader left pending is read
	blocked map[int]map[string]bool // players of a shard whose events wait behind one that failed
}

// pace is how long things take. Tests are in a hurry.
type pace struct{ lease, tick, block time.Duration }

// NewReader returns a reader. client should be of its own: reading blocks
// connections. parallel is how many events of different players are handled
// at once.
func NewReader(client redis.UniversalClient, shards shard.Map, group string, parallel int, log *slog.Logger, h Handler) *Reader {
	return &Reader{
		client: client, shards: shards, group: group, handle: h, parallel: parallel, instance: id.New(),
		log: log.With("outbox", group), leased: map[int]time.Time{}, fresh: map[int]bool{},
		blocked: map[int]map[string]bool{},
		pace:    pace{lease: leaseTTL, tick: leaseTick, block: blockFor},
	}
}

// Run reads until ctx ends. It survives every failure of Redis: it waits and
// tries again. At the end it gives its leases back.
func (r *Reader) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return r.leaseLoop(ctx) })
	for _, streams := range r.batches() {
		g.Go(func() error { return r.readLoop(ctx, streams) })
	}
	err := g.Wait()
	r.giveBack()
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// batches splits the shards into what one blocking command may name.
func (r *Reader) batches() [][]int {
	if !rediskit.Clustered(r.client) {
		return [][]int{r.shards.All()}
	}
	var batches [][]int
	for _, n := range r.shards.All() {
		batches = append(batches, []int{n})
	}
	return batches
}

func (r *Reader) leaseLoop(ctx context.Context) error {
	for {
		if err := r.renew(ctx); err != nil && ctx.Err() == nil {
			r.log.Warn("renew leases", "error", err)
		}
		if err := pause(ctx, r.pace.tick/2+rand.N(r.pace.tick)); err != nil {
			return err
		}
	}
}

var renewScript = rediskit.NewScript("outbox.lease", leaseLua)

// renew takes or keeps the lease of every shard it can, in one round trip.
func (r *Reader) renew(ctx context.Context) error {
	calls := make([]rediskit.Call, r.shards.N())
	for n := range calls {
		calls[n] = rediskit.Call{
			Script: renewScript, Keys: []string{readerKey(n, r.group)},
			Args: []any{r.instance, r.pace.lease.Milliseconds()},
		}
	}
	asked := time.Now()
	results := rediskit.RunBatch(ctx, r.client, calls)
	r.mu.Lock()
	defer r.mu.Unlock()
	var failed error
	for n, res := range results {
		if res.Err != nil { // one server of a cluster may be away, the others are not
			failed = res.Err
			continue
		}
		if rediskit.Read("outbox.lease", res.Reply).String() != "held" {
			delete(r.leased, n)
			delete(r.fresh, n)
			continue
		}
		r.leased[n] = asked.Add(r.pace.lease)
	}
	return failed
}

// mine returns the shards of a batch that are leased now: those to read on,
// and those whose pending entries are to be read, for the first time or again.
func (r *Reader) mine(batch []int) (fresh, stale []int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, n := range batch {
		until, ok := r.leased[n]
		switch {
		case !ok:
			continue
		case time.Now().After(until):
			delete(r.leased, n)
			delete(r.fresh, n)
			continue
		}
		if r.fresh[n] {
			fresh = append(fresh, n)
		}
		if !r.fresh[n] || len(r.blocked[n]) > 0 {
			stale = append(stale, n)
		}
	}
	return fresh, stale
}

// block makes the later events of a player wait until those before are handled.
func (r *Reader) block(n int, player string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.blocked[n] == nil {
		r.blocked[n] = map[string]bool{}
	}
	r.blocked[n][player] = true
}

func (r *Reader) unblock(n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.blocked, n)
}

func (r *Reader) isBlocked(n int, player string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.blocked[n][player]
}

// readLoop reads the shards of a batch. While something fails, it is tried
// again after a pause, and the shards that are all right are read meanwhile.
func (r *Reader) readLoop(ctx context.Context, batch []int) error {
	var retry time.Time
	for ctx.Err() == nil {
		fresh, stale := r.mine(batch)
		rest := time.Until(retry)
		if len(stale) > 0 && rest <= 0 {
			if err := r.readPending(ctx, stale); err != nil {
				retry = time.Now().Add(r.failed(ctx, err))
			}
			continue
		}
		block := r.pace.block
		if len(stale) > 0 {
			block = max(min(block, rest), time.Millisecond)
		}
		if len(fresh) == 0 {
			if err := pause(ctx, min(block, r.pace.tick/4)); err != nil {
				return err
			}
			continue
		}
		if err := r.readNew(ctx, fresh, block); err != nil {
			retry = time.Now().Add(r.failed(ctx, err))
		}
	}
	return ctx.Err()
}

func (r *Reader) failed(ctx context.Context, err error) time.Duration {
	if ctx.Err() == nil {
		r.log.Warn("read outbox", "error", err)
	}
	return r.pace.tick/4 + rand.N(r.pace.tick/4)
}

// readPending handles what an earlier reader, or a failed handler, left. A
// shard where the handler fails again does not hold up the next one.
func (r *Reader) readPending(ctx context.Context, shards []int) error {
	if err := r.ensureGroups(ctx, shards); err != nil {
		return err
	}
	var failed error
	for _, n := range shards {
		r.unblock(n)
		if err := r.readPendingOf(ctx, n); err != nil {
			failed = err
		}
	}
	return failed
}

// readPendingOf goes once through all that is pending in a shard. The shard is
// fresh then, but for the players whose events failed again.
func (r *Reader) readPendingOf(ctx context.Context, n int) error {
	var failed error
	for from := "0"; ; {
		streams, err := r.client.XReadGroup(ctx, &redis.XReadGroupArgs{
			Group: r.group, Consumer: consumer, Streams: []string{Key(n), from}, Count: batchSize, Block: -1,
		}).Result()
		if err != nil && !errors.Is(err, redis.Nil) {
			return err
		}
		last := ""
		for _, s := range streams {
			for _, m := range s.Messages {
				last = m.ID
			}
		}
		if last == "" {
			break
		}
		from = last
		if err := r.process(ctx, streams); err != nil {
			failed = err
		}
	}
	r.mu.Lock()
	r.fresh[n] = true
	r.mu.Unlock()
	return failed
}

// readNew waits for new entries of the shards given. When the answer is lost,
// what was in it is pending.
func (r *Reader) readNew(ctx context.Context, shards []int, block time.Duration) error {
	args := make([]string, 0, 2*len(shards))
	for _, n := range shards {
		args = append(args, Key(n))
	}
	for range shards {
		args = append(args, ">")
	}
	streams, err := r.client.XReadGroup(ctx, &redis.XReadGroupArgs{
		Group: r.group, Consumer: consumer, Streams: args, Count: batchSize, Block: block,
	}).Result()
	switch {
	case errors.Is(err, redis.Nil):
		return nil
	case redis.HasErrorPrefix(err, "NOGROUP"):
		r.forget(shards)
		return nil
	case err != nil:
		r.forget(shards)
		return err
	}
	return r.process(ctx, streams)
}

// forget makes shards start again with their groups and pending entries.
func (r *Reader) forget(shards []int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, n := range shards {
		delete(r.fresh, n)
	}
}

// ensureGroups makes the groups of every service: to append.lua a stream that
// exists has them all, and Trim counts on it.
func (r *Reader) ensureGroups(ctx context.Context, shards []int) error {
	pipe := r.client.Pipeline()
	for _, n := range shards {
		for _, group := range Groups() {
			pipe.XGroupCreateMkStream(ctx, Key(n), group, "0")
		}
	}
	cmds, _ := pipe.Exec(ctx) // every command carries its own error
	for _, cmd := range cmds {
		if err := cmd.Err(); err != nil && !redis.HasErrorPrefix(err, "BUSYGROUP") {
			return err
		}
	}
	return nil
}

func (r *Reader) giveBack() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	var calls []rediskit.Call
	r.mu.Lock()
	for n := range r.leased {
		calls = append(calls, rediskit.Call{
			Script: renewScript, Keys: []string{readerKey(n, r.group)}, Args: []any{r.instance, 0},
		})
	}
	r.mu.Unlock()
	rediskit.RunBatch(ctx, r.client, calls)
}

func pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
