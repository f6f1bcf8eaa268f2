package stack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/holdfast-games/holdfast/pkg/testkit/process"
)

// program is one process that listens on a port it keeps over restarts.
type program struct {
	name, path string
	dir        string // where it runs and logs
	args       func(addr string) []string
	addr       string

	mu  sync.Mutex
	run *process.Process
}

func (p *program) start(ctx context.Context, vars map[string]string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.addr == "" {
		addr, err := freeAddr(ctx)
		if err != nil {
			return err
		}
		p.addr = addr
	}
	c := process.Command{Path: p.path, Dir: filepath.Join(p.dir, p.name+"-"+port(p.addr))}
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return fmt.Errorf("start %s: %w", p.name, err)
	}
	if p.args != nil {
		c.Args = p.args(p.addr)
	}
	c.Env = append(os.Environ(), "HOLDFAST_ADDR="+p.addr)
	for k, v := range vars {
		c.Env = append(c.Env, "HOLDFAST_"+k+"="+v)
	}
	run, err := process.Start(c)
	if err != nil {
		return fmt.Errorf("start %s: %w", p.name, err)
	}
	p.run = run
	return nil
}

func (p *program) running() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.run != nil && p.run.Running()
}

// kill ends it as kill -9 does, and waits for the end.
func (p *program) kill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.run != nil {
		p.run.Kill()
		<-p.run.Done()
	}
}

// log returns what it wrote since its last start.
func (p *program) log() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.run == nil {
		return ""
	}
	return p.run.Log()
}

func freeAddr(ctx context.Context) (string, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a port: %w", err)
	}
	defer l.Close()
	return l.Addr().String(), nil
}

func port(addr string) string {
	_, p, _ := net.SplitHostPort(addr)
	return p
}

// await calls probe until it succeeds or ctx ends, or for readyTimeout.
func await(ctx context.Context, probe func() error) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for {
		err := probe()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-ticker.C:
		}
	}
}

// newClient returns a client for one call or a few.
func newClient() *http.Client { return &http.Client{Timeout: readyTimeout} }

func get(ctx context.Context, url string) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return err
	}
	res, err := newClient().Do(r)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	body, _ := io.ReadAll(res.Body)
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", res.Status, body)
	}
	return nil
}
