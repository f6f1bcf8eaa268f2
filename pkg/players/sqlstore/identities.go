package sqlstore

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"slices"
	"time"

	"github.com/holdfast-games/holdfast/pkg/players"
)

// Identities implements players.Store.
func (s *Store) Identities(ctx context.Context, playerID string) (found []players.Identity, err error) {
	err = s.do(ctx, "list identities", func(ctx context.Context) error {
		var known int
		if err := s.read.QueryRowContext(ctx,
			`SELECT 1 FROM players WHERE id = $1`, text(playerID)).Scan(&known); err != nil {
			return orNotFound(err)
		}
		found, err = identitiesOf(ctx, s.read, playerID)
		return err
	})
	return found, err
}

// Link implements players.Store.
func (s *Store) Link(
	ctx context.Context, playerID string, identity players.Identity, now time.Time,
) (already bool, err error) {
	if err := identity.Validate(); err != nil {
		return false, err
	}
	err = s.do(ctx, "link", func(ctx context.Context) error {
		return s.inTx(ctx, func(tx *sql.Tx) error {
			already = false
			if _, err := s.lock(ctx, tx, playerID); err != nil {
				return err
			}
			linked, err := insertIdentity(ctx, tx, identity, playerID)
			if err != nil {
				return err
			}
			if linked {
				return touch(ctx, tx, playerID, now)
			}
			already, err = belongsTo(ctx, tx, identity, playerID)
			return err
		})
	})
	return already, err
}

func belongsTo(ctx context.Context, tx *sql.Tx, identity players.Identity, playerID string) (bool, error) {
	var owner string
	err := tx.QueryRowContext(ctx, `
		SELECT player_id FROM identities WHERE provider = $1 AND subject_hash = $2`,
		identity.Provider, identity.SubjectHash).Scan(&owner)
	switch {
	case errors.Is(err, sql.ErrNoRows): // its owner has just unlinked it
		return false, players.ErrChanged
	case err != nil:
		return false, err
	case owner != playerID:
		return false, players.ErrIdentityTaken
	default:
		return true, nil
	}
}

// Unlink implements players.Store.
func (s *Store) Unlink(ctx context.Context, playerID, provider string, now time.Time) (already bool, err error) {
	err = s.do(ctx, "unlink", func(ctx context.Context) error {
		return s.inTx(ctx, func(tx *sql.Tx) error {
			shown, err := s.lock(ctx, tx, playerID)
			if err != nil {
				return err
			}
			all, err := identitiesOf(ctx, tx, playerID)
			if err != nil {
				return err
			}
			others := slices.DeleteFunc(slices.Clone(all), func(i players.Identity) bool { return i.Provider == provider })
			if already = len(others) == len(all); already {
				return nil
			}
			if len(others) == 0 {
				return players.ErrLastIdentity
			}
			if shown == provider {
				shown = others[0].Provider
			}
			return unlink(ctx, tx, playerID, provider, shown, now)
		})
	})
	return already, err
}

func unlink(ctx context.Context, tx *sql.Tx, playerID, provider, shown string, now time.Time) error {
	if _, err := tx.ExecContext(ctx,
		`DELETE FROM identities WHERE player_id = $1 AND provider = $2`, playerID, provider); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx,
		`UPDATE players SET provider = $2, updated_at = $3 WHERE id = $1`, playerID, shown, now.UnixMilli())
	return err
}

// lock keeps other transactions from changing the player's identities and
// returns the provider that the player is shown with.
func (s *Store) lock(ctx context.Context, tx *sql.Tx, playerID string) (provider string, err error) {
	err = tx.QueryRowContext(ctx,
		`SELECT provider FROM players WHERE id = $1 AND deleted_at IS NULL`+s.dialect.forUpdate(), text(playerID),
	).Scan(&provider)
	return provider, orNotFound(err)
}

func touch(ctx context.Context, tx *sql.Tx, playerID string, now time.Time) error {
	_, err := tx.ExecContext(ctx, `UPDATE players SET updated_at = $2 WHERE id = $1`, playerID, now.UnixMilli())
	return err
}

// queryer is a database or a transaction.
type queryer interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// identitiesOf sorts here because databases sort text each in its own way.
func identitiesOf(ctx context.Context, db queryer, playerID string) (found []players.Identity, err error) {
	rows, err := db.QueryContext(ctx,
		`SELECT provider, subject_hash FROM identities WHERE player_id = $1`, text(playerID))
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var i players.Identity
		if err := rows.Scan(&i.Provider, &i.SubjectHash); err != nil {
			return nil, err
		}
		found = append(found, i)
	}
	slices.SortFunc(found, func(a, b players.Identity) int {
		return cmp.Or(cmp.Compare(a.Provider, b.Provider), cmp.Compare(a.SubjectHash, b.SubjectHash))
	})
	return found, rows.Err()
}
