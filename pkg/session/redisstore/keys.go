package redisstore

import "github.com/holdfast-games/holdfast/pkg/shard"

// sessionKey is the session record of a player.
// Type: hash. TTL: deadline + 48 h. Readers: every session script.
func sessionKey(s int, player string) string { return shard.Key(s, "session:"+player) }

// closedKey holds the connections of a player that are known to be over.
// Type: zset, scored by ms. TTL: 10 min. Readers: connected, disconnected.
func closedKey(s int, player string) string { return shard.Key(s, "closed:"+player) }

// revokedKey holds the last revocation of a player: rev, at, until, v (of the life it ended), fam:<family>.
// Type: hash. TTL: twice the life of an access token. Readers: every script that admits a token or a connection.
func revokedKey(s int, player string) string { return shard.Key(s, "revoked:"+player) }

// openKey holds "<player>/<connection>" for every connection the shard believes open.
// Type: set. TTL: none, the sweep removes its members. Readers: reconciliation.
func openKey(s int) string { return shard.Key(s, "open") }

// deadlinesKey holds the players to whom something will be due, by shifted ms.
// Type: zset. TTL: none, the sweep removes its members. Readers: amnesty, due.
func deadlinesKey(s int) string { return shard.Key(s, "deadlines:session") }

// clockKey holds shift:<owner>, good:<owner>, beat:hook and reconciled.
// Type: hash. TTL: none, one for each shard. Readers: every script with a deadline.
func clockKey(s int) string { return shard.Key(s, "clock") }

// metaKey holds what is fixed for the life of a deployment: shards.
// Type: hash. TTL: none. Readers: every service, at start.
func metaKey() string { return "hf:meta" }
