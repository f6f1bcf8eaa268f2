//go:build unix

package redisserver

import (
	"sync"
	"testing"

	"github.com/holdfast-games/holdfast/pkg/testkit"
)

// Shared is one server, and one cluster, for all tests of a package, each
// started when the first test asks for it. The zero value is ready:
//
//	var shared redisserver.Shared
//
//	func TestMain(m *testing.M) { testkit.Main(m, shared.Stop) }
//
//	func TestStore(t *testing.T) { url := shared.Server(t).URL() … }
//
// Tests that share a server must not run in parallel: each finds it empty.
type Shared struct {
	mu      sync.Mutex
	server  *Server
	cluster *Cluster
}

// Server returns the server, running and empty.
func (s *Shared) Server(tb testing.TB) *Server {
	tb.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.server == nil {
		server, err := launch(testkit.Program(tb, program))
		if err != nil {
			tb.Fatalf("start redis: %v", err)
		}
		s.server = server
	}
	s.server.revive(tb)
	s.server.FlushAll(tb)
	return s.server
}

// Cluster returns the cluster, running and empty.
func (s *Shared) Cluster(tb testing.TB) *Cluster {
	tb.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cluster == nil {
		cluster, err := launchCluster(testkit.Program(tb, program))
		if err != nil {
			tb.Fatalf("start a redis cluster: %v", err)
		}
		s.cluster = cluster
	}
	for _, node := range s.cluster.nodes {
		node.revive(tb)
	}
	if err := s.cluster.awaitWhole(tb.Context()); err != nil {
		tb.Fatalf("revive the redis cluster: %v", err)
	}
	s.cluster.FlushAll(tb)
	return s.cluster
}

// Stop ends what was started. Call it after the last test.
func (s *Shared) Stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.server != nil {
		s.server.close()
		s.server = nil
	}
	if s.cluster != nil {
		s.cluster.close()
		s.cluster = nil
	}
}

// revive undoes what an earlier test may have done to the server.
func (s *Server) revive(tb testing.TB) {
	tb.Helper()
	if !s.running() {
		s.Restart(tb)
	}
	s.Resume(tb)
}
