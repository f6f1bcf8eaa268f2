package auth

import (
	"context"
	"log/slog"
	"time"

	"github.com/holdfast-games/holdfast/pkg/clock"
	"github.com/holdfast-games/holdfast/pkg/players"
)

const (
	purgeEvery = 10 * time.Minute
	purgeBatch = 500
)

// purge removes logins that are over. Any number of instances may do so.
type purge struct {
	store players.Store
	keep  time.Duration // how long after its end a login still matters: longer than its access tokens
	clock clock.Clock
	log   *slog.Logger
}

func (p *purge) run(ctx context.Context) error {
	for {
		if err := pause(ctx, purgeEvery); err != nil {
			return err
		}
		removed, err := p.pass(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			p.log.WarnContext(ctx, "remove logins that are over", "removed", removed, "error", err)
			continue
		}
		p.log.DebugContext(ctx, "removed logins that are over", "removed", removed)
	}
}

// pass removes all there are now, a batch at a time so that logins need not
// wait for it.
func (p *purge) pass(ctx context.Context) (removed int, err error) {
	before := p.clock.Now().Add(-p.keep)
	for {
		n, err := p.store.PurgeExpired(ctx, before, purgeBatch)
		removed += n
		if err != nil || n < purgeBatch {
			return removed, err
		}
	}
}
