package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

const (
	connLifetime = 30 * time.Minute // so that connections follow a failover in the end
	connIdleTime = 5 * time.Minute

	migrationLockID      = 0x686f6c64 // any number that no other program locks
	lockPeriodSeconds    = 1
	lockFailureThreshold = 120
)

type postgres struct{}

func openPostgres(url string, o Options) (*Store, error) {
	config, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, errURL // the cause may quote a password
	}
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = o.Timeout
	}
	db := stdlib.OpenDB(*config)
	db.SetMaxOpenConns(o.MaxConns)
	db.SetMaxIdleConns(o.MaxConns)
	db.SetConnMaxLifetime(connLifetime)
	db.SetConnMaxIdleTime(connIdleTime)
	return &Store{dialect: postgres{}, write: db, read: db, timeout: o.Timeout}, nil
}

func (postgres) forShare() string   { return " FOR SHARE" }
func (postgres) forUpdate() string  { return " FOR UPDATE" }
func (postgres) skipLocked() string { return " FOR UPDATE SKIP LOCKED" }

func (postgres) isDuplicate(err error) bool {
	var refusal *pgconn.PgError
	return errors.As(err, &refusal) && refusal.Code == "23505"
}

// isUnavailable takes everything that is not an answer of the server for a
// broken connection, and a few answers that a retry or an operator can mend.
func (postgres) isUnavailable(err error) bool {
	var refusal *pgconn.PgError
	if !errors.As(err, &refusal) || len(refusal.Code) < 2 {
		return true
	}
	switch refusal.Code {
	case "42P01", "42703": // no such table or column: not migrated yet
		return true
	}
	switch refusal.Code[:2] {
	case "08", // connection
		"25",       // read only: a standby, before or after a failover
		"28", "3D", // no such account or database, yet
		"40",             // deadlock, serialisation
		"53", "57", "58": // out of resources, shutting down, failing disk
		return true
	}
	return false
}

func (postgres) migrate(ctx context.Context, provider func(...goose.ProviderOption) (*goose.Provider, error)) error {
	locker, err := lock.NewPostgresSessionLocker(
		lock.WithLockID(migrationLockID), lock.WithLockTimeout(lockPeriodSeconds, lockFailureThreshold),
	)
	if err != nil {
		return fmt.Errorf("make the migration lock: %w", err)
	}
	p, err := provider(goose.WithSessionLocker(locker))
	if err != nil {
		return err
	}
	_, err = p.Up(ctx)
	return err
}
