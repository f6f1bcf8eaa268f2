package redisstore_test

import (
	"testing"

	"github.com/holdfast-games/holdfast/pkg/session"
	"github.com/holdfast-games/holdfast/pkg/session/redisstore"
	"github.com/holdfast-games/holdfast/pkg/session/sessiontest"
)

// spoiled are mistakes that a careless hand could make in a script.
var spoiled = []struct{ mistake, script, old, replacement string }{
	{"tombstones are ignored", "_prelude", "tonumber(at) > now - S.tombstone", "false"},
	{"the version does not grow within a ms", "_prelude", "math.max(num('v') + 1, now)", "str(now)"},
	{"a new life is as old as the one that ended", "_prelude", "math.max(now, last_v + 1)", "now"},
	{"a call is no sign of life", "_prelude", "put('deadline', str(deadline))", ""},
	{"calls help for ever in a match", "_prelude", "held('match') > 0 then\n    deadline", "false then\n    deadline"},
	{"each call is told", "_prelude", "S.http_reach / 3", "0"},
	{"revoked tokens are let in", "_prelude", "return logged_out or rev <", "return false and rev <"},
	{"a logged out family is let in", "_prelude", "return logged_out or", "return"},
	{"a revocation never lapses", "_prelude", "< now then return 0, 0, false", "< 0 then return 0, 0, false"},
	{"a lapsed reservation counts", "_prelude", "if p.notafter == 0 or p.notafter >= now then", "if true then"},
	{"the drop itself makes reachable", "_prelude", "at > num('since')", "at >= num('since')"},
	{"old calls make reachable", "_prelude", "now - num('seen') < S.http_reach", "true"},
	{"a clean disconnect has a long grace", "_prelude", "reason == 'normal'", "false"},
	{"a durable profile is not noted", "_prelude", "put('profile', 'durable')", ""},
	{"an epoch is handed out twice", "begin", "num('epoch') + 1", "num('epoch')"},
	{"a healed session is healed for ever", "ensure", "del('healed')", ""},
	{"a revoked connection is let in", "connected", "if epoch <= math.max(revoked_at, facts.revoked_at) then", "if false then"},
	{"a fenced connection outlives its fence", "connected", "if epoch <= revoked_at and revoked_at > 0 then", "if false then"},
	{"a takeover supersedes nobody", "connected", "if c.epoch < epoch then", "if false then"},
	{"a late connection gets a whole lease", "connected", "elseif c.epoch > epoch then", "elseif false then"},
	{"who is open is not listed", "connected", "redis.call('SADD', K_OPEN, player .. '/' .. id)", ""},
	{"the last event wins", "disconnected", "if #list > 0 then", "if false then"},
	{"nobody is crowned", "disconnected", "or replaced) then", ") then"},
	{"a takeover is a disconnect", "disconnected", "if replaced then", "if false then"},
	{"a late disconnect shortens the grace", "disconnected", "str(math.max(num('deadline'), t + grace_for(reason)))", "str(t + grace_for(reason))"},
	{"an earlier life's disconnect counts", "disconnected", "if epoch <= revoked_at then", "if false then"},
	{"a lost connection leaves the deadline", "lost", "next_lease(list)", ""},
	{"a lease never ends", "due", "if c.lease > t then", "if true then"},
	{"a lost player goes at once", "due", "if rec.presence == 'connected' then", "if false then"},
	{"what is due is done early", "due", "num('deadline') > t then", "num('deadline') > t + 1000 then"},
	{"sweeps go on without anybody", "due", "if now - good > S.stale or", "if false or"},
	{"passes renew the superseded as well", "due", "if c.full and S.reconcile > 0", "if S.reconcile > 0"},
	{"leases end while the broker cannot be asked", "due", "if blind then", "if false then"},
	{"an expiry happens twice", "due", "redis.call('DEL', K_SESSION)", ""},
	{"amnesty is given twice as much", "amnesty", "shift = shift + given", "shift = shift + 2 * given"},
	{"overlapping outages are counted twice", "amnesty", "  alive = now\n", ""},
	{"an end fences nothing", "end", "at = math.max(now, at,", "at = math.max(0, at,"},
	{"an end leaves a deadline", "end", "redis.call('ZREM', K_DEADLINES, player)", ""},
	{"a repeated end makes a generation", "end", "math.max(rev, durable_rev)", "math.max(rev + 1, durable_rev)"},
	{"a reservation lapses early", "reserve", "p.notafter < now and", "p.notafter <= now and"},
	{"who cannot be reached is matched", "reserve", "not reachable()", "false"},
	{"one place too many", "reserve", "held(kind) >= most", "held(kind) > most"},
	{"a match takes who does not wait", "reserve", "q.id ~= needs_id", "false"},
	{"nothing is excluded", "reserve", "held(excludes) > 0", "false"},
	{"a match takes another life", "reserve", "rec.sid ~= ARGV[3]", "false"},
	{"a confirm happens twice", "confirm", "if p.notafter == 0 then return answer('already') end", ""},
	{"a place of another life is confirmed", "confirm", "or rec.sid ~= sid then", "then"},
	{"an equal note counts", "note", "v <= p.v", "v < p.v"},
	{"a reservation is noted", "note", "or p.notafter ~= 0", ""},
	{"a place of another life is released", "release", "(sid ~= '' and rec.sid ~= sid)", "false"},
	{"a reservation is told when it goes", "release", "if p.notafter == 0 then", "if true then"},
	{"what was read is told again", "repeat", "num('read') >= tonumber(ARGV[6])", "num('read') > tonumber(ARGV[6])"},
}

// TestHistoriesFindMistakes proves that the comparison of histories can fail:
// it finds each of these mistakes in the scripts.
func TestHistoriesFindMistakes(t *testing.T) {
	if testing.Short() {
		t.Skip("takes some seconds")
	}
	client := realClient(t)
	for _, m := range spoiled {
		t.Run(m.mistake, func(t *testing.T) {
			broken := func(tb testing.TB, world *sessiontest.World, settings session.Settings) *sessiontest.Backend {
				tb.Helper()
				store, err := redisstore.New(client, newShards(tb, 2), settings, redisstore.WithTestClock(world.Now, world.NewSID))
				if err != nil {
					tb.Fatalf("new redisstore: %v", err)
				}
				if err := store.Spoil(settings, m.script, m.old, m.replacement); err != nil {
					tb.Fatalf("spoil: %v", err)
				}
				return sessiontest.OnRedis("spoiled redis", store, client, newShards(tb, 2), world)
			}
			if sessiontest.Detect(t, 1000, sessiontest.OnMap(newShards(t, 2)), broken) == "" {
				t.Error("1000 histories did not show it")
			}
		})
	}
}
