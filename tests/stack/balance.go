package stack

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
)

// balancer is a load balancer that alternates between instances for each
// request and knows nothing of their health. The one for players answers 502
// for an instance that does not answer. The one for the broker is a TCP load
// balancer: it connects to another instance if one cannot be connected to, and
// a connection that breaks is broken for the broker too.
type balancer struct {
	tcp   bool
	watch Watch

	listener net.Listener
	server   *http.Server

	mu     sync.Mutex
	routes map[string][]string // path prefix → addresses
	next   map[string]int
	lose   string // requests whose body holds this are answered with 204 and go nowhere
}

// Watch is called with every answer: the request as it came in, and the
// answer as it goes out.
type Watch func(r *http.Request, status int, header http.Header, body []byte)

func newBalancer(tcp bool, watch Watch) (*balancer, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("load balancer: %w", err)
	}
	b := &balancer{tcp: tcp, watch: watch, listener: l, next: map[string]int{}}
	b.server = &http.Server{Handler: b.proxy(), ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)}
	go func() { _ = b.server.Serve(l) }()
	return b, nil
}

func (b *balancer) proxy() http.Handler {
	transport := &http.Transport{MaxIdleConnsPerHost: 64}
	if b.tcp {
		transport.DialContext = b.dialAny
		transport.DisableKeepAlives = true
	}
	proxy := &httputil.ReverseProxy{
		Transport: transport,
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(&url.URL{Scheme: "http", Host: b.pick(r.In.URL.Path)})
			r.Out.Host = r.In.Host
		},
		ModifyResponse: b.seen,
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) {
			if b.tcp {
				panic(http.ErrAbortHandler)
			}
			w.WriteHeader(http.StatusBadGateway)
		},
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
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

func (b *balancer) seen(res *http.Response) error {
	if b.watch == nil {
		return nil
	}
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	res.Body = io.NopCloser(bytes.NewReader(body))
	b.watch(res.Request, res.StatusCode, res.Header, body)
	return nil
}

// dialAny connects to the address, or to any other instance.
func (b *balancer) dialAny(ctx context.Context, network, addr string) (net.Conn, error) {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, network, addr)
	for _, other := range b.addrs() {
		if err == nil {
			break
		}
		conn, err = dialer.DialContext(ctx, network, other)
	}
	return conn, err
}

func (b *balancer) addrs() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var all []string
	for _, addrs := range b.routes {
		all = append(all, addrs...)
	}
	return all
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
