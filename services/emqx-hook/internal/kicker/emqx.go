package kicker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/holdfast-games/holdfast/pkg/secret"
)

const (
	apiPath     = "/api/v5"
	callTimeout = 5 * time.Second
	dialTimeout = 2 * time.Second
	maxAnswer   = 1 << 20 // bytes
	// clientNotFound tells a client that is not there from an address that is not EMQX's.
	clientNotFound = "CLIENTID_NOT_FOUND"
)

// EMQX is the REST interface of EMQX 5. Safe for concurrent use.
type EMQX struct {
	base   *url.URL
	key    string
	secret secret.Secret
	client *http.Client
}

// NewEMQX returns an interface at rawURL, "http://host:18083" with or without
// "/api/v5", for an API key and its secret. It does not connect.
func NewEMQX(rawURL, key string, apiSecret secret.Secret) (*EMQX, error) {
	base, err := url.Parse(rawURL)
	if err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https" {
		return nil, errors.New("not an http URL with a host")
	}
	if key == "" || !apiSecret.Set() {
		return nil, errors.New("the API key or its secret is missing")
	}
	base.Path = strings.TrimSuffix(base.Path, "/")
	if !strings.HasSuffix(base.Path, apiPath) {
		base.Path += apiPath
	}
	return &EMQX{base: base, key: key, secret: apiSecret, client: &http.Client{
		Timeout: callTimeout,
		Transport: &http.Transport{
			DialContext:         (&net.Dialer{Timeout: dialTimeout}).DialContext,
			TLSHandshakeTimeout: dialTimeout, MaxConnsPerHost: 2 * Parallel,
			DisableKeepAlives: true, // kicks are rare
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// Client implements Broker.
func (e *EMQX) Client(ctx context.Context, clientID string) (Client, error) {
	body, err := e.call(ctx, http.MethodGet, clientID)
	if err != nil {
		return Client{}, err
	}
	var row struct {
		Attrs map[string]string `json:"client_attrs"`
	}
	if err := json.Unmarshal(body, &row); err != nil {
		return Client{}, fmt.Errorf("decode the client: %w", err)
	}
	epoch, err := strconv.ParseInt(row.Attrs["epoch"], 10, 64)
	if err != nil || epoch < 1 || row.Attrs["player"] != clientID {
		return Client{}, nil //nolint:nilerr // a client that did not log in at our hook
	}
	return Client{Epoch: epoch}, nil
}

// Kick implements Broker.
func (e *EMQX) Kick(ctx context.Context, clientID string) error {
	_, err := e.call(ctx, http.MethodDelete, clientID)
	return err
}

func (e *EMQX) call(ctx context.Context, method, clientID string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, method, e.base.JoinPath("clients", url.PathEscape(clientID)).String(), http.NoBody)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRefused, err)
	}
	request.SetBasicAuth(e.key, e.secret.Reveal())
	response, err := e.client.Do(request)
	if err != nil {
		return nil, fmt.Errorf("call the broker: %w", err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return nil, fmt.Errorf("read the broker's answer: %w", err)
	}
	return body, verdict(response.StatusCode, body)
}

// verdict turns a status, and the code in the body, into an error.
func verdict(status int, body []byte) error {
	var problem struct {
		Code string `json:"code"`
	}
	_ = json.Unmarshal(body, &problem) // an answer of something else has no code
	switch {
	case status == http.StatusOK || status == http.StatusNoContent:
		return nil
	case status == http.StatusNotFound && problem.Code == clientNotFound:
		return ErrUnknownClient
	case status == http.StatusRequestTimeout || status == http.StatusTooManyRequests || status >= 500:
		return fmt.Errorf("the broker answered %d %s", status, problem.Code)
	default:
		return fmt.Errorf("%w: %d %s", ErrRefused, status, problem.Code)
	}
}
