package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/pressly/goose/v3"
	driver "modernc.org/sqlite"
	codes "modernc.org/sqlite/lib"
)

const (
	memory            = ":memory:"
	migrationAttempts = 30
	migrationPause    = 50 * time.Millisecond
)

// sqlite works with several processes on one file: write-ahead logging lets
// them read while one writes, and the busy timeout lets writers queue.
type sqlite struct{ db *sql.DB }

func openSQLite(path string, o Options) (*Store, error) {
	write, err := openFile(path, o, url.Values{"_txlock": {"immediate"}})
	if err != nil {
		return nil, err
	}
	// One writer per process: the others wait in line here instead of polling.
	write.SetMaxOpenConns(1)
	read := write
	if path != memory { // each connection to :memory: is a database of its own
		if read, err = openFile(path, o, url.Values{"_query_only": {"1"}}); err != nil {
			return nil, errors.Join(err, write.Close())
		}
		read.SetMaxOpenConns(o.MaxConns)
		read.SetMaxIdleConns(o.MaxConns)
	}
	return &Store{dialect: sqlite{write}, write: write, read: read, timeout: o.Timeout}, nil
}

func openFile(path string, o Options, parameters url.Values) (*sql.DB, error) {
	parameters.Set("_busy_timeout", strconv.FormatInt(o.Timeout.Milliseconds(), 10))
	parameters.Set("_foreign_keys", "1")
	name := path
	if path != memory {
		name = "file:" + (&url.URL{Path: path}).EscapedPath()
	}
	db, err := sql.Open("sqlite", name+"?"+parameters.Encode())
	if err != nil {
		return nil, fmt.Errorf("open the SQLite database: %w", err)
	}
	return db, nil
}

// A transaction that may write has the whole database to itself.
func (sqlite) forShare() string   { return "" }
func (sqlite) forUpdate() string  { return "" }
func (sqlite) skipLocked() string { return "" }

func (sqlite) isDuplicate(err error) bool {
	var refusal *driver.Error
	if !errors.As(err, &refusal) {
		return false
	}
	return refusal.Code() == codes.SQLITE_CONSTRAINT_PRIMARYKEY || refusal.Code() == codes.SQLITE_CONSTRAINT_UNIQUE
}

// isUnavailable takes everything that is not an answer of SQLite for a closed
// database, and those answers that are about the file and not the statement.
func (sqlite) isUnavailable(err error) bool {
	var refusal *driver.Error
	if !errors.As(err, &refusal) {
		return true
	}
	const primary = 0xff
	switch refusal.Code() & primary {
	case codes.SQLITE_BUSY, codes.SQLITE_LOCKED, codes.SQLITE_PROTOCOL, codes.SQLITE_INTERRUPT,
		codes.SQLITE_CANTOPEN, codes.SQLITE_PERM, codes.SQLITE_READONLY, codes.SQLITE_NOTADB, codes.SQLITE_CORRUPT,
		codes.SQLITE_IOERR, codes.SQLITE_FULL, codes.SQLITE_NOMEM:
		return true
	case codes.SQLITE_ERROR:
		return strings.Contains(refusal.Error(), "no such table") // not migrated yet
	default:
		return false
	}
}

// migrate tries again after an error: it may have been another process doing
// the same, in which case the next try finds less to do, or nothing.
func (d sqlite) migrate(ctx context.Context, provider func(...goose.ProviderOption) (*goose.Provider, error)) error {
	var err error
	for range migrationAttempts {
		if err = d.tryMigrate(ctx, provider); err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-time.After(migrationPause):
		}
	}
	return err
}

func (d sqlite) tryMigrate(ctx context.Context, provider func(...goose.ProviderOption) (*goose.Provider, error)) error {
	if _, err := d.db.ExecContext(ctx, "PRAGMA journal_mode=WAL"); err != nil { // the file remembers it
		return fmt.Errorf("switch to write-ahead logging: %w", err)
	}
	p, err := provider()
	if err != nil {
		return err
	}
	_, err = p.Up(ctx)
	return err
}
