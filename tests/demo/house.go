package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/holdfast-games/holdfast/proto/wire"
	"github.com/holdfast-games/holdfast/tests/stack"
)

// house is where the story plays.
type house struct {
	origin   string
	look     func(ctx context.Context, playerID string) (wire.Snapshot, bool, error) // nil = not possible
	killAll  func()                                                                  // nil = not possible, for the reason why
	startAll func(ctx context.Context) error
	why      string
	close    func()
}

// open chooses the best house there is.
func open(ctx context.Context, origin string) (house, error) {
	if origin != "" {
		fmt.Printf("Playing against %s.\n\n", origin)
		return house{origin: origin, why: "this is somebody's running system", close: func() {}}, nil
	}
	dir, err := os.MkdirTemp("", "holdfast-demo-")
	if err != nil {
		return house{}, fmt.Errorf("demo: %w", err)
	}
	fmt.Println("Building the programs …")
	if err := stack.BuildPrograms(ctx, ".", dir); err != nil {
		return house{}, errors.Join(err, os.RemoveAll(dir))
	}
	var h house
	if _, lookErr := exec.LookPath("redis-server"); lookErr == nil {
		h, err = processes(ctx, dir)
	} else {
		h, err = standaloneOnly(ctx, dir)
	}
	if err != nil {
		return house{}, errors.Join(err, os.RemoveAll(dir))
	}
	inner := h.close
	h.close = func() {
		inner()
		_ = os.RemoveAll(dir)
	}
	return h, nil
}

// processes runs two processes of every service on a real Redis.
func processes(ctx context.Context, dir string) (house, error) {
	s, err := stack.Start(ctx, stack.Options{BinDir: dir})
	if err != nil {
		return house{}, err
	}
	fmt.Printf("Playing with two processes of every service, redis-server and the embedded broker, at %s.\n\n", s.Origin)
	return house{origin: s.Origin, look: s.LookUp, killAll: s.KillAll, startAll: s.StartAll, close: s.Close}, nil
}

const demoToken = "demo-service-token"

// standaloneOnly runs the standalone program with its embedded Redis.
func standaloneOnly(ctx context.Context, dir string) (house, error) {
	public, internal, err := twoAddrs(ctx)
	if err != nil {
		return house{}, err
	}
	cmd := exec.Command(filepath.Join(dir, "standalone"))
	cmd.Env = append(os.Environ(), "HOLDFAST_STANDALONE_HTTP_ADDR="+public, "HOLDFAST_STANDALONE_INTERNAL_ADDR="+internal,
		"HOLDFAST_STANDALONE_MQTT_ADDR=127.0.0.1:0", "HOLDFAST_STANDALONE_MQTT_WS_ADDR=127.0.0.1:0",
		"HOLDFAST_DATABASE_URL=sqlite://"+filepath.Join(dir, "demo.db"), "HOLDFAST_JWT_KEYS_DIR="+filepath.Join(dir, "keys"),
		"HOLDFAST_SERVICE_TOKEN="+demoToken, "HOLDFAST_LOG_LEVEL=error")
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return house{}, fmt.Errorf("demo: %w", err)
	}
	h := house{
		origin: "http://" + public, why: "there is no redis-server here, and the embedded one would die with them",
		look: func(ctx context.Context, playerID string) (wire.Snapshot, bool, error) {
			return stack.LookUp(ctx, "http://"+internal, demoToken, playerID)
		},
		close: func() {
			_ = cmd.Process.Signal(syscall.SIGTERM)
			_ = cmd.Wait()
		},
	}
	if err := awaitReady(ctx, "http://"+internal+"/readyz"); err != nil {
		h.close()
		return house{}, err
	}
	fmt.Printf("Playing with one standalone process, at %s.\n\n", h.origin)
	return h, nil
}

// twoAddrs returns two addresses that are free now.
func twoAddrs(ctx context.Context) (a, b string, err error) {
	if a, err = freeAddr(ctx); err == nil {
		b, err = freeAddr(ctx)
	}
	return a, b, err
}

func freeAddr(ctx context.Context) (string, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("demo: %w", err)
	}
	return l.Addr().String(), l.Close()
}

func awaitReady(ctx context.Context, url string) error {
	return poll(ctx, func() (bool, error) {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
		if err != nil {
			return false, err
		}
		res, err := (&http.Client{Timeout: time.Second}).Do(r)
		if err != nil {
			return false, nil //nolint:nilerr // not yet
		}
		return res.StatusCode == http.StatusOK, res.Body.Close()
	})
}

// await looks at a player until the snapshot fits.
func (h house) await(ctx context.Context, playerID string, fits func(wire.Snapshot) bool) (wire.Snapshot, error) {
	var last wire.Snapshot
	err := poll(ctx, func() (bool, error) {
		s, ok, err := h.look(ctx, playerID)
		last = s
		return ok && fits(s), err
	})
	return last, err
}

func poll(ctx context.Context, done func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for {
		if ok, err := done(); ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
	}
}
