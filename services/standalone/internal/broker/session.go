package broker

import (
	"context"
	"errors"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"
)

// errThrottled refuses a CONNECT whose client id could not be had in time, as EMQX does under a storm of
// connections with one id.
var errThrottled = errors.New("client id is taken by another connection")

// admit makes room for an authenticated connection: the old one steps down first. On success the client id stays
// locked until settle.
func (b *Broker) admit(c *conn) error {
	if b.faults.throttled() {
		return errThrottled
	}
	ctx, cancel := context.WithTimeout(c.life, takeoverPatience)
	defer cancel()
	b.gate.RLock()
	unlock, err := b.clients.lock(ctx, c.hello.id)
	if err != nil {
		b.gate.RUnlock()
		return errThrottled
	}
	c.release = func() { unlock(); b.gate.RUnlock() }
	c.createdAt = b.takeOver(c)
	c.connectedAt = time.Now()
	if c.createdAt.IsZero() {
		c.createdAt = c.connectedAt
	}
	return nil
}

// takeOver ends the old connection of the client id, if there is one, and returns when the session was created
// that now continues, else zero.
func (b *Broker) takeOver(c *conn) time.Time {
	old := b.clients.get(c.hello.id)
	if old == nil {
		return time.Time{}
	}
	if old.isLive() {
		end := ending{reason: "discarded", code: packets.ErrSessionTakenOver.Code}
		if !c.hello.clean {
			end.reason, end.hold = "takenover", b.cfg.Takeover == Takeover59
		}
		if old.stepDown(end) && end.hold {
			c.predecessor = old
		}
		old.waitGone(takeoverPatience)
	}
	waiting := b.clients.wake(old)
	if c.hello.clean && waiting != nil {
		b.publishWill(b.life, old, waiting)
	}
	if _, kept := b.server.Clients.Get(c.hello.id); kept && !c.hello.clean {
		return old.createdAt
	}
	return time.Time{}
}

// register makes an admitted connection the client's current one and reports it.
func (b *Broker) register(c *conn) {
	c.mu.Lock()
	c.registered = true
	c.expiry = c.hello.expiry
	c.mu.Unlock()
	b.clients.put(c)
	c.reportConnected()
	c.expireLogin()
}

// expireLogin ends the connection when the login's time is over.
func (c *conn) expireLogin() {
	if c.login.expireAt.IsZero() {
		return
	}
	c.loginTimer = time.AfterFunc(time.Until(c.login.expireAt), func() {
		c.stepDown(ending{reason: "not_authorized", code: packets.ErrNotAuthorized.Code})
	})
}

// retire keeps or ends the session of a connection that is over. The will is one whose delay runs from now.
func (b *Broker) retire(c *conn, end ending, late *will) {
	c.mu.Lock()
	seconds, at, silent := c.expiry, c.endedAt, c.silent
	c.mu.Unlock()
	if end.wipe || seconds == 0 {
		b.clients.remove(c)
		b.dropSubscriptions(c)
		return
	}
	o := offline{since: at, will: late}
	if late != nil && !silent {
		o.willTimer = time.AfterFunc(late.delay(seconds), func() {
			if w := b.clients.takeWill(c); w != nil {
				b.publishWill(b.life, c, w)
			}
		})
	}
	if seconds != never {
		o.expiryTimer = time.AfterFunc(time.Duration(seconds)*time.Second, func() { b.expireSession(c) })
	}
	b.clients.leave(c, o)
}

// never is the MQTT 5 session expiry that means no expiry.
const never = 0xFFFFFFFF

// expireSession ends a session whose client stayed away too long.
func (b *Broker) expireSession(c *conn) {
	unlock, err := b.clients.lock(b.life, c.hello.id)
	if err != nil {
		return
	}
	defer unlock()
	if b.clients.get(c.hello.id) == c {
		if w := b.destroySession(c); w != nil {
			b.publishWill(b.life, c, w)
		}
	}
}

// kick ends the client's connection and session. It reports false for an unknown client.
func (b *Broker) kick(ctx context.Context, id string) bool {
	unlock, err := b.clients.lock(ctx, id)
	if err != nil {
		return false
	}
	defer unlock()
	c := b.clients.get(id)
	if c == nil {
		return false
	}
	if c.isLive() {
		c.stepDown(ending{reason: "kicked", code: packets.ErrAdministrativeAction.Code, wipe: true})
		c.waitGone(takeoverPatience)
	}
	if w := b.destroySession(c); w != nil {
		b.publishWill(b.life, c, w)
	}
	return true
}

// destroySession forgets everything about a client whose connection is over and returns the will that was waiting.
func (b *Broker) destroySession(c *conn) *will {
	waiting := b.clients.remove(c)
	b.dropSubscriptions(c)
	return waiting
}

func (b *Broker) dropSubscriptions(c *conn) {
	if current, ok := b.server.Clients.Get(c.hello.id); !ok || current != c.client {
		return
	}
	c.client.ClearInflights()
	b.server.UnsubscribeClient(c.client)
	b.server.Clients.Delete(c.hello.id)
}
