package auth

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-games/holdfast/pkg/apperr"
)

func TestSchemaWaitsForTheDatabase(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var up atomic.Bool
		s := &schema{log: slog.New(slog.DiscardHandler), migrate: func(context.Context) error {
			if up.Load() {
				return nil
			}
			return apperr.Away("migrate", errors.New("refused"))
		}}
		if err := s.start(t.Context()); err != nil || s.ready() == nil {
			t.Fatalf("start without the database: %v, ready: %v", err, s.ready())
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- s.run(ctx) }()
		<-time.After(10 * schemaRetry)
		if s.ready() == nil {
			t.Fatal("ready without a schema")
		}
		up.Store(true)
		<-time.After(2 * schemaRetry)
		if err := s.ready(); err != nil {
			t.Errorf("not ready: %v", err)
		}
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("run ended with %v", err)
		}
	})
}

func TestSchemaThatCannotBeMendedStopsTheStart(t *testing.T) {
	broken := errors.New("syntax error")
	s := &schema{log: slog.New(slog.DiscardHandler), migrate: func(context.Context) error { return broken }}
	if err := s.start(t.Context()); !errors.Is(err, broken) {
		t.Errorf("start: %v", err)
	}
	if s.ready() == nil {
		t.Error("ready without a schema")
	}
}
