// Package mqttkit publishes to the broker: QoS 1, acknowledged, over a
// connection that comes back by itself.
package mqttkit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"sync"
	"time"

	"github.com/eclipse/paho.golang/autopaho"
	"github.com/eclipse/paho.golang/paho"
	"github.com/eclipse/paho.golang/paho/session"

	"github.com/holdfast-games/holdfast/pkg/id"
	"github.com/holdfast-games/holdfast/pkg/secret"
)

// ErrNotConnected says that there is no broker connection now.
var ErrNotConnected = errors.New("mqtt: not connected")

// Publisher publishes on one connection. Safe for concurrent use.
type Publisher struct {
	manager *autopaho.ConnectionManager

	mu   sync.Mutex
	up   chan struct{}   // closed once there is a connection
	link context.Context // ends with that connection
	drop context.CancelFunc
}

// Config says where and as whom to connect.
type Config struct {
	URL      string
	Username string
	Password secret.Secret
}

const (
	keepAlive      = 20 // seconds
	connectTimeout = 5 * time.Second
	retryAfter     = 500 * time.Millisecond
	publishTimeout = 5 * time.Second
)

// Connect starts connecting in the background and keeps at it until ctx ends.
// Each publisher has a client id of its own, so that several instances never
// take over each other's connection.
func Connect(ctx context.Context, c Config, log *slog.Logger) (*Publisher, error) {
	u, err := url.Parse(c.URL)
	if err != nil || u.Host == "" {
		return nil, errors.New("mqtt url: not a URL with a host")
	}
	p := &Publisher{up: make(chan struct{})}
	p.link, p.drop = context.WithCancel(context.Background())
	p.drop()
	p.manager, err = autopaho.NewConnection(ctx, autopaho.ClientConfig{
		ServerUrls: []*url.URL{u}, KeepAlive: keepAlive, ConnectTimeout: connectTimeout,
		CleanStartOnInitialConnection: true, ConnectUsername: c.Username, ConnectPassword: []byte(c.Password.Reveal()),
		ReconnectBackoff: func(attempt int) time.Duration {
			if attempt == 0 {
				return 0
			}
			return retryAfter
		},
		OnConnectionUp: func(*autopaho.ConnectionManager, *paho.Connack) {
			log.Info("mqtt connected")
			p.connected()
		},
		OnConnectionDown: p.disconnected,
		OnConnectError:   func(err error) { log.Warn("mqtt connect", "error", err) },
		ClientConfig: paho.ClientConfig{
			ClientID:      "holdfast-" + id.New(),
			OnClientError: func(err error) { log.Warn("mqtt connection lost", "error", err) },
		},
	})
	if err != nil {
		return nil, fmt.Errorf("mqtt: %w", err)
	}
	return p, nil
}

func (p *Publisher) connected() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.link, p.drop = context.WithCancel(context.Background())
	close(p.up)
}

// disconnected says yes to connecting again.
func (p *Publisher) disconnected() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.up = make(chan struct{})
	p.drop()
	return true
}

func (p *Publisher) state() (up <-chan struct{}, link context.Context) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.up, p.link
}

// Publish sends one message with QoS 1 and returns when the broker has taken
// it. It fails at once, with ErrNotConnected, when there is no connection, or
// when it is lost before the broker answers: the message may have arrived.
func (p *Publisher) Publish(ctx context.Context, topic string, payload []byte, retain bool) error {
	_, link := p.state()
	ctx, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	defer context.AfterFunc(link, cancel)()
	_, err := p.manager.Publish(ctx, &paho.Publish{Topic: topic, Payload: payload, QoS: 1, Retain: retain})
	switch {
	case err != nil && link.Err() != nil, errors.Is(err, autopaho.ConnectionDownError), errors.Is(err, session.ErrNoConnection):
		return ErrNotConnected
	case err != nil:
		return fmt.Errorf("mqtt publish: %w", err)
	default:
		return nil
	}
}

// Await waits until there is a connection or ctx ends.
func (p *Publisher) Await(ctx context.Context) error {
	up, _ := p.state()
	select {
	case <-up:
		return nil
	case <-p.manager.Done():
		return ErrNotConnected
	case <-ctx.Done():
		return fmt.Errorf("mqtt: %w", ctx.Err())
	}
}

// Close disconnects and waits for the end of the connection.
func (p *Publisher) Close(ctx context.Context) error {
	err := p.manager.Disconnect(ctx)
	if err != nil && !errors.Is(err, autopaho.ConnectionDownError) {
		return fmt.Errorf("mqtt disconnect: %w", err)
	}
	return nil
}
