//go:build unix

// Package redisserver starts real Redis servers for tests: private to the test
// binary, on a free port, in a temporary folder, gone when the test is over or
// the binary dies. A test that needs Redis on a machine without it is skipped,
// or fails in CI (see testkit.Program).
package redisserver

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/holdfast-games/holdfast/pkg/testkit"
	"github.com/holdfast-games/holdfast/pkg/testkit/internal/port"
	"github.com/holdfast-games/holdfast/pkg/testkit/process"
)

const (
	program      = "redis-server"
	startTimeout = 20 * time.Second
	stopTimeout  = 5 * time.Second
	portAttempts = 10
)

var errPortTaken = errors.New("port is taken")

// Option changes how a server is started.
type Option func(*config)

type config struct{ args []string }

// AOF keeps an append-only file: every write that was answered is there again
// after Kill and Restart. Without it a restarted server is empty.
func AOF() Option { return Args("--appendonly", "yes") }

// Args adds command line arguments, such as "--maxmemory", "8mb".
func Args(args ...string) Option {
	return func(c *config) { c.args = append(c.args, args...) }
}

// Server is one redis-server. Its methods are safe for concurrent use.
type Server struct {
	path string
	dir  string
	args []string

	mu    sync.Mutex
	claim *port.Claim
	proc  *process.Process
}

// Start returns a server that answers. It ends with the test.
func Start(tb testing.TB, options ...Option) *Server {
	tb.Helper()
	s, err := launch(testkit.Program(tb, program), options...)
	if err != nil {
		tb.Fatalf("start redis: %v", err)
	}
	tb.Cleanup(func() {
		if tb.Failed() {
			tb.Logf("log of redis at %s:\n%s", s.Addr(), s.log())
		}
		s.close()
	})
	return s
}

// launch starts a server that is not bound to a test: call close.
func launch(path string, options ...Option) (*Server, error) {
	var c config
	for _, option := range options {
		option(&c)
	}
	dir, err := os.MkdirTemp("", "holdfast-redis-")
	if err != nil {
		return nil, fmt.Errorf("create the data folder: %w", err)
	}
	s := &Server{path: path, dir: dir, args: c.args}
	for range portAttempts {
		if s.claim, err = port.New(); err != nil {
			break
		}
		if err = s.start(); err == nil {
			return s, nil
		}
		s.claim.Release()
		if !errors.Is(err, errPortTaken) {
			break
		}
	}
	_ = os.RemoveAll(dir)
	return nil, err
}

// Addr returns "127.0.0.1:port". It stays the same over restarts.
func (s *Server) Addr() string { return s.claim.Addr() }

// URL returns the address as HOLDFAST_REDIS_URL takes it.
func (s *Server) URL() string { return "redis://" + s.Addr() }

// Kill ends the server as kill -9 does, and returns when it is gone.
func (s *Server) Kill() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.proc.Kill()
}

// Stop shuts the server down in order, and returns when it is gone.
func (s *Server) Stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stop()
}

// Restart starts the server again on the same port and folder, after stopping
// it in order if it still runs, and returns when it answers.
func (s *Server) Restart(tb testing.TB) {
	tb.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stop()
	if err := s.start(); err != nil {
		tb.Fatalf("restart redis at %s: %v", s.Addr(), err)
	}
}

// Pause freezes the server: connections stay, nothing is answered.
func (s *Server) Pause(tb testing.TB) {
	tb.Helper()
	s.signal(tb, syscall.SIGSTOP)
}

// Resume lets a paused server go on.
func (s *Server) Resume(tb testing.TB) {
	tb.Helper()
	s.signal(tb, syscall.SIGCONT)
}

// FlushAll empties the server, scripts included.
func (s *Server) FlushAll(tb testing.TB) {
	tb.Helper()
	for _, command := range []string{"FLUSHALL", "SCRIPT FLUSH"} {
		if answer, err := ask(s.Addr(), command); err != nil || answer != "+OK" {
			tb.Fatalf("%s at %s: %q, %v", command, s.Addr(), answer, err)
		}
	}
}

func (s *Server) signal(tb testing.TB, signal os.Signal) {
	tb.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.proc.Signal(signal); err != nil {
		tb.Fatalf("redis at %s: %v", s.Addr(), err)
	}
}

func (s *Server) start() error {
	host, number, err := net.SplitHostPort(s.Addr())
	if err != nil {
		return fmt.Errorf("split the address: %w", err)
	}
	args := append([]string{"--bind", host, "--port", number, "--dir", s.dir, "--save", ""}, s.args...)
	s.proc, err = process.Start(process.Command{Path: s.path, Args: args, Dir: s.dir})
	if err != nil {
		return err
	}
	return s.awaitReady()
}

func (s *Server) awaitReady() error {
	deadline := time.Now().Add(startTimeout)
	for time.Now().Before(deadline) {
		select {
		case <-s.proc.Done():
			if strings.Contains(s.proc.Log(), "ddress already in use") {
				return fmt.Errorf("%s: %w", s.Addr(), errPortTaken)
			}
			return fmt.Errorf("it ended at once (%w):\n%s", s.proc.Err(), s.proc.Log())
		case <-time.After(time.Millisecond):
		}
		if ready, pid := state(s.Addr()); ready {
			if pid != s.proc.PID() {
				s.proc.Kill()
				return fmt.Errorf("%s is served by process %d: %w", s.Addr(), pid, errPortTaken)
			}
			return nil
		}
	}
	s.proc.Kill()
	return fmt.Errorf("no answer from %s within %s:\n%s", s.Addr(), startTimeout, s.proc.Log())
}

func (s *Server) stop() { s.proc.Stop(syscall.SIGTERM, stopTimeout) }

func (s *Server) close() {
	s.Kill()
	s.claim.Release()
	_ = os.RemoveAll(s.dir)
}

func (s *Server) log() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.proc.Log()
}

func (s *Server) running() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.proc.Running()
}

// state reports whether a Redis at addr has its data loaded, and its process.
func state(addr string) (ready bool, pid int) {
	if answer, err := ask(addr, "PING"); err != nil || answer != "+PONG" {
		return false, 0
	}
	info, err := ask(addr, "INFO server")
	if err != nil {
		return false, 0
	}
	_, rest, _ := strings.Cut(info, "process_id:")
	digits, _, _ := strings.Cut(rest, "\r\n")
	pid, err = strconv.Atoi(digits)
	return err == nil, pid
}
