package emqxhook

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/holdfast-games/holdfast/pkg/outbox"
	"github.com/holdfast-games/holdfast/pkg/platform"
	"github.com/holdfast-games/holdfast/pkg/session"
)

// hookOwner is the name under which the hook beats: while nobody does, no
// session falls due, since nobody could come back.
const hookOwner = "hook"

var errNoKeys = errors.New("there are no token keys yet: nobody can log in")

// beat says that this instance can answer /emqx/auth, as long as it can.
func beat(p *platform.Platform, log *slog.Logger) func(context.Context) error {
	return every(session.BeatInterval, log, "beat", func(ctx context.Context) error {
		keys, err := p.Verifier.Keys()
		if err != nil {
			return err
		}
		if len(keys) == 0 {
			return errNoKeys
		}
		return p.Store.Beat(ctx, hookOwner)
	})
}

// trim drops from the outboxes what every group has acknowledged.
func trim(p *platform.Platform, log *slog.Logger) func(context.Context) error {
	return every(outbox.TrimInterval, log, "trim", func(ctx context.Context) error {
		return outbox.Trim(ctx, p.Redis, p.Shards, time.Now())
	})
}

// every runs f at once and then again after d, give or take a quarter, until
// ctx ends. Failures are logged, and do not end it.
func every(d time.Duration, log *slog.Logger, name string, f func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		for {
			if err := f(ctx); err != nil && ctx.Err() == nil {
				log.WarnContext(ctx, "loop pass failed", "loop", name, "error", err)
			}
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(d*3/4 + rand.N(d/2)):
			}
		}
	}
}
