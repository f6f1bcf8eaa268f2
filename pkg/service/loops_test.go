package service

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// pass lets time pass inside a bubble, where that takes none.
func pass(d time.Duration) { <-time.After(d) }

func TestLoopsThatEndAreStartedAgain(t *testing.T) {
	for name, end := range map[string]func() error{
		"panic":  func() error { panic("out of order") },
		"error":  func() error { return errors.New("out of order") },
		"return": func() error { return nil },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log bytes.Buffer
				runs := make(chan time.Time, 3)
				loops := StartLoops([]Loop{{Name: "fragile", Run: func(ctx context.Context) error {
					runs <- time.Now()
					if len(runs) < cap(runs) {
						return end()
					}
					<-ctx.Done()
					return ctx.Err()
				}}}, slog.New(slog.NewTextHandler(&log, nil)))
				pass(time.Minute)
				loops.Stop()
				close(runs)
				var last time.Time
				for began := range runs {
					if pause := began.Sub(last); !last.IsZero() && (pause < restartDelay || pause > 2*restartDelay) {
						t.Errorf("started again after %s", pause)
					}
					last = began
				}
				if len(log.String()) == 0 || strings.Count(log.String(), "loop=fragile") != 2 {
					t.Errorf("want two lines that name the loop:\n%s", log.String())
				}
			})
		})
	}
}

func TestOneLoopDoesNotDisturbAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		starts := 0
		loops := StartLoops([]Loop{
			{Name: "fragile", Run: func(context.Context) error { panic("out of order") }},
			{Name: "steady", Run: func(ctx context.Context) error {
				starts++
				<-ctx.Done()
				return ctx.Err()
			}},
		}, discard())
		pass(time.Minute)
		loops.Stop()
		if starts != 1 {
			t.Errorf("the steady loop was started %d times", starts)
		}
	})
}

func TestStopWaitsAndMayComeTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		over := false
		loops := StartLoops([]Loop{{Name: "slow", Run: func(ctx context.Context) error {
			<-ctx.Done()
			pass(time.Second)
			over = true
			return nil
		}}}, discard())
		synctest.Wait()
		loops.Stop()
		if !over {
			t.Error("Stop did not wait for the loop")
		}
		loops.Stop()
	})
	StartLoops(nil, discard()).Stop()
}

func TestStopDuringTheRestartPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		loops := StartLoops([]Loop{{Name: "fragile", Run: func(context.Context) error { panic("out of order") }}}, discard())
		synctest.Wait()
		before := time.Now()
		loops.Stop()
		if took := time.Since(before); took != 0 {
			t.Errorf("Stop took %s", took)
		}
	})
}
