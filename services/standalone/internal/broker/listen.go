package broker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"syscall"
	"time"

	"github.com/gorilla/websocket"
)

const (
	receiveMaximum    = 32      // packets in flight, as EMQX's CONNACK says
	maximumPacketSize = 1 << 20 // bytes, as EMQX's CONNACK says

	tcpListener = "tcp:default"
	wsListener  = "ws:default"
)

func (b *Broker) listen(ctx context.Context) error {
	steps := []struct {
		address string
		bound   func(a *addresses, to string)
		serve   func(net.Listener)
	}{
		{b.cfg.TCPAddr, func(a *addresses, to string) { a.tcp = to }, b.acceptTCP},
		{b.cfg.WSAddr, func(a *addresses, to string) { a.ws = to }, b.serveHTTP(http.HandlerFunc(b.acceptWS))},
		{b.cfg.APIAddr, func(a *addresses, to string) { a.api = to }, b.serveHTTP(b.Handler())},
	}
	for _, s := range steps {
		if s.address == "" {
			continue
		}
		l, err := new(net.ListenConfig).Listen(ctx, "tcp", s.address)
		if err != nil {
			return fmt.Errorf("broker: listen: %w", err)
		}
		b.mu.Lock()
		if b.closed {
			b.mu.Unlock()
			return errors.Join(errors.New("broker: closed while starting"), l.Close())
		}
		b.listeners = append(b.listeners, l)
		s.bound(&b.addr, l.Addr().String())
		b.serve.Go(func() { s.serve(l) })
		b.mu.Unlock()
	}
	return nil
}

func (b *Broker) acceptTCP(l net.Listener) {
	for {
		nc, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			b.log.Warn("accept MQTT connection", "error", err)
			if !b.pause(100 * time.Millisecond) {
				return
			}
			continue
		}
		c := b.newConn(nc, tcpListener, false)
		if b.track(c) {
			go b.attend(c)
		}
	}
}

// pause waits for d and reports false if the broker closed meanwhile.
func (b *Broker) pause(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-b.life.Done():
		return false
	}
}

// track notes a new connection, or closes it when the broker is closed. A tracked one must be attended.
func (b *Broker) track(c *conn) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		_ = c.Conn.Close()
		c.cancel()
		return false
	}
	b.live[c] = struct{}{}
	b.serve.Add(1)
	return true
}

func (b *Broker) attend(c *conn) {
	defer b.serve.Done()
	c.run()
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.live, c)
}

func (b *Broker) serveHTTP(h http.Handler) func(net.Listener) {
	return func(l net.Listener) {
		server := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
		b.mu.Lock()
		closed := b.closed
		b.servers = append(b.servers, server)
		b.mu.Unlock()
		if closed {
			_ = l.Close()
			return
		}
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
			b.log.Error("serve HTTP", "error", err)
		}
	}
}

// acceptWS upgrades a request for /mqtt that offers the subprotocol mqtt; like EMQX it takes nothing else.
func (b *Broker) acceptWS(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/mqtt" {
		http.NotFound(w, r)
		return
	}
	protocols := []string{"mqtt", "mqtt-v3", "mqtt-v3.1.1", "mqtt-v5"}
	offered := func(p string) bool { return slices.Contains(protocols, p) }
	if !slices.ContainsFunc(websocket.Subprotocols(r), offered) {
		http.Error(w, "subprotocol mqtt is required", http.StatusBadRequest)
		return
	}
	upgrader := websocket.Upgrader{Subprotocols: protocols, CheckOrigin: func(*http.Request) bool { return true }}
	ws, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		return
	}
	ws.SetReadLimit(maximumPacketSize)
	c := b.newConn(&wsConn{Conn: ws.NetConn(), ws: ws}, wsListener, true)
	if b.track(c) {
		b.attend(c)
	}
}

// wsConn makes a byte stream of binary WebSocket messages. Deadlines are those of the connection below.
type wsConn struct {
	net.Conn
	ws      *websocket.Conn
	message io.Reader
}

func (w *wsConn) Read(p []byte) (int, error) {
	for {
		if w.message == nil {
			kind, r, err := w.ws.NextReader()
			if err != nil {
				return 0, fmt.Errorf("read WebSocket: %w", err)
			}
			if kind != websocket.BinaryMessage {
				return 0, errors.New("read WebSocket: not a binary message")
			}
			w.message = r
		}
		n, err := w.message.Read(p)
		if errors.Is(err, io.EOF) {
			w.message, err = nil, nil
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
}

func (w *wsConn) Write(p []byte) (int, error) {
	if err := w.ws.WriteMessage(websocket.BinaryMessage, p); err != nil {
		return 0, fmt.Errorf("write WebSocket: %w", err)
	}
	return len(p), nil
}

// isNetworkEnd reports whether a read ended because the other side is gone. A WebSocket close frame is not such an
// end: EMQX reports it as internal_error.
func isNetworkEnd(err error) bool {
	if frame := (*websocket.CloseError)(nil); errors.As(err, &frame) {
		return frame.Code == websocket.CloseAbnormalClosure
	}
	return err == nil || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}
