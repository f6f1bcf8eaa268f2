// Package sqlstore keeps players in Postgres or SQLite, by one set of queries
// and migrations. Nothing outside this package knows the schema.
package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/holdfast-games/holdfast/pkg/apperr"
	"github.com/holdfast-games/holdfast/pkg/players"
)

const (
	defaultConns   = 10
	defaultTimeout = 5 * time.Second
)

var (
	errURL       = errors.New("the database URL must be postgres://…, sqlite://:memory: or sqlite://PATH")
	errContended = errors.New("others kept changing the same rows")
)

// Options tune a Store; the zero value is right for one service instance.
type Options struct {
	MaxConns int           // to the database, for reading and writing; 0 means 10
	Timeout  time.Duration // of one operation, connecting included; 0 means 5 s
}

// Store is a players.Store in an SQL database.
type Store struct {
	dialect dialect
	write   *sql.DB
	read    *sql.DB // the same as write where the database takes many writers
	timeout time.Duration
}

var _ players.Store = (*Store)(nil)

// Open returns a store for "postgres://…", "sqlite://PATH" or
// "sqlite://:memory:". It does not touch the database, which may be down; it
// only fails for a URL that cannot be right, without repeating it, since it may
// hold a password. Close the store after use.
func Open(url string, o Options) (*Store, error) {
	if o.MaxConns <= 0 {
		o.MaxConns = defaultConns
	}
	if o.Timeout <= 0 {
		o.Timeout = defaultTimeout
	}
	scheme, rest, _ := strings.Cut(url, "://")
	switch {
	case rest == "":
		return nil, errURL
	case scheme == "sqlite":
		return openSQLite(rest, o)
	case scheme == "postgres", scheme == "postgresql":
		return openPostgres(url, o)
	default:
		return nil, errURL
	}
}

// Ping implements players.Store.
func (s *Store) Ping(ctx context.Context) error {
	return s.do(ctx, "ping", s.read.PingContext)
}

// Close implements players.Store.
func (s *Store) Close() error {
	if err := errors.Join(s.read.Close(), s.write.Close()); err != nil {
		return fmt.Errorf("close the player store: %w", err)
	}
	return nil
}

// do runs one operation within the store's timeout and explains its error.
func (s *Store) do(ctx context.Context, doing string, operation func(context.Context) error) error {
	bounded, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	return s.explain(doing, operation(bounded))
}

// explain leaves answers and a caller's giving up as they are, and tells an
// outage from a fault of ours.
func (s *Store) explain(doing string, err error) error {
	var answer *apperr.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &answer):
		return err
	case s.dialect.isDuplicate(err):
		return players.ErrInvalid.With(fmt.Errorf("%s: %w", doing, err))
	case errors.Is(err, errContended), errors.Is(err, context.DeadlineExceeded), s.dialect.isUnavailable(err):
		return apperr.Away("players: "+doing, err)
	default:
		return fmt.Errorf("players: %s: %w", doing, err)
	}
}

// inTx runs statements in one transaction, which commits unless they fail.
func (s *Store) inTx(ctx context.Context, statements func(*sql.Tx) error) error {
	tx, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // does nothing after Commit
	if err := statements(tx); err != nil {
		return err
	}
	return tx.Commit()
}

// execer is a database or a transaction.
type execer interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

// affected runs a statement and returns how many rows it changed.
func affected(ctx context.Context, db execer, query string, args ...any) (int64, error) {
	result, err := db.ExecContext(ctx, query, args...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

func fromMillis(ms int64) time.Time { return time.UnixMilli(ms).UTC() }

func fromNullMillis(ms sql.NullInt64) time.Time {
	if !ms.Valid {
		return time.Time{}
	}
	return fromMillis(ms.Int64)
}

// text keeps Postgres from refusing a search for something that it could not
// store: there is no such row, on either database.
func text(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}
