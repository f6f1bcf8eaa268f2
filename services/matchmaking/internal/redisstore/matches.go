package redisstore

import (
	"context"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/holdfast-games/holdfast/pkg/rediskit"
	"github.com/holdfast-games/holdfast/services/matchmaking/internal/queue"
)

// Match implements queue.Matches.
func (s *Store) Match(ctx context.Context, id string) (queue.Match, error) {
	n, err := s.shardOf(id)
	if err != nil {
		return queue.Match{}, err
	}
	pipe := s.client.Pipeline()
	record, shift, now := pipe.HGetAll(ctx, matchKey(n, id)), pipe.HGet(ctx, clockKey(n), "shift:match"), s.time(ctx, pipe)
	_, _ = pipe.Exec(ctx) // every command carries its own error
	if err := record.Err(); err != nil {
		return queue.Match{}, away("read a match", err)
	}
	if len(record.Val()) == 0 {
		return queue.Match{}, queue.ErrUnknownMatch
	}
	given, err := rediskit.ParseInt(shift.Val())
	if err != nil {
		return queue.Match{}, err
	}
	return matchFrom(id, record.Val(), now(), given)
}

// time asks Redis for the time in ms, for a record that no script reads.
func (s *Store) time(ctx context.Context, pipe redis.Pipeliner) func() int64 {
	if s.now != nil {
		return s.now
	}
	cmd := pipe.Time(ctx)
	return func() int64 { return cmd.Val().UnixMilli() }
}

// matchKeys are the keys of scripts about a match and its tickets.
func (s *Store) matchKeys(m queue.Match) []string {
	n := s.shards.Of(m.Queue)
	keys := []string{matchKey(n, m.ID)}
	for _, member := range m.Members {
		keys = append(keys, ticketKey(n, m.Queue, member.Ticket), goneKey(n, m.Queue, member.Ticket))
	}
	return keys
}

func (s *Store) progress(ctx context.Context, script *rediskit.Script, m queue.Match, args ...any) (queue.Progress, error) {
	r, err := s.run(ctx, s.call(script, m.Queue, s.matchKeys(m), append([]any{m.ID}, args...)...))
	if err != nil {
		return queue.Progress{}, err
	}
	if r.outcome == queue.Absent {
		return queue.Progress{}, queue.ErrUnknownMatch
	}
	after, err := matchFrom(m.ID, r.record, r.now, r.shift)
	return queue.Progress{Outcome: r.outcome, Match: after}, err
}

// Found implements queue.Matches.
func (s *Store) Found(ctx context.Context, m queue.Match, lasts time.Duration) (queue.Progress, error) {
	return s.progress(ctx, s.scripts.found, m, lasts.Milliseconds())
}

// Dissolve implements queue.Matches.
func (s *Store) Dissolve(ctx context.Context, m queue.Match, reason string, verdicts []queue.Status) (queue.Progress, error) {
	args := []any{reason}
	for _, v := range verdicts {
		args = append(args, string(v))
	}
	return s.progress(ctx, s.scripts.dissolve, m, args...)
}

// Restore implements queue.Matches.
func (s *Store) Restore(ctx context.Context, m queue.Match) ([]queue.Ticket, error) {
	c := s.call(s.scripts.restore, m.Queue, s.matchKeys(m), m.ID)
	values, err := c.Script.Run(ctx, s.client, c.Keys, c.Args...)
	if err != nil {
		return nil, err
	}
	r := rediskit.Read("matchmaking.restore", values)
	ids := r.Rest()
	if err := r.Err(); err != nil || len(ids) == 0 {
		return nil, err
	}
	return s.read(ctx, s.shards.Of(m.Queue), m.Queue, ids)
}

// Mark implements queue.Matches.
func (s *Store) Mark(ctx context.Context, m queue.Match, marks []queue.Mark, next time.Duration) (queue.Progress, error) {
	args := []any{next.Milliseconds()}
	for _, k := range marks {
		args = append(args, k.Player, string(k.Status), k.V, k.Reason)
	}
	return s.progress(ctx, s.scripts.mark, m, args...)
}

// Finish implements queue.Matches.
func (s *Store) Finish(ctx context.Context, m queue.Match, reason string) (queue.Progress, error) {
	return s.progress(ctx, s.scripts.finish, m, reason)
}

// Settle implements queue.Matches.
func (s *Store) Settle(ctx context.Context, id string) error {
	n, err := s.shardOf(id)
	if err != nil {
		return err
	}
	if err := s.client.ZRem(ctx, deadlinesKey(n), "m:"+id).Err(); err != nil {
		return away("settle a match", err)
	}
	return nil
}

// Sweep implements queue.Deadlines, with one round trip for all shards.
func (s *Store) Sweep(ctx context.Context) ([]queue.Sweep, error) {
	calls := make([]rediskit.Call, s.shards.N())
	for n := range calls {
		calls[n] = rediskit.Call{
			Script: s.scripts.sweep, Keys: []string{clockKey(n), deadlinesKey(n)}, Args: s.timed([]any{queue.MaxDuePerPass}),
		}
	}
	passes := make([]queue.Sweep, len(calls))
	for n, res := range rediskit.RunBatch(ctx, s.client, calls) {
		p := queue.Sweep{Shard: n, Err: res.Err}
		if res.Err == nil {
			r := rediskit.Read("matchmaking.sweep", res.Reply)
			p.GivenMS = r.Int()
			for _, member := range r.Rest() {
				p.Due = append(p.Due, due(member))
			}
			p.Err = r.Err()
		}
		passes[n] = p
	}
	return passes, nil
}

// due reads "m:<match>" or "t:<queue>:<ticket>"; a queue's name may hold ':',
// an id does not.
func due(member string) queue.Due {
	if match, ok := strings.CutPrefix(member, "m:"); ok {
		return queue.Due{Match: match}
	}
	rest := strings.TrimPrefix(member, "t:")
	at := strings.LastIndexByte(rest, ':')
	return queue.Due{Ticket: queue.Ref{Queue: rest[:max(at, 0)], Ticket: rest[at+1:]}}
}
