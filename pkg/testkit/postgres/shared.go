//go:build unix

package postgres

import (
	"sync"
	"testing"
)

// Shared is one server for all tests of a package, started when the first test
// asks for it. The zero value is ready:
//
//	var shared postgres.Shared
//
//	func TestMain(m *testing.M) { testkit.Main(m, shared.Stop) }
//
//	func TestStore(t *testing.T) { url := shared.CreateDatabase(t) … }
//
// Each test has a database of its own, so tests may run in parallel. A test
// that stops the server must Start its own.
type Shared struct {
	mu     sync.Mutex
	server *Server
}

// CreateDatabase returns the URL of a new empty database, which is dropped when
// the test is over.
func (s *Shared) CreateDatabase(tb testing.TB) string {
	tb.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.server == nil {
		s.server = mustLaunch(tb)
	}
	return s.server.CreateDatabase(tb)
}

// Stop ends what was started. Call it after the last test.
func (s *Shared) Stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.server != nil {
		s.server.close()
		s.server = nil
	}
}
