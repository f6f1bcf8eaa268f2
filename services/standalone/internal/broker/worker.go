package broker

import (
	"slices"
	"sync"
	"time"
)

// worker is one queue of the sender. While events wait to be tried again it sends nothing new.
type worker struct {
	sender *sender
	wake   chan struct{}

	mu       sync.Mutex
	queue    []*event
	retry    []*event
	inflight map[*event]struct{}
}

// push appends an event and drops the oldest when the queue is full.
func (w *worker) push(e *event) {
	w.mu.Lock()
	w.queue = append(w.queue, e)
	var oldest *event
	if len(w.queue) > w.sender.limit {
		oldest, w.queue = w.queue[0], w.queue[1:]
	}
	w.mu.Unlock()
	if oldest != nil {
		w.sender.settle(oldest, func(n *Stats) { n.Overflowed++ })
	}
	w.poke()
}

func (w *worker) poke() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// run works off the queue until the sender ends.
func (w *worker) run() {
	var requests sync.WaitGroup
	defer requests.Wait()
	var pause <-chan time.Time // runs while the worker is blocked
	for {
		for e := w.next(); e != nil; e = w.next() {
			requests.Go(func() { w.deliver(e) })
		}
		if pause == nil && w.isBlocked() {
			pause = time.After(w.sender.resume)
		}
		select {
		case <-w.sender.life.Done():
			return
		case <-w.wake:
			if w.isBlocked() && w.sender.isDraining() {
				w.tryAgain()
			}
		case <-pause:
			pause = nil
			w.tryAgain()
		}
	}
}

// next takes an event to send now, or nil when there is none, the window is full or the worker is blocked.
func (w *worker) next() *event {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.queue) == 0 || len(w.retry) > 0 || len(w.inflight) >= w.sender.window {
		return nil
	}
	e := w.queue[0]
	w.queue = w.queue[1:]
	if w.inflight == nil {
		w.inflight = map[*event]struct{}{}
	}
	w.inflight[e] = struct{}{}
	return e
}

func (w *worker) isBlocked() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.retry) > 0
}

func (w *worker) deliver(e *event) {
	result := unreachable
	if !w.sender.isExpired(e) {
		result = w.sender.offer(e)
	}
	if result == unreachable && w.keep(e) {
		return
	}
	w.land(e)
	w.conclude(e, result)
}

// keep puts an unreachable event among those to be tried again, if it has a future.
func (w *worker) keep(e *event) bool {
	if e.life.Err() != nil || w.sender.isExpired(e) || w.sender.isDraining() {
		return false
	}
	w.mu.Lock()
	delete(w.inflight, e)
	w.retry = append(w.retry, e)
	w.mu.Unlock()
	w.poke()
	return true
}

func (w *worker) land(e *event) {
	w.mu.Lock()
	delete(w.inflight, e)
	w.mu.Unlock()
	w.poke()
}

func (w *worker) conclude(e *event, result outcome) {
	w.sender.settle(e, func(n *Stats) {
		switch {
		case result == delivered:
			n.Delivered++
		case result == refused:
			n.Refused++
		case w.sender.isExpired(e):
			n.Expired++
		default:
			n.Lost++
		}
	})
}

// tryAgain offers the blocked events one by one, until one fails again.
func (w *worker) tryAgain() {
	for {
		w.mu.Lock()
		if len(w.retry) == 0 {
			w.mu.Unlock()
			return
		}
		e := w.retry[0]
		w.mu.Unlock()
		result := unreachable
		if !w.sender.isExpired(e) {
			result = w.sender.offer(e)
		}
		if result == unreachable && !w.sender.isExpired(e) && !w.sender.isDraining() && e.life.Err() == nil {
			return
		}
		if w.unblock(e) {
			w.conclude(e, result)
		}
	}
}

// unblock takes the event off the list of those to be tried again; false means it was forgotten meanwhile.
func (w *worker) unblock(e *event) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.retry) == 0 || w.retry[0] != e {
		return false
	}
	w.retry = w.retry[1:]
	return true
}

// forget loses what waits here and breaks off what is in flight.
func (w *worker) forget() {
	w.mu.Lock()
	waiting := slices.Concat(w.queue, w.retry)
	w.queue, w.retry = nil, nil
	for e := range w.inflight {
		e.forget()
	}
	w.mu.Unlock()
	for _, e := range waiting {
		w.sender.settle(e, func(n *Stats) { n.Lost++ })
	}
}
