package redisstore

import (
	"embed"
	"fmt"
	"strings"
	"time"

	"github.com/holdfast-games/holdfast/pkg/outbox"
	"github.com/holdfast-games/holdfast/pkg/rediskit"
	"github.com/holdfast-games/holdfast/pkg/session"
)

//go:embed scripts/*.lua
var sources embed.FS

const redisTime = `local function clock_ms()
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end
`

// givenTime takes the time from the last argument. Only tests use it: they
// compare histories on several backends, down to the millisecond.
const givenTime = `local function clock_ms() return tonumber(ARGV[#ARGV]) end
`

// scripts are the transitions, each with the settings of the deployment as
// constants in front, so that no call has to carry them.
type scripts struct {
	ensure, begin, connected, disconnected, lost, due, amnesty, beat *rediskit.Script
	reserve, confirm, note, release, repeat, end, announce, get      *rediskit.Script
}

func load(s session.Settings, clock string) (*scripts, error) {
	settings := settingsTable(s)
	var failed error
	read := func(name string) string {
		b, err := sources.ReadFile("scripts/" + name + ".lua")
		if err != nil {
			failed = err
		}
		return string(b)
	}
	prelude := read("_prelude")
	verb := func(name string) *rediskit.Script {
		return rediskit.NewScript("session."+name, clock, settings, outbox.Lua, prelude, read(name))
	}
	bare := func(name string) *rediskit.Script {
		return rediskit.NewScript("session."+name, clock, settings, read(name))
	}
	all := &scripts{
		ensure: verb("ensure"), begin: verb("begin"), connected: verb("connected"),
		disconnected: verb("disconnected"), lost: verb("lost"), due: verb("due"), amnesty: bare("amnesty"),
		beat: bare("beat"), reserve: verb("reserve"), confirm: verb("confirm"), note: verb("note"),
		release: verb("release"), repeat: verb("repeat"), end: verb("end"), announce: verb("announce"), get: verb("get"),
	}
	return all, failed
}

func settingsTable(s session.Settings) string {
	var b strings.Builder
	b.WriteString("local S = {")
	ms := func(name string, d time.Duration) { fmt.Fprintf(&b, "%s=%d,", name, d.Milliseconds()) }
	ms("grace_idle", s.GraceIdle)
	ms("grace_lobby", s.GraceLobby)
	ms("grace_queue", s.GraceQueue)
	ms("grace_match", s.GraceMatch)
	ms("grace_normal", s.GraceNormal)
	ms("detached_ttl", s.DetachedTTL)
	ms("http_lease", s.HTTPLease)
	ms("http_reach", s.HTTPReach)
	ms("online_lease", s.OnlineLease)
	ms("handover", s.Handover)
	ms("reconcile", s.ReconcileInterval)
	ms("revoked_ttl", s.RevokedTTL())
	ms("stale", session.Stale)
	ms("amnesty_max", session.AmnestyMax)
	ms("tombstone", session.TombstoneTTL)
	ms("reserve", session.ReserveTTL)
	ms("backstop", session.Backstop)
	fmt.Fprintf(&b, "max_connections=%d,max_tombstones=%d,max_families=%d}\n",
		session.MaxConnections, session.MaxTombstones, session.MaxFamilies)
	return b.String()
}
