package redisstore

import (
	"context"
	"errors"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/holdfast-games/holdfast/pkg/rediskit"
	"github.com/holdfast-games/holdfast/services/matchmaking/internal/queue"
)

const (
	loadBatch   = 500
	followBatch = 1000
)

// Lease implements queue.Pool.
func (s *Store) Lease(ctx context.Context, queueName, instance string, ttl time.Duration) (held bool, now int64, err error) {
	keys := []string{leaseKey(s.shards.Of(queueName), queueName)}
	values, err := s.scripts.lease.Run(ctx, s.client, keys, s.timed([]any{instance, ttl.Milliseconds()})...)
	if err != nil {
		return false, 0, err
	}
	r := rediskit.Read("matchmaking.lease", values)
	held = r.String() == "held"
	return held, r.Int(), r.Err()
}

// Load implements queue.Pool. The place in the stream is read first: what
// changes while the tickets are read comes again.
func (s *Store) Load(ctx context.Context, queueName string) (queue.Feed, error) {
	n := s.shards.Of(queueName)
	cursor, err := s.newest(ctx, n, queueName)
	if err != nil {
		return queue.Feed{}, err
	}
	feed := queue.Feed{Cursor: cursor}
	ids, err := s.client.ZRange(ctx, waitingKey(n, queueName), 0, -1).Result()
	if err != nil {
		return queue.Feed{}, away("load the queue", err)
	}
	for len(ids) > 0 {
		batch := ids[:min(loadBatch, len(ids))]
		ids = ids[len(batch):]
		tickets, err := s.read(ctx, n, queueName, batch)
		if err != nil {
			return queue.Feed{}, err
		}
		feed.Tickets = append(feed.Tickets, tickets...)
	}
	return feed, nil
}

func (s *Store) newest(ctx context.Context, n int, queueName string) (queue.Cursor, error) {
	pipe := s.client.Pipeline()
	last := pipe.XRevRangeN(ctx, changesKey(n, queueName), "+", "-", 1)
	seq := pipe.HGet(ctx, metaKey(n, queueName), "seq")
	if _, err := pipe.Exec(ctx); err != nil && !errors.Is(err, redis.Nil) {
		return queue.Cursor{}, away("load the queue", err)
	}
	c := queue.Cursor{ID: "0-0"}
	number := seq.Val()
	if entries := last.Val(); len(entries) > 0 {
		c.ID = entries[0].ID
		number, _ = entries[0].Values["n"].(string)
	}
	var err error
	c.Seq, err = rediskit.ParseInt(number)
	return c, err
}

func (s *Store) read(ctx context.Context, n int, queueName string, ids []string) ([]queue.Ticket, error) {
	pipe := s.client.Pipeline()
	cmds := make([]*redis.MapStringStringCmd, len(ids))
	for i, id := range ids {
		cmds[i] = pipe.HGetAll(ctx, ticketKey(n, queueName, id))
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, away("load the queue", err)
	}
	tickets := make([]queue.Ticket, 0, len(ids))
	for i, id := range ids {
		if len(cmds[i].Val()) == 0 { // its recheck takes it off the list
			continue
		}
		t, err := ticketFrom(queueName, id, cmds[i].Val())
		if err != nil {
			return nil, err
		}
		tickets = append(tickets, t)
	}
	return tickets, nil
}

// Follow implements queue.Pool.
func (s *Store) Follow(ctx context.Context, queueName string, from queue.Cursor, wait time.Duration) (queue.Feed, error) {
	client, block := s.blocking, max(wait, time.Millisecond)
	if wait <= 0 {
		client, block = s.client, -1
	}
	streams, err := client.XRead(ctx, &redis.XReadArgs{
		Streams: []string{changesKey(s.shards.Of(queueName), queueName), from.ID}, Count: followBatch, Block: block,
	}).Result()
	if err != nil && !errors.Is(err, redis.Nil) {
		return queue.Feed{}, away("follow the queue", err)
	}
	feed := queue.Feed{Cursor: from}
	for _, stream := range streams {
		for _, entry := range stream.Messages {
			record := make(map[string]string, len(entry.Values))
			for field, value := range entry.Values {
				record[field], _ = value.(string)
			}
			seq, err := rediskit.ParseInt(record["n"])
			if err != nil {
				return queue.Feed{}, err
			}
			if seq != feed.Cursor.Seq+1 {
				return queue.Feed{}, queue.ErrHole
			}
			t, err := ticketFrom(queueName, record["id"], record)
			if err != nil {
				return queue.Feed{}, err
			}
			feed.Cursor = queue.Cursor{ID: entry.ID, Seq: seq}
			feed.Tickets = append(feed.Tickets, t)
		}
	}
	return feed, nil
}

// Commit implements queue.Pool.
func (s *Store) Commit(ctx context.Context, queueName string, proposals []queue.Proposal) ([]queue.Commitment, error) {
	n := s.shards.Of(queueName)
	calls := make([]rediskit.Call, len(proposals))
	for i, p := range proposals {
		keys, args := []string{matchKey(n, p.Match)}, []any{p.Match}
		for _, t := range p.Tickets {
			keys, args = append(keys, ticketKey(n, queueName, t.ID)), append(args, t.ID, t.V)
		}
		calls[i] = s.call(s.scripts.commit, queueName, keys, args...)
	}
	out := make([]queue.Commitment, len(proposals))
	for i, res := range rediskit.RunBatch(ctx, s.client, calls) {
		if res.Err != nil {
			return nil, res.Err
		}
		r := rediskit.Read("matchmaking.commit", res.Reply)
		out[i] = queue.Commitment{Outcome: queue.Outcome(r.String()), Stale: r.Rest()}
		if err := r.Err(); err != nil {
			return nil, err
		}
	}
	return out, nil
}
