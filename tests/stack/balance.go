package stack

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
)

// balancer is a load balancer that alternates between instances for each
// request and knows nothing of their health.
type balancer struct {
	listener net.Listener
	server   *http.Server

	mu     sync.Mutex
	routes map[string][]string // path prefix → addresses
	next   map[string]int
	lose   string // requests whose body holds this are answered with 204 and go nowhere
}

func newBalancer() (*balancer, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // bound at once
	if err != nil {
		return nil, fmt.Errorf("load balancer: %w", err)
	}
	b := &balancer{listener: l, next: map[string]int{}}
	b.server = &http.Server{Handler: b.proxy()} //nolint:gosec // for tests
	go func() { _ = b.server.Serve(l) }()
	return b, nil
}

func (b *balancer) proxy() http.Handler {
	transport := &http.Transport{MaxIdleConnsPerHost: 64}
	proxy := &httputil.ReverseProxy{
		Transport: transport,
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(&url.URL{Scheme: "http", Host: b.pick(r.In.URL.Path)})
			r.Out.Host = r.In.Host
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !b.routed(r.URL.Path) {
			http.NotFound(w, r)
			return
		}
		if b.lost(r) {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		proxy.ServeHTTP(w, r)
	})
}

func (b *balancer) lost(r *http.Request) bool {
	b.mu.Lock()
	lose := b.lose
	b.mu.Unlock()
	if lose == "" {
		return false
	}
	body, err := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(body))
	return err == nil && bytes.Contains(body, []byte(lose))
}

func (b *balancer) routed(path string) bool { return b.prefix(path) != "" }

func (b *balancer) prefix(path string) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	for prefix, addrs := range b.routes {
		if strings.HasPrefix(path, prefix) && len(addrs) > 0 {
			return prefix
		}
	}
	return ""
}

func (b *balancer) pick(path string) string {
	prefix := b.prefix(path)
	b.mu.Lock()
	defer b.mu.Unlock()
	addrs := b.routes[prefix]
	b.next[prefix]++
	return addrs[b.next[prefix]%len(addrs)]
}

func (b *balancer) set(routes map[string][]string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.routes = routes
}

func (b *balancer) url() string { return "http://" + b.listener.Addr().String() }

func (b *balancer) close() { _ = b.server.Close() }
