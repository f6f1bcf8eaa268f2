package outbox

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"

	"github.com/holdfast-games/holdfast/pkg/rediskit"
	"github.com/holdfast-games/holdfast/pkg/shard"
)

// Tail calls seen for every event appended from now on, until ctx ends. It is
// a hint, not a delivery: events may be missed while Redis is away.
func Tail(ctx context.Context, client redis.UniversalClient, shards shard.Map, log *slog.Logger, seen func(Event)) error {
	batches := [][]int{shards.All()}
	if rediskit.Clustered(client) {
		batches = nil
		for _, n := range shards.All() {
			batches = append(batches, []int{n})
		}
	}
	g, ctx := errgroup.WithContext(ctx)
	for _, batch := range batches {
		g.Go(func() error { return tail(ctx, client, batch, shards, log, seen) })
	}
	if err := g.Wait(); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

func tail(ctx context.Context, client redis.UniversalClient, batch []int, shards shard.Map, log *slog.Logger, seen func(Event)) error {
	var last map[string]string
	for {
		if last == nil {
			last = newest(ctx, client, batch)
		}
		keys, ids := make([]string, 0, 2*len(last)), make([]string, 0, len(last))
		for key, from := range last {
			keys, ids = append(keys, key), append(ids, from)
		}
		streams, err := client.XRead(ctx, &redis.XReadArgs{Streams: append(keys, ids...), Count: batchSize, Block: blockFor}).Result()
		if err != nil && !errors.Is(err, redis.Nil) {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			log.Warn("tail outbox", "error", err)
			last = nil
			if err := pause(ctx, leaseTick/4+rand.N(leaseTick/4)); err != nil {
				return err
			}
			continue
		}
		for _, s := range streams {
			n, err := shardOf(s.Stream, shards)
			if err != nil {
				return err
			}
			for _, m := range s.Messages {
				last[s.Stream] = m.ID
				if e, err := parse(n, m); err == nil {
					seen(e)
				}
			}
		}
	}
}

// newest returns the last id of every outbox, "0" where there is none.
func newest(ctx context.Context, client redis.UniversalClient, batch []int) map[string]string {
	pipe := client.Pipeline()
	cmds := make([]*redis.XMessageSliceCmd, len(batch))
	for i, n := range batch {
		cmds[i] = pipe.XRevRangeN(ctx, Key(n), "+", "-", 1)
	}
	_, _ = pipe.Exec(ctx) // a failure shows in the read that follows
	last := map[string]string{}
	for i, n := range batch {
		last[Key(n)] = "0"
		if messages := cmds[i].Val(); len(messages) > 0 {
			last[Key(n)] = messages[0].ID
		}
	}
	return last
}

// Trim drops from every outbox what all groups have acknowledged, and what
// only the relay still has not after RelayAge. It is cheap, and any number of
// instances may call it now and then. One shard that fails does not stop the
// others.
func Trim(ctx context.Context, client redis.UniversalClient, shards shard.Map, now time.Time) error {
	var failed []error
	for _, n := range shards.All() {
		failed = append(failed, trim(ctx, client, n, now))
	}
	return errors.Join(failed...)
}

// RelayAge is how long the relay is waited for: a snapshot heals what it did
// not deliver.
const RelayAge = 2 * time.Minute

// TrimInterval is how often a reader should call Trim.
const TrimInterval = 10 * time.Second

func trim(ctx context.Context, client redis.UniversalClient, n int, now time.Time) error {
	groups, err := client.XInfoGroups(ctx, Key(n)).Result()
	if err != nil {
		if redis.HasErrorPrefix(err, "no such key") {
			return nil
		}
		return err
	}
	if len(groups) < len(Groups()) { // somebody has not begun
		return nil
	}
	oldest := ""
	for _, g := range groups {
		needed := g.LastDeliveredID
		if g.Pending > 0 {
			p, err := client.XPending(ctx, Key(n), g.Name).Result()
			if err != nil {
				return err
			}
			if p.Count > 0 && older(p.Lower, needed) {
				needed = p.Lower
			}
		}
		if tooOld := strconv.FormatInt(now.Add(-RelayAge).UnixMilli(), 10) + "-0"; g.Name == Relay && older(needed, tooOld) {
			needed = tooOld
		}
		if oldest == "" || older(needed, oldest) {
			oldest = needed
		}
	}
	if oldest == "" || oldest == "0-0" {
		return nil
	}
	return client.XTrimMinID(ctx, Key(n), oldest).Err()
}

// older compares two stream ids, "<ms>-<sequence>".
func older(a, b string) bool {
	aMS, aSeq := splitID(a)
	bMS, bSeq := splitID(b)
	if aMS != bMS {
		return aMS < bMS
	}
	return aSeq < bSeq
}

func splitID(id string) (ms, seq int64) {
	head, tail, _ := strings.Cut(id, "-")
	ms, _ = strconv.ParseInt(head, 10, 64)
	seq, _ = strconv.ParseInt(tail, 10, 64)
	return ms, seq
}
