// Package platform is what every service stands on: Redis, the shards, the
// durable player record, the token verifier and the session keeper.
package platform

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/redis/go-redis/v9"

	"github.com/holdfast-games/holdfast/pkg/apperr"
	"github.com/holdfast-games/holdfast/pkg/clock"
	"github.com/holdfast-games/holdfast/pkg/jwtkit"
	"github.com/holdfast-games/holdfast/pkg/players"
	"github.com/holdfast-games/holdfast/pkg/players/sqlstore"
	"github.com/holdfast-games/holdfast/pkg/rediskit"
	"github.com/holdfast-games/holdfast/pkg/secret"
	"github.com/holdfast-games/holdfast/pkg/service"
	"github.com/holdfast-games/holdfast/pkg/session"
	"github.com/holdfast-games/holdfast/pkg/session/redisstore"
	"github.com/holdfast-games/holdfast/pkg/shard"
)

// The modes.
const (
	Development = "development"
	Production  = "production"
)

// Config are the settings that all services of a deployment share.
type Config struct {
	Mode        string        `env:"MODE" envDefault:"development" doc:"development or production; production refuses what is only fit for a laptop"`
	RedisURL    secret.Secret `env:"REDIS_URL" envDefault:"redis://127.0.0.1:6379/0" doc:"redis://, rediss://, redis+sentinel:// or redis+cluster://"`
	DatabaseURL secret.Secret `env:"DATABASE_URL" envDefault:"sqlite://data/holdfast.db" doc:"the durable player record: sqlite://PATH or postgres://…"`
	JWTKeysDir  string        `env:"JWT_KEYS_DIR" envDefault:"data/keys" doc:"folder of the token keys, *.pem; auth makes the first one"`
	Shards      int           `env:"SHARDS" envDefault:"64" doc:"number of shards; fixed for the life of a deployment"`
	Session     session.Settings
}

// Platform is what Open opened.
type Platform struct {
	Redis    redis.UniversalClient
	Shards   shard.Map
	Store    session.Store
	Keeper   *session.Keeper
	Players  players.Store
	Verifier *jwtkit.Verifier

	config  Config
	sql     *sqlstore.Store
	clients []redis.UniversalClient
	checked atomic.Bool // the shards of this Redis are ours
}

// Open opens everything. Redis may still be away: the platform is not ready
// then. Redis with another number of shards is an error. The database may be
// away too: valid tokens work without it.
func Open(ctx context.Context, c Config, env service.Env) (*Platform, error) {
	if c.Mode != Development && c.Mode != Production {
		return nil, fmt.Errorf("HOLDFAST_MODE is %q, not development or production", c.Mode)
	}
	shards, err := shard.New(c.Shards)
	if err != nil {
		return nil, fmt.Errorf("HOLDFAST_SHARDS: %w", err)
	}
	p := &Platform{Shards: shards, config: c, Verifier: jwtkit.NewVerifier(c.JWTKeysDir, clock.System{})}
	if p.sql, err = sqlstore.Open(c.DatabaseURL.Reveal(), sqlstore.Options{}); err != nil {
		return nil, fmt.Errorf("HOLDFAST_DATABASE_URL: %w", err)
	}
	p.Players = p.sql
	if p.Redis, err = p.open(0); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	if err := p.check(ctx); err != nil {
		if apperr.From(err).Kind != apperr.Unavailable {
			return nil, errors.Join(err, p.Close())
		}
		env.Log.Warn("redis is away, starting all the same", "error", err)
	}
	if p.Store, err = redisstore.New(p.Redis, shards, c.Session); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	p.Keeper = session.NewKeeper(p.Store, players.NewSource(p.Players), clock.System{}, env.Log)
	return p, nil
}

// Blocking returns another client for the same Redis, with connections of its
// own, for readers that block them. Close closes it too.
func (p *Platform) Blocking() (redis.UniversalClient, error) {
	return p.open(p.Shards.N() + spareConnections)
}

// spareConnections are for what a blocking reader does besides blocking.
const spareConnections = 8

func (p *Platform) open(connections int) (redis.UniversalClient, error) {
	c, err := rediskit.OpenPool(p.config.RedisURL.Reveal(), connections)
	if err != nil {
		return nil, fmt.Errorf("HOLDFAST_REDIS_URL: %w", err)
	}
	p.clients = append(p.clients, c)
	return c, nil
}

// MigratePlayers brings the schema of the player database up to date. Only
// auth, which owns it, does so. Errors: as sqlstore.Store.Migrate.
func (p *Platform) MigratePlayers(ctx context.Context) error { return p.sql.Migrate(ctx) }

// Ready reports whether Redis answers and is ours. The database does not
// count: whoever cannot work without it asks Players.Ping too.
func (p *Platform) Ready(ctx context.Context) error {
	if !p.checked.Load() {
		return p.check(ctx)
	}
	return rediskit.Ping(ctx, p.Redis)
}

func (p *Platform) check(ctx context.Context) error {
	if err := redisstore.CheckShards(ctx, p.Redis, p.Shards); err != nil {
		return err
	}
	p.checked.Store(true)
	return nil
}

// Close closes every connection.
func (p *Platform) Close() error {
	var errs []error
	for _, c := range p.clients {
		errs = append(errs, c.Close())
	}
	errs = append(errs, p.sql.Close())
	return errors.Join(errs...)
}
