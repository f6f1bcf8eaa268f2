//go:build unix

package postgres_test

import (
	"errors"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast-games/holdfast/pkg/testkit"
	"github.com/holdfast-games/holdfast/pkg/testkit/postgres"
)

func TestMain(m *testing.M) { testkit.Main(m) }

func connect(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatalf("connect: %v", err)
	}
	t.Cleanup(func() { _ = conn.Close(t.Context()) })
	return conn
}

func execute(t *testing.T, url, statement string) {
	t.Helper()
	if _, err := connect(t, url).Exec(t.Context(), statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

func ask(t *testing.T, url, query string) (n int) {
	t.Helper()
	if err := connect(t, url).QueryRow(t.Context(), query).Scan(&n); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return n
}

func TestDatabasesAreSeparateAndDroppedAfterTheirTest(t *testing.T) {
	server := postgres.Start(t)
	const databases = "SELECT count(*) FROM pg_database WHERE datname LIKE 'test%'"
	t.Run("two of them", func(t *testing.T) {
		one, two := server.CreateDatabase(t), server.CreateDatabase(t)
		execute(t, one, "CREATE TABLE t (x INT)")
		execute(t, two, "CREATE TABLE t (x INT)")
		if n := ask(t, server.URL(), databases); n != 2 {
			t.Errorf("%d databases, want 2", n)
		}
	})
	if n := ask(t, server.URL(), databases); n != 0 {
		t.Errorf("%d databases are left", n)
	}
}

func TestCommittedRowsSurviveKill(t *testing.T) {
	server := postgres.Start(t)
	url := server.CreateDatabase(t)
	execute(t, url, "CREATE TABLE t (x INT)")
	execute(t, url, "INSERT INTO t VALUES (1), (2)")
	server.Kill()
	if conn, err := pgx.Connect(t.Context(), url); err == nil {
		_ = conn.Close(t.Context())
		t.Fatal("a killed server answers")
	}
	server.Restart(t)
	if n := ask(t, url, "SELECT count(*) FROM t"); n != 2 {
		t.Errorf("%d rows after Kill and Restart, want 2", n)
	}
	server.Stop()
	server.Restart(t)
	if n := ask(t, url, "SELECT count(*) FROM t"); n != 2 {
		t.Errorf("%d rows after Stop and Restart, want 2", n)
	}
}

func TestSharedServerIsStartedOnce(t *testing.T) {
	var shared postgres.Shared
	t.Cleanup(shared.Stop)
	one, two := parse(t, shared.CreateDatabase(t)), parse(t, shared.CreateDatabase(t))
	if one.Host != two.Host {
		t.Errorf("two servers: %s and %s", one.Host, two.Host)
	}
	if one.Path == two.Path {
		t.Errorf("both got the database %s", one.Path)
	}
}

func parse(t *testing.T, address string) *url.URL {
	t.Helper()
	parsed, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

func TestNothingIsLeftBehind(t *testing.T) {
	var addr, folder string
	t.Run("server", func(t *testing.T) {
		server := postgres.Start(t)
		addr = server.Addr()
		row := connect(t, server.URL()).QueryRow(t.Context(), "SHOW data_directory")
		if err := row.Scan(&folder); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(folder); err != nil {
			t.Fatalf("the data folder: %v", err)
		}
	})
	if _, err := os.Stat(filepath.Dir(folder)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s is still there: %v", filepath.Dir(folder), err)
	}
	if conn, err := net.Dial("tcp", addr); err == nil {
		_ = conn.Close()
		t.Error("the server outlived its test")
	}
}
