package faultproxy_test

import (
	"bufio"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-games/holdfast/pkg/testkit"
	"github.com/holdfast-games/holdfast/pkg/testkit/faultproxy"
)

const patience = 20 * time.Second

func TestMain(m *testing.M) { testkit.Main(m) }

// echoServer answers each line with itself until the client ends its half, then
// says "bye".
func echoServer(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer func() { _ = conn.Close() }()
				if _, err := io.Copy(conn, conn); err == nil {
					_, _ = io.WriteString(conn, "bye\n")
				}
			})
		}
	})
	t.Cleanup(wg.Wait)
	t.Cleanup(func() { _ = listener.Close() })
	return listener.Addr().String()
}

type peer struct {
	*net.TCPConn
	lines *bufio.Reader
}

func dial(t *testing.T, p *faultproxy.Proxy) *peer {
	t.Helper()
	conn, err := net.Dial("tcp", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return &peer{conn.(*net.TCPConn), bufio.NewReader(conn)}
}

// call sends a line and returns the answer, waiting at most as long as given.
func (c *peer) call(line string, wait time.Duration) (string, error) {
	if _, err := io.WriteString(c, line+"\n"); err != nil {
		return "", err
	}
	return c.read(wait)
}

func (c *peer) read(wait time.Duration) (string, error) {
	if err := c.SetReadDeadline(time.Now().Add(wait)); err != nil {
		return "", err
	}
	answer, err := c.lines.ReadString('\n')
	return strings.TrimSuffix(answer, "\n"), err
}

func mustCall(t *testing.T, c *peer, line string) {
	t.Helper()
	if got, err := c.call(line, patience); err != nil || got != line {
		t.Fatalf("sent %q, got %q, %v", line, got, err)
	}
}

// mustBreak fails unless a new connection is refused or reset.
func mustBreak(t *testing.T, p *faultproxy.Proxy) {
	t.Helper()
	conn, err := net.Dial("tcp", p.Addr())
	if err != nil {
		return
	}
	defer func() { _ = conn.Close() }()
	c := &peer{conn.(*net.TCPConn), bufio.NewReader(conn)}
	if got, err := c.call("hello", patience); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a new connection: %q, %v; want it broken", got, err)
	}
}

func TestForwardsBothWaysAndTheEndOfEachHalf(t *testing.T) {
	p := faultproxy.Start(t, echoServer(t))
	c := dial(t, p)
	long := strings.Repeat("x", 300_000)
	mustCall(t, c, "hello")
	mustCall(t, c, long)
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if got, err := c.read(patience); err != nil || got != "bye" {
		t.Fatalf("after the client's end: %q, %v", got, err)
	}
	if _, err := c.read(patience); !errors.Is(err, io.EOF) {
		t.Errorf("after the server's end: %v, want EOF", err)
	}
}

func TestCutResetsOldAndNewConnections(t *testing.T) {
	p := faultproxy.Start(t, echoServer(t))
	old := dial(t, p)
	mustCall(t, old, "hello")
	p.Cut()
	if got, err := old.read(patience); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the old connection after Cut: %q, %v", got, err)
	}
	mustBreak(t, p)
	p.Heal()
	mustCall(t, dial(t, p), "hello again")
}

func TestStallHoldsBytesUntilHeal(t *testing.T) {
	p := faultproxy.Start(t, echoServer(t))
	c := dial(t, p)
	mustCall(t, c, "hello")
	p.Stall()
	if got, err := c.call("held", 50*time.Millisecond); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("during Stall: %q, %v; want nothing", got, err)
	}
	fresh := dial(t, p)
	if got, err := fresh.call("new", 50*time.Millisecond); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("a new connection during Stall: %q, %v; want nothing", got, err)
	}
	p.Heal()
	for c, want := range map[*peer]string{c: "held", fresh: "new"} {
		if got, err := c.read(patience); err != nil || got != want {
			t.Errorf("after Heal: %q, %v; want %q", got, err, want)
		}
	}
}

func TestCutEndsWhatIsStalled(t *testing.T) {
	p := faultproxy.Start(t, echoServer(t))
	c := dial(t, p)
	mustCall(t, c, "hello")
	p.Stall()
	if _, err := io.WriteString(c, "held\n"); err != nil {
		t.Fatal(err)
	}
	p.Cut()
	if got, err := c.read(patience); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("after Stall and Cut: %q, %v", got, err)
	}
}

func TestDelayCountsInEachDirection(t *testing.T) {
	const delay = 30 * time.Millisecond
	p := faultproxy.Start(t, echoServer(t))
	c := dial(t, p)
	mustCall(t, c, "hello")
	p.Delay(delay)
	begin := time.Now()
	mustCall(t, c, "slow")
	if took := time.Since(begin); took < 2*delay {
		t.Errorf("a round trip took %s, want %s or more", took, 2*delay)
	}
	p.Delay(time.Hour)
	if _, err := c.call("never", 10*time.Millisecond); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("within an hour's delay: %v", err)
	}
	p.Heal() // an hour's delay that has begun ends too
	if got, err := c.read(patience); err != nil || got != "never" {
		t.Errorf("after Heal: %q, %v", got, err)
	}
}

func TestTargetThatIsDownLooksDown(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = listener.Close()
	mustBreak(t, faultproxy.Start(t, listener.Addr().String()))
}
