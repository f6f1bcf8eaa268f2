package redisstore

import (
	"embed"
	"fmt"
	"strings"
	"time"

	"github.com/holdfast-games/holdfast/pkg/outbox"
	"github.com/holdfast-games/holdfast/pkg/rediskit"
	"github.com/holdfast-games/holdfast/pkg/session"
	"github.com/holdfast-games/holdfast/services/matchmaking/internal/queue"
)

//go:embed scripts/*.lua
var sources embed.FS

const redisTime = `local function clock_ms()
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end
`

// givenTime takes the time from the last argument, and the argument away.
// Only tests use it: they compare histories on several backends, down to the
// millisecond.
const givenTime = `local given_ms = tonumber(table.remove(ARGV))
local function clock_ms() return given_ms end
`

// Limits of the stream of changes.
const (
	maxChanges = 16384
	changesTTL = time.Hour
)

type scripts struct {
	enqueue, release, reach, recheck, commit             *rediskit.Script
	found, dissolve, restore, mark, finish, sweep, lease *rediskit.Script
}

func load(clock string) (*scripts, error) {
	var failed error
	read := func(name string) string {
		b, err := sources.ReadFile("scripts/" + name + ".lua")
		if err != nil {
			failed = err
		}
		return string(b)
	}
	periods, prelude := periodsTable(), read("_prelude")
	verb := func(name string) *rediskit.Script {
		return rediskit.NewScript("matchmaking."+name, clock, periods, outbox.Lua, prelude, read(name))
	}
	bare := func(name string) *rediskit.Script {
		return rediskit.NewScript("matchmaking."+name, clock, periods, read(name))
	}
	all := &scripts{
		enqueue: verb("enqueue"), release: verb("release"), reach: verb("reach"), recheck: verb("recheck"),
		commit: verb("commit"), found: verb("found"), dissolve: verb("dissolve"), restore: verb("restore"),
		mark: verb("mark"), finish: verb("finish"), sweep: bare("sweep"), lease: bare("lease"),
	}
	return all, failed
}

func periodsTable() string {
	var b strings.Builder
	b.WriteString("local S = {")
	ms := func(name string, d time.Duration) { fmt.Fprintf(&b, "%s=%d,", name, d.Milliseconds()) }
	ms("recheck", queue.RecheckInterval)
	ms("tombstone", queue.TombstoneTTL)
	ms("busy", queue.BusyPause)
	ms("forming", queue.FormingTimeout)
	ms("keep_match", queue.KeepMatch)
	ms("backstop", queue.Backstop)
	ms("claim", queue.SweepClaim)
	ms("stale", session.Stale)
	ms("amnesty_max", session.AmnestyMax)
	ms("changes_ttl", changesTTL)
	fmt.Fprintf(&b, "changes=%d}\n", maxChanges)
	return b.String()
}
