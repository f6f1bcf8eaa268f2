package redisstore

import (
	"context"

	"github.com/redis/go-redis/v9"

	"github.com/holdfast-games/holdfast/pkg/rediskit"
	"github.com/holdfast-games/holdfast/services/matchmaking/internal/queue"
)

// ticketKeys are the keys of scripts about one ticket.
func (s *Store) ticketKeys(queueName, ticket string) []string {
	n := s.shards.Of(queueName)
	return []string{ticketKey(n, queueName, ticket), goneKey(n, queueName, ticket)}
}

// Enqueue implements queue.Tickets.
func (s *Store) Enqueue(ctx context.Context, e queue.Entry) (queue.Queued, error) {
	t := e.Ticket
	attributes, err := text(t.Attributes)
	if err != nil {
		return queue.Queued{}, err
	}
	latencies, err := text(t.Latencies)
	if err != nil {
		return queue.Queued{}, err
	}
	r, err := s.run(ctx, s.call(s.scripts.enqueue, t.Queue, s.ticketKeys(t.Queue, t.ID),
		t.ID, t.Player, t.SID, e.NotAfter, t.ReachUntil, t.ReachV, t.Rating, attributes, latencies, t.QueuedAt))
	if err != nil {
		return queue.Queued{}, err
	}
	q := queue.Queued{Outcome: r.outcome, Position: r.a, Activity: queue.Activity{WaitMS: r.b}}
	q.Ticket, err = ticketFrom(t.Queue, t.ID, r.record)
	return q, err
}

// Release implements queue.Tickets.
func (s *Store) Release(ctx context.Context, r queue.Ref, reason string, tell bool) (queue.Change, error) {
	flag := "0"
	if tell {
		flag = "1"
	}
	return s.change(ctx, s.scripts.release, r, r.SID, reason, flag)
}

// Reach implements queue.Tickets.
func (s *Store) Reach(ctx context.Context, r queue.Ref, v, until int64) (queue.Change, error) {
	return s.change(ctx, s.scripts.reach, r, r.SID, v, until)
}

// Recheck implements queue.Tickets.
func (s *Store) Recheck(ctx context.Context, r queue.Ref) (queue.Change, error) {
	return s.change(ctx, s.scripts.recheck, r)
}

func (s *Store) change(ctx context.Context, script *rediskit.Script, ref queue.Ref, args ...any) (queue.Change, error) {
	r, err := s.run(ctx, s.call(script, ref.Queue, s.ticketKeys(ref.Queue, ref.Ticket), append([]any{ref.Ticket}, args...)...))
	if err != nil {
		return queue.Change{}, err
	}
	t, err := ticketFrom(ref.Queue, ref.Ticket, r.record)
	return queue.Change{Outcome: r.outcome, Ticket: t}, err
}

// Standings implements queue.Tickets.
func (s *Store) Standings(ctx context.Context, refs []queue.Ref) ([]queue.Standing, error) {
	if len(refs) == 0 {
		return nil, nil
	}
	pipe := s.client.Pipeline()
	records, ranks := make([]*redis.MapStringStringCmd, len(refs)), make([]*redis.IntCmd, len(refs))
	for i, r := range refs {
		n := s.shards.Of(r.Queue)
		records[i] = pipe.HGetAll(ctx, ticketKey(n, r.Queue, r.Ticket))
		ranks[i] = pipe.ZRank(ctx, waitingKey(n, r.Queue), r.Ticket)
	}
	_, _ = pipe.Exec(ctx) // every command carries its own error
	out := make([]queue.Standing, len(refs))
	for i, r := range refs {
		record, err := records[i].Result()
		if err != nil {
			return nil, away("read tickets", err)
		}
		if len(record) == 0 || (r.SID != "" && record["sid"] != r.SID) {
			continue
		}
		if out[i].Ticket, err = ticketFrom(r.Queue, r.Ticket, record); err != nil {
			return nil, err
		}
		if rank, err := ranks[i].Result(); err == nil {
			out[i].Position = rank + 1
		}
	}
	return out, nil
}

// Activities implements queue.Tickets.
func (s *Store) Activities(ctx context.Context, queues []string) ([]queue.Activity, error) {
	if len(queues) == 0 {
		return nil, nil
	}
	pipe := s.client.Pipeline()
	counts, metas := make([]*redis.IntCmd, len(queues)), make([]*redis.SliceCmd, len(queues))
	for i, name := range queues {
		n := s.shards.Of(name)
		counts[i] = pipe.ZCard(ctx, waitingKey(n, name))
		metas[i] = pipe.HMGet(ctx, metaKey(n, name), "inMatch", "wait")
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, away("read queues", err)
	}
	out := make([]queue.Activity, len(queues))
	for i := range queues {
		meta := rediskit.Read("meta", metas[i].Val())
		out[i] = queue.Activity{Waiting: counts[i].Val(), InMatch: max(meta.Int(), 0), WaitMS: meta.Int()}
		if err := meta.Err(); err != nil {
			return nil, err
		}
	}
	return out, nil
}
