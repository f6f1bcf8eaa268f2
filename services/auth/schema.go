package auth

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/holdfast-games/holdfast/pkg/apperr"
)

const (
	schemaPatience = 5 * time.Second // how long the start of the service waits for the database
	schemaRetry    = 2 * time.Second
)

var errSchema = errors.New("the schema of the player database is not up to date yet")

// schema brings the player database up to date: at the start if it is there,
// or as soon as it is. Every instance does so, one at a time.
type schema struct {
	migrate func(ctx context.Context) error
	log     *slog.Logger
	done    atomic.Bool
}

// start fails only when waiting would not help.
func (s *schema) start(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, schemaPatience)
	defer cancel()
	err := s.try(ctx)
	if err != nil && apperr.From(err).Kind == apperr.Unavailable {
		s.log.WarnContext(ctx, "the player database is away, starting all the same", "error", err)
		return nil
	}
	return err
}

// run tries until it is done, and then waits for the end.
func (s *schema) run(ctx context.Context) error {
	for !s.done.Load() {
		if err := pause(ctx, schemaRetry); err != nil {
			return err
		}
		if err := s.try(ctx); err != nil && apperr.From(err).Kind != apperr.Unavailable {
			return err
		}
	}
	<-ctx.Done()
	return ctx.Err()
}

func (s *schema) try(ctx context.Context) error {
	if s.done.Load() {
		return nil
	}
	if err := s.migrate(ctx); err != nil {
		return err
	}
	s.done.Store(true)
	s.log.InfoContext(ctx, "the schema of the player database is up to date")
	return nil
}

func (s *schema) ready() error {
	if !s.done.Load() {
		return errSchema
	}
	return nil
}

// pause returns the context's error when it ends first.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
