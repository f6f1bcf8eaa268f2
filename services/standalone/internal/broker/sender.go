package broker

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"
)

// Stats counts events by what became of them.
type Stats struct {
	Delivered  int // answered with 2xx
	Refused    int // answered with a status that is not tried again
	Expired    int // undelivered within RequestTTL
	Overflowed int // pushed out of a full queue by newer ones
	Lost       int // dropped by a fault, by Vanish or by Close
	Requests   int // HTTP requests made
}

// sender delivers events over HTTP as EMQX's buffer workers do: several queues, many requests in flight, so that
// order is not kept by default; 2xx ends it, 429, 503 and connection failures are tried again until the event is too
// old, any other status drops it.
type sender struct {
	url     string
	secret  string
	client  *http.Client
	ttl     time.Duration
	resume  time.Duration
	window  int
	limit   int
	faults  *Faults
	workers []*worker
	life    context.Context
	end     context.CancelFunc
	running sync.WaitGroup

	mu       sync.Mutex
	stats    Stats
	numbers  uint64
	pending  int           // events not yet settled
	idle     chan struct{} // closed when pending falls to 0, nil while it is 0
	aside    map[*event]*time.Timer
	waiting  map[string]*event // by client: the event that waits for a later one to overtake it
	draining bool
}

// event is one webhook request to be.
type event struct {
	client string
	number uint64 // grows in the order of emit
	worker *worker
	body   []byte
	born   time.Time
	life   context.Context // ends when the event is forgotten
	forget context.CancelFunc
}

func newSender(cfg Config, faults *Faults) *sender {
	s := &sender{
		url: cfg.WebhookURL, secret: cfg.HookSecret, client: newHTTPClient(cfg.PoolSize),
		ttl: cfg.RequestTTL, resume: cfg.ResumeInterval, window: cfg.Window, limit: cfg.MaxQueued,
		faults: faults, aside: map[*event]*time.Timer{}, waiting: map[string]*event{},
	}
	s.life, s.end = context.WithCancel(context.Background())
	for range cfg.Workers {
		s.workers = append(s.workers, &worker{sender: s, wake: make(chan struct{}, 1)})
	}
	return s
}

func (s *sender) start() {
	for _, w := range s.workers {
		s.running.Go(w.run)
	}
}

// emit takes an event of the numbered connection. It never waits.
func (s *sender) emit(client string, connection uint64, body []byte) {
	f := s.faults.roll()
	w := s.workers[connection%uint64(len(s.workers))]
	s.accept(client, w, body, f)
	if f.twice {
		next := s.workers[(connection+1)%uint64(len(s.workers))]
		f.hold = 0
		s.accept(client, next, body, f)
	}
}

func (s *sender) accept(client string, w *worker, body []byte, f fate) {
	s.mu.Lock()
	if f.drop || s.life.Err() != nil {
		s.stats.Lost++
		s.mu.Unlock()
		return
	}
	s.numbers++
	e := &event{client: client, number: s.numbers, worker: w, body: body, born: time.Now()}
	e.life, e.forget = context.WithCancel(s.life)
	if s.pending++; s.pending == 1 {
		s.idle = make(chan struct{})
	}
	wait := f.delay
	if f.hold > 0 && !s.draining && s.waiting[client] == nil {
		s.waiting[client] = e
		wait = f.hold
	}
	if wait > 0 && !s.draining {
		s.aside[e] = time.AfterFunc(wait, func() { s.release(e) })
		s.mu.Unlock()
		return
	}
	s.mu.Unlock()
	w.push(e)
}

// release queues an event that was held back, once.
func (s *sender) release(e *event) {
	s.mu.Lock()
	timer, held := s.aside[e]
	if held {
		timer.Stop()
		s.unhold(e)
	}
	s.mu.Unlock()
	if held {
		e.worker.push(e)
	}
}

// unhold takes an event out of those held back. The caller holds s.mu.
func (s *sender) unhold(e *event) {
	delete(s.aside, e)
	if s.waiting[e.client] == e {
		delete(s.waiting, e.client)
	}
}

// settle ends an event's life, counts it, and lets go what waited to be overtaken by it.
func (s *sender) settle(e *event, count func(*Stats)) {
	e.forget()
	s.mu.Lock()
	count(&s.stats)
	if s.pending--; s.pending == 0 {
		close(s.idle)
		s.idle = nil
	}
	waiting := s.waiting[e.client]
	s.mu.Unlock()
	if waiting != nil && waiting.number < e.number {
		s.release(waiting)
	}
}

func (s *sender) counts() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stats
}

// flush waits until nothing is pending.
func (s *sender) flush(ctx context.Context) error {
	for {
		s.mu.Lock()
		idle := s.idle
		s.mu.Unlock()
		if idle == nil {
			return nil
		}
		select {
		case <-idle:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// forget loses everything that is not delivered yet, requests in flight included.
func (s *sender) forget() {
	s.mu.Lock()
	var held []*event
	for e, timer := range s.aside {
		timer.Stop()
		s.unhold(e)
		held = append(held, e)
	}
	s.mu.Unlock()
	for _, e := range held {
		s.settle(e, func(n *Stats) { n.Lost++ })
	}
	for _, w := range s.workers {
		w.forget()
	}
}

// close offers what is pending once more, until ctx ends, and stops.
func (s *sender) close(ctx context.Context) error {
	s.mu.Lock()
	s.draining = true
	var held []*event
	for e := range s.aside {
		held = append(held, e)
	}
	s.mu.Unlock()
	for _, e := range held {
		s.release(e)
	}
	for _, w := range s.workers {
		w.poke()
	}
	var err error
	if s.flush(ctx) != nil {
		err = errors.New("broker: events were still undelivered at the end")
	}
	s.forget()
	s.end()
	s.running.Wait()
	s.client.CloseIdleConnections()
	return err
}

func (s *sender) isDraining() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.draining
}

// outcome of an offer to the receiver.
type outcome int

const (
	delivered outcome = iota
	refused
	unreachable // to be tried again
)

// offer sends an event, up to three times at once while the receiver is unreachable.
func (s *sender) offer(e *event) outcome {
	for range hookTries {
		s.mu.Lock()
		s.stats.Requests++
		s.mu.Unlock()
		ctx, cancel := context.WithDeadline(e.life, e.born.Add(s.ttl))
		a, err := post(ctx, s.client, s.url, s.secret, e.body)
		cancel()
		switch {
		case err == nil && a.is2xx():
			return delivered
		case err == nil && a.status != http.StatusTooManyRequests && a.status != http.StatusServiceUnavailable:
			return refused
		case e.life.Err() != nil || isTimeout(err):
			return unreachable
		}
	}
	return unreachable
}

func (s *sender) isExpired(e *event) bool { return time.Since(e.born) >= s.ttl }
