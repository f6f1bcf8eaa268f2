package stack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// program is one process that listens on a port it keeps over restarts.
type program struct {
	name, path string
	args       func(addr string) []string
	log        *os.File
	addr       string

	mu   sync.Mutex
	cmd  *exec.Cmd
	done chan struct{}
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
	var args []string
	if p.args != nil {
		args = p.args(p.addr)
	}
	cmd := exec.Command(p.path, args...) //nolint:gosec,noctx // our own programs; they end by kill
	cmd.Env = append(os.Environ(), "HOLDFAST_ADDR="+p.addr)
	for k, v := range vars {
		cmd.Env = append(cmd.Env, "HOLDFAST_"+k+"="+v)
	}
	if p.log != nil {
		cmd.Stderr = p.log
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", p.name, err)
	}
	done := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(done)
	}()
	p.cmd, p.done = cmd, done
	return nil
}

func (p *program) running() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil {
		return false
	}
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// signal sends a signal and waits for the end.
func (p *program) signal(sig os.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil {
		return
	}
	_ = p.cmd.Process.Signal(sig)
	<-p.done
}

func (p *program) kill() { p.signal(syscall.SIGKILL) }

func freeAddr(ctx context.Context) (string, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a port: %w", err)
	}
	defer l.Close() //nolint:errcheck // it never served
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

func get(ctx context.Context, url string) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer res.Body.Close() //nolint:errcheck // read only
	body, _ := io.ReadAll(res.Body)
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", res.Status, body)
	}
	return nil
}
