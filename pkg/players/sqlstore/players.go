package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/holdfast-games/holdfast/pkg/players"
)

const (
	playerColumns   = "p.id, p.display_name, p.provider, p.rev, p.revoked_at, p.created_at, p.updated_at, p.deleted_at"
	returningPlayer = "RETURNING id, display_name, provider, rev, revoked_at, created_at, updated_at, deleted_at"

	// revokeNow takes the time as $2.
	revokeNow = "rev = rev + 1, updated_at = $2, revoked_at = CASE WHEN revoked_at > $2 THEN revoked_at ELSE $2 END"

	// attempts bounds the retries after another caller was faster. The second
	// try finds what that caller did; a third means that it was undone.
	attempts = 5
)

// FindOrCreate implements players.Store.
func (s *Store) FindOrCreate(
	ctx context.Context, identity players.Identity, create players.NewPlayer, now time.Time,
) (p players.Player, created bool, err error) {
	if identity.Validate() != nil || create.Validate() != nil {
		return p, false, players.ErrInvalid
	}
	err = s.do(ctx, "find or create", func(ctx context.Context) error {
		for range attempts {
			p, created, err = s.tryFindOrCreate(ctx, identity, create, now)
			if !errors.Is(err, errContended) {
				return err
			}
		}
		return err
	})
	if err != nil {
		return players.Player{}, false, err
	}
	return p, created, nil
}

// tryFindOrCreate returns errContended when another login was faster.
func (s *Store) tryFindOrCreate(
	ctx context.Context, identity players.Identity, create players.NewPlayer, now time.Time,
) (players.Player, bool, error) {
	p, err := s.find(ctx, identity)
	if err == nil && p.Deleted() {
		p, err = s.restore(ctx, p.ID, create.DisplayName, now)
		return p, false, orContended(err)
	}
	if !errors.Is(err, sql.ErrNoRows) {
		return p, false, err
	}
	p = newPlayer(identity, create, now)
	err = s.create(ctx, p, identity)
	if s.dialect.isDuplicate(err) { // the same login sent twice; or else an id that is in use
		err = fmt.Errorf("%w: %w", errContended, err)
	}
	return p, err == nil, orContended(err)
}

func newPlayer(identity players.Identity, create players.NewPlayer, now time.Time) players.Player {
	at := fromMillis(now.UnixMilli())
	return players.Player{
		ID: create.ID, DisplayName: create.DisplayName, Provider: identity.Provider, CreatedAt: at, UpdatedAt: at,
	}
}

func (s *Store) find(ctx context.Context, identity players.Identity) (players.Player, error) {
	return scanPlayer(s.read.QueryRowContext(ctx, `
		SELECT `+playerColumns+` FROM identities i JOIN players p ON p.id = i.player_id
		WHERE i.provider = $1 AND i.subject_hash = $2`, identity.Provider, identity.SubjectHash))
}

// restore returns sql.ErrNoRows when somebody else restored the player.
func (s *Store) restore(ctx context.Context, playerID, displayName string, now time.Time) (players.Player, error) {
	return scanPlayer(s.write.QueryRowContext(ctx, `
		UPDATE players SET deleted_at = NULL, display_name = $2, updated_at = $3
		WHERE id = $1 AND deleted_at IS NOT NULL
		`+returningPlayer, playerID, displayName, now.UnixMilli()))
}

// create returns sql.ErrNoRows when the identity is taken by now. The primary
// key of identities decides who makes the player; the loser's is rolled back.
func (s *Store) create(ctx context.Context, p players.Player, identity players.Identity) error {
	return s.inTx(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `
			INSERT INTO players (id, display_name, provider, rev, created_at, updated_at) VALUES ($1, $2, $3, 0, $4, $4)`,
			p.ID, p.DisplayName, p.Provider, p.CreatedAt.UnixMilli()); err != nil {
			return err
		}
		linked, err := insertIdentity(ctx, tx, identity, p.ID)
		if err == nil && !linked {
			return sql.ErrNoRows
		}
		return err
	})
}

// insertIdentity waits for a concurrent insert of the same identity to end.
func insertIdentity(ctx context.Context, tx *sql.Tx, identity players.Identity, playerID string) (bool, error) {
	n, err := affected(ctx, tx, `
		INSERT INTO identities (provider, subject_hash, player_id) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`,
		identity.Provider, identity.SubjectHash, playerID)
	return n == 1, err
}

// Get implements players.Store.
func (s *Store) Get(ctx context.Context, playerID string) (p players.Player, err error) {
	err = s.do(ctx, "get", func(ctx context.Context) error {
		p, err = scanPlayer(s.read.QueryRowContext(ctx,
			`SELECT `+playerColumns+` FROM players p WHERE p.id = $1`, text(playerID)))
		return orNotFound(err)
	})
	return p, err
}

// Facts implements players.Store.
func (s *Store) Facts(ctx context.Context, playerID, familyID string) (f players.Facts, err error) {
	var revoked, ended sql.NullInt64
	err = s.do(ctx, "read the facts", func(ctx context.Context) error {
		return orNotFound(s.read.QueryRowContext(ctx, `
			SELECT p.display_name, p.provider, p.rev, p.revoked_at, p.deleted_at IS NOT NULL,
			       (SELECT MAX(e.ended_at) FROM refresh_families e WHERE e.player_id = p.id),
			       f.id IS NULL OR f.ended_at IS NOT NULL
			FROM players p LEFT JOIN refresh_families f ON f.id = $2 AND f.player_id = p.id
			WHERE p.id = $1`, text(playerID), text(familyID),
		).Scan(&f.DisplayName, &f.Provider, &f.Rev, &revoked, &f.Deleted, &ended, &f.FamilyRevoked))
	})
	if err != nil {
		return players.Facts{}, err
	}
	f.EndedAt = fromNullMillis(sql.NullInt64{Int64: max(revoked.Int64, ended.Int64), Valid: revoked.Valid || ended.Valid})
	f.FamilyRevoked = f.FamilyRevoked && familyID != ""
	return f, nil
}

// Rename implements players.Store.
func (s *Store) Rename(ctx context.Context, playerID, displayName string, now time.Time) error {
	if err := players.ValidateDisplayName(displayName); err != nil {
		return err
	}
	return s.do(ctx, "rename", func(ctx context.Context) error {
		n, err := affected(ctx, s.write, `
			UPDATE players SET display_name = $2, updated_at = $3 WHERE id = $1 AND deleted_at IS NULL`,
			text(playerID), displayName, now.UnixMilli())
		if err == nil && n == 0 {
			return players.ErrNotFound
		}
		return err
	})
}

// Delete implements players.Store.
func (s *Store) Delete(ctx context.Context, playerID string, now time.Time) (rev int64, err error) {
	err = s.do(ctx, "delete", func(ctx context.Context) error {
		return s.inTx(ctx, func(tx *sql.Tx) error {
			err := tx.QueryRowContext(ctx, `
				UPDATE players SET `+revokeNow+`, display_name = '', deleted_at = $2
				WHERE id = $1 AND deleted_at IS NULL RETURNING rev`, text(playerID), now.UnixMilli()).Scan(&rev)
			if errors.Is(err, sql.ErrNoRows) { // deleted already, or unknown
				return orNotFound(tx.QueryRowContext(ctx,
					`SELECT rev FROM players WHERE id = $1`, text(playerID)).Scan(&rev))
			}
			if err != nil {
				return err
			}
			return endAll(ctx, tx, playerID, players.Removed, now)
		})
	})
	return rev, err
}

// Revoke implements players.Store.
func (s *Store) Revoke(
	ctx context.Context, playerID string, reason players.EndReason, now time.Time,
) (rev int64, err error) {
	err = s.do(ctx, "revoke", func(ctx context.Context) error {
		return s.inTx(ctx, func(tx *sql.Tx) error {
			err := tx.QueryRowContext(ctx, `
				UPDATE players SET `+revokeNow+` WHERE id = $1 RETURNING rev`,
				text(playerID), now.UnixMilli()).Scan(&rev)
			if err != nil {
				return orNotFound(err)
			}
			return endAll(ctx, tx, playerID, reason, now)
		})
	})
	return rev, err
}

// playerRow receives the player's columns.
type playerRow struct {
	players.Player

	created, updated int64
	revoked, deleted sql.NullInt64
}

func (r *playerRow) columns() []any {
	return []any{&r.ID, &r.DisplayName, &r.Provider, &r.Rev, &r.revoked, &r.created, &r.updated, &r.deleted}
}

func (r *playerRow) player() players.Player {
	r.CreatedAt, r.UpdatedAt = fromMillis(r.created), fromMillis(r.updated)
	r.RevokedAt, r.DeletedAt = fromNullMillis(r.revoked), fromNullMillis(r.deleted)
	return r.Player
}

func scanPlayer(row *sql.Row) (players.Player, error) {
	var r playerRow
	if err := row.Scan(r.columns()...); err != nil {
		return players.Player{}, err
	}
	return r.player(), nil
}

func orContended(err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return errContended
	}
	return err
}

func orNotFound(err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return players.ErrNotFound
	}
	return err
}
