package outbox

import "github.com/holdfast-games/holdfast/pkg/shard"

// Key is the outbox of a shard.
// Type: stream. TTL: none, trimmed up to what every group has acknowledged. Readers: all groups.
func Key(s int) string { return shard.Key(s, "outbox") }

// readerKey is the lease to read a shard for a group.
// Type: string. TTL: leaseTTL. Readers: the readers of the group.
func readerKey(s int, group string) string { return shard.Key(s, "reader:"+group) }
