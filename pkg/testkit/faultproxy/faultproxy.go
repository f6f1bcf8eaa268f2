// Package faultproxy is a TCP proxy to put between a client and a server in
// tests, so that the network between them can be cut, frozen or slowed.
package faultproxy

import (
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

const (
	bufferSize  = 32 << 10
	dialTimeout = 5 * time.Second
)

// Proxy forwards TCP connections to one target. All methods are safe for
// concurrent use.
type Proxy struct {
	target   string
	listener net.Listener
	wg       sync.WaitGroup

	mu      sync.Mutex
	fault   fault
	changed chan struct{} // closed and replaced when fault changes
	closed  bool
	conns   map[*net.TCPConn]struct{}
}

type fault struct {
	cut, stalled bool
	delay        time.Duration
}

// Start returns a healthy proxy to target ("host:port"); it ends with the test.
// The target need not be up: it is dialled for each connection.
func Start(tb testing.TB, target string) *Proxy {
	tb.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatalf("listen for the fault proxy: %v", err)
	}
	p := &Proxy{
		target: target, listener: listener,
		changed: make(chan struct{}), conns: map[*net.TCPConn]struct{}{},
	}
	p.wg.Go(p.accept)
	tb.Cleanup(p.close)
	return p
}

// Addr returns the "host:port" that clients are to use instead of the target.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Cut resets every connection, and every new one as soon as it is made: what a
// crashed server or a rejecting firewall looks like.
func (p *Proxy) Cut() {
	p.set(fault{cut: true})
	p.resetAll()
}

// Stall lets no byte through in either direction and closes nothing: what a
// frozen server or a silent network partition looks like. Heal delivers what
// was held.
func (p *Proxy) Stall() { p.set(fault{stalled: true}) }

// Delay holds back everything by d in each direction, so that a request and
// its answer take 2d longer. Bytes that arrive while others are held wait with
// them, for less than 2d in all.
func (p *Proxy) Delay(d time.Duration) { p.set(fault{delay: d}) }

// Heal ends every fault. Connections that were cut stay so: clients reconnect.
func (p *Proxy) Heal() { p.set(fault{}) }

func (p *Proxy) set(f fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fault = f
	close(p.changed)
	p.changed = make(chan struct{})
}

func (p *Proxy) accept() {
	for {
		conn, err := p.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err == nil {
			p.wg.Go(func() { p.serve(conn.(*net.TCPConn)) })
		}
	}
}

func (p *Proxy) serve(client *net.TCPConn) {
	if !p.admit(client) {
		return
	}
	defer p.reset(client)
	conn, err := net.DialTimeout("tcp", p.target, dialTimeout)
	if err != nil {
		return
	}
	server := conn.(*net.TCPConn)
	if !p.admit(server) {
		return
	}
	defer p.reset(server)

	gone := make(chan struct{})
	var ends sync.WaitGroup
	var once sync.Once
	forward := func(to, from *net.TCPConn) {
		if !p.copy(to, from, gone) {
			once.Do(func() { close(gone) })
			p.reset(to)
			p.reset(from)
		}
	}
	ends.Go(func() { forward(server, client) })
	ends.Go(func() { forward(client, server) })
	ends.Wait()
}

// copy forwards until from ends its half, which it passes on (true), or until
// either connection breaks (false).
func (p *Proxy) copy(to, from *net.TCPConn, gone <-chan struct{}) bool {
	buffer := make([]byte, bufferSize)
	for {
		n, err := from.Read(buffer)
		if n > 0 {
			if !p.pass(gone) {
				return false
			}
			if _, err := to.Write(buffer[:n]); err != nil {
				return false
			}
		}
		if errors.Is(err, io.EOF) {
			return p.pass(gone) && to.CloseWrite() == nil
		}
		if err != nil {
			return false
		}
	}
}

// pass waits as long as the fault of the moment demands. It returns false when
// the connection is gone meanwhile.
func (p *Proxy) pass(gone <-chan struct{}) bool {
	arrived := time.Now()
	for {
		p.mu.Lock()
		f, changed := p.fault, p.changed
		p.mu.Unlock()
		var due <-chan time.Time
		if !f.stalled {
			wait := f.delay - time.Since(arrived)
			if wait <= 0 {
				return !f.cut
			}
			due = time.After(wait)
		}
		select {
		case <-due:
			return true
		case <-changed:
		case <-gone:
			return false
		}
	}
}

// admit registers a connection, or resets it when there is to be none now.
func (p *Proxy) admit(conn *net.TCPConn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conns[conn] = struct{}{}
	if p.fault.cut || p.closed {
		p.resetLocked(conn)
		return false
	}
	return true
}

func (p *Proxy) reset(conn *net.TCPConn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.resetLocked(conn)
}

func (p *Proxy) resetAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for conn := range p.conns {
		p.resetLocked(conn)
	}
}

// resetLocked closes with a RST, so that the peer sees an error and not an
// orderly end, unless both halves have ended in order already.
func (p *Proxy) resetLocked(conn *net.TCPConn) {
	if _, ok := p.conns[conn]; !ok {
		return
	}
	delete(p.conns, conn)
	_ = conn.SetLinger(0)
	_ = conn.Close()
}

func (p *Proxy) close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	_ = p.listener.Close()
	p.Cut()
	p.wg.Wait()
}
