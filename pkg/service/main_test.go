package service

import (
	"bufio"
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/holdfast-games/holdfast/pkg/testkit"
)

// childEnv makes this test binary a service instead: its value says which.
const childEnv = "HOLDFAST_TEST_CHILD"

func TestMain(m *testing.M) {
	switch os.Getenv(childEnv) {
	case "":
		testkit.Main(m)
	case "sound":
		Main("child", func(context.Context, Env) (*Service, error) { return &Service{Addr: "127.0.0.1:0"}, nil })
	default:
		Main("child", func(context.Context, Env) (*Service, error) { return nil, errors.New("no such setting") })
	}
}

func child(t *testing.T, kind string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+kind)
	return cmd
}

func TestProcessEndsWellOnSignals(t *testing.T) {
	for _, signal := range []os.Signal{syscall.SIGTERM, syscall.SIGINT} {
		t.Run(signal.String(), func(t *testing.T) {
			cmd := child(t, "sound")
			log, err := cmd.StderrPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			lines := bufio.NewScanner(log)
			for lines.Scan() && !strings.Contains(lines.Text(), "listening") {
			}
			if err := cmd.Process.Signal(signal); err != nil {
				t.Fatal(err)
			}
			stopping := false
			for lines.Scan() {
				stopping = stopping || strings.Contains(lines.Text(), "stopping")
			}
			if err := cmd.Wait(); err != nil || !stopping {
				t.Errorf("ended with %v, said that it stops: %v", err, stopping)
			}
		})
	}
}

func TestProcessThatFailsSaysWhy(t *testing.T) {
	out, err := child(t, "broken").CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 || strings.TrimSpace(string(out)) != "child: no such setting" {
		t.Errorf("%v: %s", err, out)
	}
}
