package broker

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

const (
	hookTries      = 3                // tries of one call when the connection fails; a timeout is not tried again
	connectTimeout = 15 * time.Second // of the TCP connection to a hook
	maxAnswer      = 1 << 20          // bytes of an answer that are read
)

// hookClient sends requests to the authentication and authorization hooks.
type hookClient struct {
	http    *http.Client
	secret  string
	timeout time.Duration
}

func newHookClient(cfg Config) *hookClient {
	return &hookClient{http: newHTTPClient(cfg.PoolSize), secret: cfg.HookSecret, timeout: cfg.AuthTimeout}
}

// newHTTPClient returns a client with EMQX's habits: a bounded pool, no proxy, no compression, no redirects.
func newHTTPClient(pool int) *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			DialContext:         (&net.Dialer{Timeout: connectTimeout}).DialContext,
			MaxConnsPerHost:     pool,
			MaxIdleConnsPerHost: pool,
			IdleConnTimeout:     30 * time.Second,
			DisableCompression:  true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

func (h *hookClient) close() { h.http.CloseIdleConnections() }

// answer is a whole HTTP answer.
type answer struct {
	status      int
	contentType string
	body        []byte
}

func (a answer) is2xx() bool { return a.status >= 200 && a.status < 300 }

// fields returns the JSON object in the body.
func (a answer) fields() (map[string]any, error) {
	var m map[string]any
	d := json.NewDecoder(bytes.NewReader(a.body))
	d.UseNumber()
	if err := d.Decode(&m); err != nil {
		return nil, fmt.Errorf("read answer: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) || m == nil {
		return nil, errors.New("read answer: not one JSON object")
	}
	return m, nil
}

func (a answer) isJSON() bool { return strings.HasPrefix(a.contentType, "application/json") }

// ask sends body as JSON and returns the answer, whatever its status. Connection failures are tried again, so the
// hook may see one question up to three times.
func (h *hookClient) ask(ctx context.Context, url string, body any) (answer, error) {
	raw, err := json.Marshal(body)
	if err != nil {
		return answer{}, fmt.Errorf("encode question: %w", err)
	}
	var last error
	for range hookTries {
		a, err := h.try(ctx, url, raw)
		if err == nil {
			return a, nil
		}
		last = err
		if ctx.Err() != nil || isTimeout(err) {
			break
		}
	}
	return answer{}, last
}

func (h *hookClient) try(ctx context.Context, url string, raw []byte) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, h.timeout)
	defer cancel()
	return post(ctx, h.http, url, h.secret, raw)
}

// post sends one request with exactly the headers that EMQX sends.
func post(ctx context.Context, client *http.Client, url, secret string, raw []byte) (answer, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(raw))
	if err != nil {
		return answer{}, fmt.Errorf("build request: %w", err)
	}
	req.Header["content-type"] = []string{"application/json"}
	req.Header["authorization"] = []string{"Bearer " + secret}
	req.Header["User-Agent"] = nil
	resp, err := client.Do(req)
	if err != nil {
		return answer{}, fmt.Errorf("call hook: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return answer{}, fmt.Errorf("read hook's answer: %w", err)
	}
	return answer{status: resp.StatusCode, contentType: resp.Header.Get("Content-Type"), body: body}, nil
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}
