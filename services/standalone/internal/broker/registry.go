package broker

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"
)

// registry knows, for each client id, the connection that is live or whose session waits for its return, and lets
// one party at a time change that.
type registry struct {
	mu    sync.Mutex
	locks map[string]*idLock
	rows  map[string]*conn
}

type idLock struct {
	free  chan struct{} // holds one token while nobody has the lock
	users int
}

// offline is what waits for a client that is away.
type offline struct {
	since       time.Time // zero while the connection is live
	will        *will
	willTimer   *time.Timer
	expiryTimer *time.Timer
}

func newRegistry() *registry {
	return &registry{locks: map[string]*idLock{}, rows: map[string]*conn{}}
}

// lock makes the caller the only one to change what belongs to the client id, until it calls unlock.
func (r *registry) lock(ctx context.Context, id string) (unlock func(), err error) {
	r.mu.Lock()
	l := r.locks[id]
	if l == nil {
		l = &idLock{free: make(chan struct{}, 1)}
		l.free <- struct{}{}
		r.locks[id] = l
	}
	l.users++
	r.mu.Unlock()
	leave := func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		if l.users--; l.users == 0 {
			delete(r.locks, id)
		}
	}
	select {
	case <-l.free:
		return func() { l.free <- struct{}{}; leave() }, nil
	case <-ctx.Done():
		leave()
		return nil, ctx.Err()
	}
}

func (r *registry) get(id string) *conn {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.rows[id]
}

// all returns every row in the order of client ids.
func (r *registry) all() []*conn {
	r.mu.Lock()
	defer r.mu.Unlock()
	rows := make([]*conn, 0, len(r.rows))
	for _, c := range r.rows {
		rows = append(rows, c)
	}
	slices.SortFunc(rows, func(a, b *conn) int { return cmp.Compare(a.hello.id, b.hello.id) })
	return rows
}

func (r *registry) put(c *conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rows[c.hello.id] = c
}

// remove deletes the row if it still is this connection's and returns the will that was waiting.
func (r *registry) remove(c *conn) *will {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.rows[c.hello.id] == c {
		delete(r.rows, c.hello.id)
	}
	return c.offline.wake()
}

// leave notes that the client is away with its session kept, unless a successor has taken the row.
func (r *registry) leave(c *conn, o offline) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.rows[c.hello.id] != c {
		o.wake()
		return false
	}
	c.offline = o
	return true
}

// wake ends the waiting of an offline session for its successor and returns the will that was waiting.
func (r *registry) wake(c *conn) *will {
	r.mu.Lock()
	defer r.mu.Unlock()
	return c.offline.wake()
}

// takeWill returns the will whose delay is over, once.
func (r *registry) takeWill(c *conn) *will {
	r.mu.Lock()
	defer r.mu.Unlock()
	w := c.offline.will
	c.offline.will = nil
	return w
}

func (r *registry) awaySince(c *conn) time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return c.offline.since
}

func (r *registry) clear() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for id, c := range r.rows {
		c.offline.wake()
		delete(r.rows, id)
	}
}

func (o *offline) wake() *will {
	for _, t := range []*time.Timer{o.willTimer, o.expiryTimer} {
		if t != nil {
			t.Stop()
		}
	}
	w := o.will
	o.will = nil
	return w
}
