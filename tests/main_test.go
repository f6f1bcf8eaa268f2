// Package tests plays whole stories against real processes.
package tests

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/holdfast-games/holdfast/pkg/testkit"
	"github.com/holdfast-games/holdfast/proto/wire"
	"github.com/holdfast-games/holdfast/tests/player"
	"github.com/holdfast-games/holdfast/tests/stack"
)

var binDir string // written by TestMain before any test runs

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "holdfast-bin-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := 1
	if err := stack.BuildPrograms(context.Background(), "..", dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
	} else {
		binDir = dir
		code = m.Run()
	}
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

const patience = 20 * time.Second

// house starts a stack for one test.
func house(t *testing.T, vars map[string]string) *stack.Stack {
	t.Helper()
	return houseWith(t, stack.Options{Vars: vars})
}

func houseWith(t *testing.T, o stack.Options) *stack.Stack {
	t.Helper()
	if testing.Short() {
		t.Skip("starts real processes")
	}
	testkit.Program(t, "redis-server")
	o.BinDir = binDir
	s, err := stack.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(s.Logs())
		}
		s.Close()
	})
	return s
}

// within is a context for one step of a story.
func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// arrive logs a player in and connects it.
func arrive(t *testing.T, s *stack.Stack, device string) (*player.Player, *player.Connection) {
	t.Helper()
	p := player.New(s.Origin, device)
	must(t, p.LogIn(within(t, patience)))
	return p, connect(t, s, p)
}

// connect connects a player and waits until Holdfast knows.
func connect(t *testing.T, s *stack.Stack, p *player.Player) *player.Connection {
	t.Helper()
	c, err := p.Connect(within(t, patience))
	must(t, err)
	t.Cleanup(c.Drop)
	awaitPresence(t, s, p.ID(), wire.PresenceConnected)
	return c
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// lookUp reads a session as a game server does.
func lookUp(t *testing.T, s *stack.Stack, playerID string) (snapshot wire.Snapshot, ok bool) {
	t.Helper()
	testkit.Eventually(t, patience, func() (err error) {
		snapshot, ok, err = s.LookUp(t.Context(), playerID)
		return err
	}, "an answer")
	return snapshot, ok
}

func awaitPresence(t *testing.T, s *stack.Stack, playerID string, want wire.Presence) {
	t.Helper()
	testkit.Eventually(t, patience, func() error {
		if got, _ := lookUp(t, s, playerID); got.Presence != want {
			return fmt.Errorf("presence is %q", got.Presence)
		}
		return nil
	}, "presence "+string(want))
}

func awaitHeld(t *testing.T, s *stack.Stack, playerID string, want bool) wire.TicketSummary {
	t.Helper()
	var ticket wire.TicketSummary
	testkit.Eventually(t, patience, func() error {
		got, _ := lookUp(t, s, playerID)
		if len(got.Queue) != 1 || got.Queue[0].Held != want {
			return fmt.Errorf("the queue shows %+v", got.Queue)
		}
		ticket = got.Queue[0]
		return nil
	}, fmt.Sprintf("held = %v", want))
	return ticket
}
