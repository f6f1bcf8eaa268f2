// Package redisstore keeps sessions in Redis: one Lua script a transition, all
// keys of a player on one shard.
package redisstore

import (
	"context"
	"fmt"

	"github.com/redis/go-redis/v9"

	"github.com/holdfast-games/holdfast/pkg/apperr"
	"github.com/holdfast-games/holdfast/pkg/id"
	"github.com/holdfast-games/holdfast/pkg/outbox"
	"github.com/holdfast-games/holdfast/pkg/rediskit"
	"github.com/holdfast-games/holdfast/pkg/session"
	"github.com/holdfast-games/holdfast/pkg/shard"
)

// Store is a session.Store on Redis. It is safe for concurrent use and keeps
// nothing in memory.
type Store struct {
	client  redis.UniversalClient
	shards  shard.Map
	scripts *scripts
	newSID  func() string
	now     func() int64 // nil = Redis TIME
}

var _ session.Store = (*Store)(nil)

// Option changes a Store.
type Option func(*Store)

// WithTestClock makes scripts take the time in ms, and lives their ids, from
// the functions given: for tests that compare histories. The clock must not
// lag the real one, since TTLs are kept by Redis.
func WithTestClock(now func() int64, newSID func() string) Option {
	return func(s *Store) { s.now, s.newSID = now, newSID }
}

// New returns a store. Settings must be the same in every service.
func New(client redis.UniversalClient, shards shard.Map, settings session.Settings, options ...Option) (*Store, error) {
	if err := settings.Validate(); err != nil {
		return nil, err
	}
	s := &Store{client: client, shards: shards, newSID: id.New}
	for _, o := range options {
		o(s)
	}
	clock := redisTime
	if s.now != nil {
		clock = givenTime
	}
	all, err := load(settings, clock)
	if err != nil {
		return nil, fmt.Errorf("load session scripts: %w", err)
	}
	s.scripts = all
	return s, nil
}

func (s *Store) call(script *rediskit.Script, player string, args ...any) rediskit.Call {
	n := s.shards.Of(player)
	keys := []string{
		sessionKey(n, player), closedKey(n, player), revokedKey(n, player), openKey(n), deadlinesKey(n),
		clockKey(n), outbox.Key(n),
	}
	return rediskit.Call{Script: script, Keys: keys, Args: s.timed(append([]any{player}, args...))}
}

func (s *Store) timed(args []any) []any {
	if s.now != nil {
		args = append(args, s.now())
	}
	return args
}

// run runs one transition; extra is the fourth value of its reply.
func (s *Store) run(ctx context.Context, script *rediskit.Script, player string, args ...any) (session.Result, string, error) {
	c := s.call(script, player, args...)
	reply, err := c.Script.Run(ctx, s.client, c.Keys, c.Args...)
	if err != nil {
		return session.Result{}, "", err
	}
	return parse(script.Name(), player, reply)
}

func (s *Store) plain(ctx context.Context, script *rediskit.Script, player string, args ...any) (session.Result, error) {
	res, _, err := s.run(ctx, script, player, args...)
	return res, err
}

// Ensure implements session.Store.
func (s *Store) Ensure(ctx context.Context, c session.Claims, facts *session.Facts, read bool) (session.Result, error) {
	if loggedOut(facts) {
		return session.Result{}, session.ErrRevoked
	}
	args := append([]any{c.Rev, c.Family, flag(read)}, s.facts(facts)...)
	res, _, err := s.run(ctx, s.scripts.ensure, c.Player, args...)
	return admitted(res, err)
}

// Begin implements session.Store.
func (s *Store) Begin(ctx context.Context, c session.Claims, facts *session.Facts) (session.Result, int64, error) {
	if loggedOut(facts) {
		return session.Result{}, 0, session.ErrRevoked
	}
	args := append([]any{c.Rev, c.Family}, s.facts(facts)...)
	res, extra, err := s.run(ctx, s.scripts.begin, c.Player, args...)
	if res, err = admitted(res, err); err != nil {
		return session.Result{}, 0, err
	}
	epoch, err := rediskit.ParseInt(extra)
	return res, epoch, err
}

// Connected implements session.Store.
func (s *Store) Connected(
	ctx context.Context, player string, id session.ConnectionID, node string, facts *session.Facts,
) (session.Result, error) {
	args := append([]any{string(id), node}, s.facts(facts)...)
	res, _, err := s.run(ctx, s.scripts.connected, player, args...)
	return admitted(res, err)
}

// Disconnected implements session.Store.
func (s *Store) Disconnected(ctx context.Context, player string, id session.ConnectionID, reason string) (session.Result, error) {
	return s.plain(ctx, s.scripts.disconnected, player, string(id), reason)
}

// Lost implements session.Store.
func (s *Store) Lost(ctx context.Context, player string, id session.ConnectionID) (session.Result, error) {
	return s.plain(ctx, s.scripts.lost, player, string(id))
}

// Due implements session.Store, with one round trip for all players.
func (s *Store) Due(ctx context.Context, players []string) ([]session.Result, error) {
	calls := make([]rediskit.Call, len(players))
	for i, p := range players {
		calls[i] = s.call(s.scripts.due, p)
	}
	results := make([]session.Result, len(players))
	for i, r := range rediskit.RunBatch(ctx, s.client, calls) {
		if r.Err != nil {
			return nil, r.Err
		}
		res, _, err := parse("session.due", players[i], r.Reply)
		if err != nil {
			return nil, err
		}
		results[i] = res
	}
	return results, nil
}

// Sweep implements session.Store, with one round trip for all shards.
func (s *Store) Sweep(ctx context.Context, shards []int) ([]session.Due, error) {
	calls := make([]rediskit.Call, len(shards))
	for i, n := range shards {
		calls[i] = rediskit.Call{
			Script: s.scripts.amnesty, Keys: []string{clockKey(n), deadlinesKey(n)},
			Args: s.timed([]any{"session", session.MaxDuePerPass}),
		}
	}
	passes := make([]session.Due, len(shards))
	for i, r := range rediskit.RunBatch(ctx, s.client, calls) {
		passes[i].Shard = shards[i]
		if passes[i].Err = r.Err; r.Err != nil {
			continue
		}
		reply := rediskit.Read("session.amnesty", r.Reply)
		passes[i].Paused = reply.String() == string(session.Paused)
		passes[i].GivenMS = reply.Int()
		passes[i].Members = reply.Rest()
		passes[i].Err = reply.Err()
	}
	return passes, nil
}

// Beat implements session.Store, with one round trip for all shards.
func (s *Store) Beat(ctx context.Context, who string) error {
	calls := make([]rediskit.Call, s.shards.N())
	for n := range calls {
		calls[n] = rediskit.Call{Script: s.scripts.beat, Keys: []string{clockKey(n)}, Args: s.timed([]any{who})}
	}
	for _, r := range rediskit.RunBatch(ctx, s.client, calls) {
		if r.Err != nil {
			return r.Err
		}
	}
	return nil
}

// End implements session.Store.
func (s *Store) End(ctx context.Context, player string, e session.Ending) (session.Result, int64, error) {
	res, extra, err := s.run(ctx, s.scripts.end, player, e.Reason, flag(e.Revoke), e.Family, e.Rev)
	if err != nil {
		return session.Result{}, 0, err
	}
	rev, err := rediskit.ParseInt(extra)
	return res, rev, err
}

// Announce implements session.Store.
func (s *Store) Announce(ctx context.Context, player string) (session.Result, error) {
	return s.plain(ctx, s.scripts.announce, player)
}

// Get implements session.Store.
func (s *Store) Get(ctx context.Context, player string) (session.Result, error) {
	return s.plain(ctx, s.scripts.get, player)
}

// facts are the eight arguments that facts_from reads in the prelude.
func (s *Store) facts(f *session.Facts) []any {
	if f == nil {
		return []any{"0", "", "", "", "", 0, 0, "0"}
	}
	profile := "token"
	if f.Durable {
		profile = "durable"
	}
	revokedAt := int64(0)
	if !f.RevokedAt.IsZero() {
		revokedAt = f.RevokedAt.UnixMilli()
	}
	return []any{"1", s.newSID(), f.Name, f.Provider, profile, f.Rev, revokedAt, flag(!f.Login)}
}

// loggedOut tells whether the durable record says that the login of the token
// is over. Redis has nothing to add to that.
func loggedOut(f *session.Facts) bool { return f != nil && f.FamilyRevoked }

func flag(b bool) string {
	if b {
		return "1"
	}
	return "0"
}

// admitted turns the outcomes that stop a call into their errors.
func admitted(res session.Result, err error) (session.Result, error) {
	switch {
	case err != nil:
		return session.Result{}, err
	case res.Outcome == "revoked":
		return session.Result{}, session.ErrRevoked
	case res.Outcome == "absent":
		return session.Result{}, session.ErrAbsent
	default:
		return res, nil
	}
}

// CheckShards refuses to go on when Redis holds data of another number of
// shards: every key would be looked for in the wrong place.
func CheckShards(ctx context.Context, client redis.UniversalClient, shards shard.Map) error {
	if err := client.HSetNX(ctx, metaKey(), "shards", shards.N()).Err(); err != nil {
		return apperr.Away("read "+metaKey(), err)
	}
	n, err := client.HGet(ctx, metaKey(), "shards").Int()
	if err != nil {
		return apperr.Away("read "+metaKey(), err)
	}
	if n != shards.N() {
		return fmt.Errorf("this Redis was set up with %d shards, HOLDFAST_SHARDS says %d", n, shards.N())
	}
	return nil
}
