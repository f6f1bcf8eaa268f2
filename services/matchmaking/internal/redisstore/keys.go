package redisstore

import "github.com/holdfast-games/holdfast/pkg/shard"

// waitingKey holds the tickets of a queue that wait or are held, by queuedAt.
// Type: zset. TTL: none, the sweep removes its members. Readers: load, positions, counts.
func waitingKey(s int, queue string) string { return shard.Key(s, "queue:"+queue+":waiting") }

// changesKey holds what became of the tickets of a queue, one numbered entry a change.
// Type: stream, bounded. TTL: 1 h. Readers: the matchers of the queue.
func changesKey(s int, queue string) string { return shard.Key(s, "queue:"+queue+":changes") }

// metaKey holds seq (number of the last change), inMatch and wait (average, ms) of a queue.
// Type: hash. TTL: 48 h. Readers: change, enqueue, found, mark, finish; the list of queues.
func metaKey(s int, queue string) string { return shard.Key(s, "queue:"+queue+":meta") }

// leaseKey is held by the instance that matches a queue.
// Type: string. TTL: a second. Readers: the matchers of the queue.
func leaseKey(s int, queue string) string { return shard.Key(s, "queue:"+queue+":matcher") }

// ticketKey is one ticket.
// Type: hash. TTL: 48 h, renewed by each change and recheck. Readers: every script about a ticket.
func ticketKey(s int, queue, ticket string) string {
	return shard.Key(s, "queue:"+queue+":ticket:"+ticket)
}

// goneKey is the tombstone of a ticket: until when it counts, and its queuedAt.
// Type: string. TTL: 60 s. Readers: enqueue.
func goneKey(s int, queue, ticket string) string {
	return shard.Key(s, "queue:"+queue+":gone:"+ticket)
}

// matchKey is one match.
// Type: hash. TTL: its longest life + 48 h, 10 min once it is over. Readers: every script about a match.
func matchKey(s int, match string) string { return shard.Key(s, "match:"+match) }

// deadlinesKey holds what the sweep is to look at, by ms: "m:<match>", "t:<queue>:<ticket>".
// Type: zset. TTL: none, the sweep removes its members. Readers: sweep.
func deadlinesKey(s int) string { return shard.Key(s, "deadlines:match") }

// clockKey holds shift:match and good:match, beside the fields of other owners.
// Type: hash. TTL: none, one for each shard. Readers: sweep, every script about a match.
func clockKey(s int) string { return shard.Key(s, "clock") }
