// Package redisstore keeps queues and matches in Redis: one Lua script a
// transition, all keys of a queue and of its matches on one shard.
package redisstore

import (
	"context"
	"fmt"

	"github.com/redis/go-redis/v9"

	"github.com/holdfast-games/holdfast/pkg/apperr"
	"github.com/holdfast-games/holdfast/pkg/id"
	"github.com/holdfast-games/holdfast/pkg/outbox"
	"github.com/holdfast-games/holdfast/pkg/rediskit"
	"github.com/holdfast-games/holdfast/pkg/shard"
	"github.com/holdfast-games/holdfast/services/matchmaking/internal/queue"
)

// Store is a queue.Store on Redis. It is safe for concurrent use and keeps
// nothing in memory.
type Store struct {
	client   redis.UniversalClient
	blocking redis.UniversalClient // for Follow, which blocks its connection
	shards   shard.Map
	scripts  *scripts
	now      func() int64 // nil = Redis TIME
}

var _ queue.Store = (*Store)(nil)

// Option changes a Store.
type Option func(*Store)

// WithTestClock makes scripts take the time in ms from now: for tests that
// compare histories. TTLs are kept by Redis all the same.
func WithTestClock(now func() int64) Option { return func(s *Store) { s.now = now } }

// New returns a store. The blocking client is a second one for the same Redis.
func New(client, blocking redis.UniversalClient, shards shard.Map, options ...Option) (*Store, error) {
	s := &Store{client: client, blocking: blocking, shards: shards}
	for _, o := range options {
		o(s)
	}
	clock := redisTime
	if s.now != nil {
		clock = givenTime
	}
	all, err := load(clock)
	if err != nil {
		return nil, fmt.Errorf("load matchmaking scripts: %w", err)
	}
	s.scripts = all
	return s, nil
}

// call makes a call of a script about one queue.
func (s *Store) call(script *rediskit.Script, queueName string, keys []string, args ...any) rediskit.Call {
	n := s.shards.Of(queueName)
	all := append([]string{
		waitingKey(n, queueName), changesKey(n, queueName), metaKey(n, queueName), deadlinesKey(n), outbox.Key(n), clockKey(n),
	}, keys...)
	return rediskit.Call{Script: script, Keys: all, Args: s.timed(append([]any{queueName}, args...))}
}

func (s *Store) timed(args []any) []any {
	if s.now != nil {
		args = append(args, s.now())
	}
	return args
}

func (s *Store) run(ctx context.Context, c rediskit.Call) (reply, error) {
	values, err := c.Script.Run(ctx, s.client, c.Keys, c.Args...)
	if err != nil {
		return reply{}, err
	}
	return parse(c.Script.Name(), values)
}

// shardOf returns the shard a match lives on. Errors: ErrUnknownMatch, for an
// id we never made.
func (s *Store) shardOf(match string) (int, error) {
	n, ok := id.ShardOf(match)
	if !ok || n >= s.shards.N() {
		return 0, queue.ErrUnknownMatch
	}
	return n, nil
}

// away classifies an error of a plain command.
func away(doing string, err error) error { return apperr.Away(doing, err) }
