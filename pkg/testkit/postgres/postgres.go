//go:build unix

// Package postgres starts real Postgres servers for tests: a private cluster
// in a temporary folder on a free port, gone when the test is over or the
// binary dies. A test that needs Postgres on a machine without it is skipped,
// or fails in CI (see testkit.Program).
package postgres

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast-games/holdfast/pkg/testkit"
	"github.com/holdfast-games/holdfast/pkg/testkit/internal/port"
	"github.com/holdfast-games/holdfast/pkg/testkit/process"
)

const (
	superuser    = "holdfast"
	startTimeout = 30 * time.Second
	stopTimeout  = 10 * time.Second
	dialTimeout  = time.Second
	portAttempts = 10
)

var errPortTaken = errors.New("port is taken")

// Server is one Postgres cluster. Its methods are safe for concurrent use.
type Server struct {
	path    string // of the program postgres
	dir     string
	account *account

	mu        sync.Mutex
	claim     *port.Claim
	proc      *process.Process
	databases int
}

// Start returns a server that answers. It ends with the test. It takes a
// second or two, so share one among the tests of a package (see Shared).
func Start(tb testing.TB) *Server {
	tb.Helper()
	s := mustLaunch(tb)
	tb.Cleanup(func() {
		if tb.Failed() {
			tb.Logf("log of postgres at %s:\n%s", s.claim.Addr(), s.log())
		}
		s.close()
	})
	return s
}

func mustLaunch(tb testing.TB) *Server {
	tb.Helper()
	const debian = "/usr/lib/postgresql/*/bin"
	server := testkit.Program(tb, "postgres", debian)
	initdb := testkit.Program(tb, "initdb", debian)
	account, err := unprivileged()
	if err != nil {
		testkit.Missing(tb, "an account for postgres, which root may not run ("+err.Error()+"), ")
	}
	s, err := launch(server, initdb, account)
	if err != nil {
		tb.Fatalf("start postgres: %v", err)
	}
	return s
}

func launch(server, initdb string, account *account) (*Server, error) {
	dir, err := os.MkdirTemp("", "holdfast-postgres-")
	if err != nil {
		return nil, fmt.Errorf("create the data folder: %w", err)
	}
	s := &Server{path: server, dir: dir, account: account}
	if err := s.startAnywhere(initdb); err != nil {
		_ = os.RemoveAll(dir)
		return nil, err
	}
	return s, nil
}

func (s *Server) startAnywhere(initdb string) (err error) {
	if err := s.initialise(initdb); err != nil {
		return err
	}
	for range portAttempts {
		if s.claim, err = port.New(); err != nil {
			return err
		}
		if err = s.start(); err == nil {
			return nil
		}
		s.claim.Release()
		if !errors.Is(err, errPortTaken) {
			return err
		}
	}
	return err
}

// URL returns the address of the maintenance database. Tests use databases of
// their own, see CreateDatabase.
func (s *Server) URL() string { return s.url("postgres") }

// Addr returns "127.0.0.1:port". It stays the same over restarts.
func (s *Server) Addr() string { return s.claim.Addr() }

// CreateDatabase returns the URL of a new empty database, which is dropped when
// the test is over, whoever is still connected.
func (s *Server) CreateDatabase(tb testing.TB) string {
	tb.Helper()
	s.mu.Lock()
	s.databases++
	name := "test_" + strconv.Itoa(s.databases)
	s.mu.Unlock()
	if err := s.execute("CREATE DATABASE " + name); err != nil {
		tb.Fatalf("create a database: %v", err)
	}
	tb.Cleanup(func() {
		if !s.running() {
			return // the test stopped the server; the folder goes with it
		}
		if err := s.execute("DROP DATABASE " + name + " WITH (FORCE)"); err != nil {
			tb.Logf("drop a database: %v", err)
		}
	})
	return s.url(name)
}

// Kill ends the server without a checkpoint, as a crash does: connections
// break, and Restart recovers what was committed. It returns when the server
// is gone.
func (s *Server) Kill() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.proc.Stop(syscall.SIGQUIT, stopTimeout)
}

// Stop shuts the server down in order, breaking connections, and returns when
// it is gone.
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
		tb.Fatalf("restart postgres at %s: %v", s.claim.Addr(), err)
	}
}

func (s *Server) url(database string) string {
	return "postgres://" + superuser + "@" + s.claim.Addr() + "/" + database + "?sslmode=disable"
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }

func (s *Server) initialise(initdb string) error {
	if err := s.account.own(s.dir); err != nil {
		return err
	}
	command := exec.Command(initdb, "--pgdata", s.data(), "--username", superuser,
		"--auth", "trust", "--encoding", "UTF8", "--no-locale", "--no-sync")
	command.Dir = s.dir
	command.SysProcAttr = &syscall.SysProcAttr{Credential: s.account.credential()}
	if output, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w:\n%s", err, output)
	}
	return nil
}

// start runs the server without what only a power cut makes necessary. Commits
// still reach the operating system before they are answered, so that Kill and
// Restart lose none.
func (s *Server) start() (err error) {
	_, number, _ := strings.Cut(s.claim.Addr(), ":")
	s.proc, err = process.Start(process.Command{
		Path: s.path,
		Args: []string{
			"-D", s.data(), "-p", number, "-h", "127.0.0.1",
			"-c", "unix_socket_directories=", "-c", "fsync=off", "-c", "full_page_writes=off",
			"-c", "shared_buffers=32MB", "-c", "max_connections=200",
		},
		Dir:         s.dir,
		User:        s.account.credential(),
		DeathSignal: syscall.SIGQUIT, // unlike SIGKILL it takes the workers along
	})
	if err != nil {
		return err
	}
	return s.awaitReady()
}

func (s *Server) awaitReady() error {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	for {
		select {
		case <-s.proc.Done():
			if strings.Contains(s.proc.Log(), "ddress already in use") {
				return fmt.Errorf("%s: %w", s.claim.Addr(), errPortTaken)
			}
			return fmt.Errorf("it ended at once (%w):\n%s", s.proc.Err(), s.proc.Log())
		case <-ctx.Done():
			s.proc.Kill()
			return fmt.Errorf("no answer from %s within %s:\n%s", s.claim.Addr(), startTimeout, s.proc.Log())
		case <-time.After(5 * time.Millisecond):
		}
		if folder, err := s.ask("SHOW data_directory"); err == nil {
			if folder != s.data() {
				s.proc.Kill()
				return fmt.Errorf("%s serves %s: %w", s.claim.Addr(), folder, errPortTaken)
			}
			return nil
		}
	}
}

// ask runs a query for one text over a connection of its own.
func (s *Server) ask(query string) (answer string, err error) {
	err = s.connected(func(ctx context.Context, conn *pgx.Conn) error {
		return conn.QueryRow(ctx, query).Scan(&answer)
	})
	return answer, err
}

func (s *Server) execute(statement string) error {
	return s.connected(func(ctx context.Context, conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, statement)
		return err
	})
}

func (s *Server) connected(do func(ctx context.Context, conn *pgx.Conn) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	config, err := pgx.ParseConfig(s.URL())
	if err != nil {
		return fmt.Errorf("parse the address: %w", err)
	}
	config.ConnectTimeout = dialTimeout
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer func() { _ = conn.Close(ctx) }()
	return do(ctx, conn)
}

func (s *Server) stop() { s.proc.Stop(syscall.SIGINT, stopTimeout) }

func (s *Server) close() {
	s.Kill()
	s.claim.Release()
	_ = os.RemoveAll(s.dir)
}

func (s *Server) running() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.proc.Running()
}

func (s *Server) log() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.proc.Log()
}
