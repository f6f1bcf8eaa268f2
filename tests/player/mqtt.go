package player

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/url"
	"strings"
	"sync"

	"github.com/eclipse/paho.golang/paho"

	"github.com/holdfast-games/holdfast/proto/wire"
)

// Connection is one MQTT connection of a player. What it was sent is kept.
type Connection struct {
	client *paho.Client
	conn   net.Conn

	mu       sync.Mutex
	messages []Message
	pushes   []wire.MatchmakingPush
	sessions []wire.SnapshotPush
	changed  chan struct{} // closed and renewed at each message
	gone     chan struct{}
	once     sync.Once
}

// Connect opens an MQTT connection with the player's token and subscribes to
// everything of the player.
func (p *Player) Connect(ctx context.Context) (*Connection, error) {
	c, err := p.Dial(ctx)
	if err != nil {
		return nil, err
	}
	_, err = c.client.Subscribe(ctx, &paho.Subscribe{
		Subscriptions: []paho.SubscribeOptions{{Topic: "player/" + p.ID() + "/#", QoS: 1}},
	})
	if err != nil {
		c.Drop()
		return nil, fmt.Errorf("subscribe: %w", err)
	}
	return c, nil
}

// Dial opens an MQTT connection and subscribes to nothing.
func (p *Player) Dial(ctx context.Context) (*Connection, error) {
	m := p.Login.MQTT
	return dial(ctx, m.URL, m.ClientID, m.Username, p.Token)
}

// Observe connects as the back end's own publisher, who may read everything,
// and subscribes to the matchmaking messages of all players.
func Observe(ctx context.Context, brokerURL, username, password string) (*Connection, error) {
	c, err := dial(ctx, brokerURL, "observer", username, password)
	if err != nil {
		return nil, err
	}
	_, err = c.client.Subscribe(ctx, &paho.Subscribe{
		Subscriptions: []paho.SubscribeOptions{{Topic: "player/+/matchmaking", QoS: 1}},
	})
	if err != nil {
		c.Drop()
		return nil, fmt.Errorf("subscribe: %w", err)
	}
	return c, nil
}

func dial(ctx context.Context, brokerURL, clientID, username, password string) (*Connection, error) {
	u, err := url.Parse(brokerURL)
	if err != nil {
		return nil, fmt.Errorf("mqtt url: %w", err)
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", u.Host)
	if err != nil {
		return nil, fmt.Errorf("mqtt: %w", err)
	}
	c := &Connection{conn: conn, changed: make(chan struct{}), gone: make(chan struct{})}
	end := func() { c.once.Do(func() { close(c.gone) }) }
	c.client = paho.NewClient(paho.ClientConfig{
		Conn:               conn,
		OnPublishReceived:  []func(paho.PublishReceived) (bool, error){c.receive},
		OnClientError:      func(error) { end() },
		OnServerDisconnect: func(*paho.Disconnect) { end() },
	})
	ack, err := c.client.Connect(ctx, &paho.Connect{
		ClientID: clientID, Username: username, UsernameFlag: true, Password: []byte(password), PasswordFlag: true,
		CleanStart: true, KeepAlive: 30,
	})
	if err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("mqtt connect: %w", err)
	}
	if ack.ReasonCode != 0 {
		_ = conn.Close()
		return nil, fmt.Errorf("mqtt connect: refused with 0x%02x", ack.ReasonCode)
	}
	return c, nil
}

func (c *Connection) receive(r paho.PublishReceived) (bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.messages = append(c.messages, Message{r.Packet.Topic, bytes.Clone(r.Packet.Payload)})
	_, kind, _ := strings.Cut(strings.TrimPrefix(r.Packet.Topic, "player/"), "/")
	switch kind {
	case "matchmaking":
		var m wire.MatchmakingPush
		if err := json.Unmarshal(r.Packet.Payload, &m); err != nil {
			return false, fmt.Errorf("matchmaking push: %w", err)
		}
		c.pushes = append(c.pushes, m)
	case "session":
		var s wire.SnapshotPush
		if err := json.Unmarshal(r.Packet.Payload, &s); err != nil {
			return false, fmt.Errorf("session push: %w", err)
		}
		c.sessions = append(c.sessions, s)
	}
	close(c.changed)
	c.changed = make(chan struct{})
	return true, nil
}

// Message is one message as it came.
type Message struct {
	Topic   string
	Payload []byte
}

// Messages returns everything that came so far.
func (c *Connection) Messages() []Message {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]Message(nil), c.messages...)
}

// Pushes returns the matchmaking messages so far.
func (c *Connection) Pushes() []wire.MatchmakingPush {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]wire.MatchmakingPush(nil), c.pushes...)
}

// Sessions returns the snapshots pushed so far.
func (c *Connection) Sessions() []wire.SnapshotPush {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]wire.SnapshotPush(nil), c.sessions...)
}

// AwaitPush waits for the first matchmaking message of a type.
func (c *Connection) AwaitPush(ctx context.Context, kind wire.MatchmakingType) (wire.MatchmakingPush, error) {
	for {
		c.mu.Lock()
		changed := c.changed
		for _, m := range c.pushes {
			if m.Type == kind {
				c.mu.Unlock()
				return m, nil
			}
		}
		c.mu.Unlock()
		select {
		case <-ctx.Done():
			return wire.MatchmakingPush{}, fmt.Errorf("no %s push: %w", kind, ctx.Err())
		case <-changed:
		}
	}
}

// AwaitSession waits for the first pushed snapshot that fits.
func (c *Connection) AwaitSession(ctx context.Context, fits func(wire.SnapshotPush) bool) (wire.SnapshotPush, error) {
	for {
		c.mu.Lock()
		changed := c.changed
		for _, s := range c.sessions {
			if fits(s) {
				c.mu.Unlock()
				return s, nil
			}
		}
		c.mu.Unlock()
		select {
		case <-ctx.Done():
			return wire.SnapshotPush{}, fmt.Errorf("no such session push: %w", ctx.Err())
		case <-changed:
		}
	}
}

// AwaitPushTo waits for a matchmaking message of a type to one player.
func (c *Connection) AwaitPushTo(ctx context.Context, player string, kind wire.MatchmakingType) (wire.MatchmakingPush, error) {
	for {
		c.mu.Lock()
		changed := c.changed
		i := 0
		for _, message := range c.messages {
			if !strings.HasSuffix(message.Topic, "/matchmaking") {
				continue
			}
			if m := c.pushes[i]; message.Topic == "player/"+player+"/matchmaking" && m.Type == kind {
				c.mu.Unlock()
				return m, nil
			}
			i++
		}
		c.mu.Unlock()
		select {
		case <-ctx.Done():
			return wire.MatchmakingPush{}, fmt.Errorf("no %s push to %s: %w", kind, player, ctx.Err())
		case <-changed:
		}
	}
}

// Gone is closed when the connection has ended.
func (c *Connection) Gone() <-chan struct{} { return c.gone }

// Drop cuts the TCP connection, as a lost network does: no DISCONNECT.
func (c *Connection) Drop() { _ = c.conn.Close() }

// Quit disconnects cleanly.
func (c *Connection) Quit() { _ = c.client.Disconnect(&paho.Disconnect{}) }
