package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/holdfast-games/holdfast/pkg/players"
)

// CreateFamily implements players.Store. Reading the player under a lock makes
// a concurrent revocation come either before, and be seen, or after, and end
// this family too.
func (s *Store) CreateFamily(ctx context.Context, f players.NewFamily) error {
	if err := f.Validate(); err != nil {
		return err
	}
	return s.do(ctx, "create a family", func(ctx context.Context) error {
		n, err := affected(ctx, s.write, `
			INSERT INTO refresh_families (id, player_id, counter, created_at, expires_at, absolute_expires_at)
			SELECT $1, p.id, $4, $5, $6, $7 FROM players p
			WHERE p.id = $2 AND p.rev = $3 AND p.deleted_at IS NULL`+s.dialect.forShare(),
			f.ID, f.PlayerID, f.Rev, players.FirstCounter,
			f.CreatedAt.UnixMilli(), f.ExpiresAt.UnixMilli(), f.AbsoluteExpiresAt.UnixMilli())
		if err != nil || n == 1 {
			return err
		}
		if _, err := s.Get(ctx, f.PlayerID); err != nil {
			return err
		}
		return players.ErrChanged
	})
}

// RotateFamily implements players.Store. It reads, judges, and writes only if
// the family is still as it was read; after losing that race it judges again.
// So a token is never granted under a Rev that was revoked before the write.
func (s *Store) RotateFamily(ctx context.Context, r players.Rotation) (result players.RotateResult, err error) {
	now := fromMillis(r.Now.UnixMilli())
	err = s.do(ctx, "rotate a family", func(ctx context.Context) error {
		for range attempts {
			f, p, err := s.family(ctx, r.FamilyID)
			if errors.Is(err, sql.ErrNoRows) {
				result = players.RotateResult{Outcome: players.UnknownFamily}
				return nil
			}
			if err != nil {
				return err
			}
			outcome := f.Judge(r.Presented, now)
			next, done, err := s.apply(ctx, r, f, outcome, now)
			if err != nil {
				return err
			}
			if done {
				result = players.RotateResult{Outcome: outcome, Player: p, EndReason: next.EndReason}
				if outcome.Granted() {
					result.Counter, result.ExpiresAt = next.Counter, next.ExpiresAt
				}
				return nil
			}
		}
		return errContended
	})
	return result, err
}

func (s *Store) family(ctx context.Context, familyID string) (players.Family, players.Player, error) {
	var f players.Family
	var p playerRow
	var expires, absolute int64
	var ended sql.NullInt64
	err := s.read.QueryRowContext(ctx, `
		SELECT f.counter, f.expires_at, f.absolute_expires_at, f.ended_at, f.ended_reason, `+playerColumns+`
		FROM refresh_families f JOIN players p ON p.id = f.player_id
		WHERE f.id = $1`, text(familyID),
	).Scan(append([]any{&f.Counter, &expires, &absolute, &ended, &f.EndReason}, p.columns()...)...)
	if err != nil {
		return players.Family{}, players.Player{}, err
	}
	f.ExpiresAt, f.AbsoluteExpiresAt, f.EndedAt = fromMillis(expires), fromMillis(absolute), fromNullMillis(ended)
	return f, p.player(), nil
}

// apply writes what the outcome demands and returns the family after it; done
// is false when somebody else changed the family first.
func (s *Store) apply(
	ctx context.Context, r players.Rotation, f players.Family, outcome players.Outcome, now time.Time,
) (next players.Family, done bool, err error) {
	var n int64
	switch outcome {
	case players.Rotated:
		f.ExpiresAt = fromMillis(f.Slide(now, r.Sliding).UnixMilli())
		f.Counter++
		n, err = affected(ctx, s.write, `
			UPDATE refresh_families SET counter = counter + 1, expires_at = $3
			WHERE id = $1 AND counter = $2 AND ended_at IS NULL`, r.FamilyID, r.Presented, f.ExpiresAt.UnixMilli())
	case players.Reused:
		f.EndedAt, f.EndReason = now, players.Replay
		n, err = endOne(ctx, s.write, r.FamilyID, players.Replay, now)
	default:
		n = 1
	}
	return f, n == 1, err
}

// RevokeFamily implements players.Store.
func (s *Store) RevokeFamily(ctx context.Context, familyID string, reason players.EndReason, now time.Time) error {
	return s.do(ctx, "revoke a family", func(ctx context.Context) error {
		_, err := endOne(ctx, s.write, familyID, reason, now)
		return err
	})
}

// PurgeExpired implements players.Store.
func (s *Store) PurgeExpired(ctx context.Context, before time.Time, limit int) (removed int, err error) {
	if limit <= 0 {
		return 0, nil
	}
	err = s.do(ctx, "purge families", func(ctx context.Context) error {
		n, err := affected(ctx, s.write, `
			WITH old AS MATERIALIZED (
				SELECT id FROM refresh_families WHERE expires_at < $1 ORDER BY expires_at LIMIT $2`+s.dialect.skipLocked()+`
			)
			DELETE FROM refresh_families WHERE id IN (SELECT id FROM old)`, before.UnixMilli(), limit)
		removed = int(n)
		return err
	})
	return removed, err
}

func endOne(ctx context.Context, db execer, familyID string, reason players.EndReason, now time.Time) (int64, error) {
	return affected(ctx, db, `
		UPDATE refresh_families SET ended_at = $2, expires_at = $2, ended_reason = $3
		WHERE id = $1 AND ended_at IS NULL`, text(familyID), now.UnixMilli(), text(string(reason)))
}

func endAll(ctx context.Context, tx *sql.Tx, playerID string, reason players.EndReason, now time.Time) error {
	_, err := tx.ExecContext(ctx, `
		UPDATE refresh_families SET ended_at = $2, expires_at = $2, ended_reason = $3
		WHERE player_id = $1 AND ended_at IS NULL`, playerID, now.UnixMilli(), text(string(reason)))
	return err
}
