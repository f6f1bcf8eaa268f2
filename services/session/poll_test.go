package session_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	kernel "github.com/holdfast-games/holdfast/pkg/session"
	"github.com/holdfast-games/holdfast/pkg/testkit"
	"github.com/holdfast-games/holdfast/proto/wire"
)

const (
	// wakeWithin is how soon a poll must answer after a change.
	wakeWithin = 100 * time.Millisecond
	// lookEvery is how often a poll looks for itself: an answer well before
	// that was woken.
	lookEvery = 5 * time.Second
)

// poll is a long poll on its way.
type poll struct {
	instance *instance
	request  *http.Request
	done     chan struct{}
	answer   answer
	err      error
	at       time.Time // of the answer
}

// poll begins a long poll for what follows the version, and returns once it
// waits.
func (i *instance) poll(l login, version int64) *poll {
	i.tb.Helper()
	seen := i.record(l.player).Seen
	testkit.Eventually(i.tb, patience, func() bool {
		now, err := i.Redis.Time(i.tb.Context()).Result()
		return err == nil && now.UnixMilli() > seen
	}, "the next millisecond")
	p := &poll{
		instance: i, done: make(chan struct{}),
		request: i.request(http.MethodGet, fmt.Sprintf("%s?version=%d&wait=30", sessionPath, version), l.token, ""),
	}
	go func() {
		defer close(p.done)
		p.answer, p.err = i.try(p.request)
		p.at = time.Now()
	}()
	testkit.Eventually(i.tb, patience, func() bool { return i.record(l.player).Seen > seen }, "the poll to look")
	return p
}

// wait returns the answer of the poll.
func (p *poll) wait() answer {
	p.instance.tb.Helper()
	select {
	case <-p.done:
	case <-time.After(patience):
		p.instance.tb.Fatal("the poll was not answered")
	}
	if p.err != nil {
		p.instance.tb.Fatal(p.err)
	}
	return p.instance.check(p.request, p.answer)
}

// awaitReaders waits until n instances follow the outbox.
func (s *stack) awaitReaders(n int) {
	s.tb.Helper()
	testkit.Eventually(s.tb, patience, func() error {
		info, err := s.Redis.Info(s.tb.Context(), "clients").Result()
		if err == nil && !strings.Contains(info, fmt.Sprintf("blocked_clients:%d\r\n", n)) {
			err = fmt.Errorf("redis says %q", info)
		}
		return err
	}, "the instances to follow the outbox")
}

// change makes the player connect or lose the connection, whichever it can,
// and returns the new version. It stands for another service.
func (s *stack) change(l login) int64 {
	s.tb.Helper()
	if open := s.record(l.player).Connections; len(open) > 0 {
		res, err := s.Store.Disconnected(s.tb.Context(), l.player, open[0].ID, "tcp_closed")
		if err != nil {
			s.tb.Fatal(err)
		}
		return res.Record.V
	}
	_, epoch, err := s.Keeper.Begin(s.tb.Context(), l.claims)
	if err != nil {
		s.tb.Fatal(err)
	}
	res, err := s.Store.Connected(s.tb.Context(), l.player, kernel.NewConnectionID(epoch, epoch, "10.0.0.1:1000"), "node", nil)
	if err != nil {
		s.tb.Fatal(err)
	}
	return res.Record.V
}

// wantFast fails the test unless most of the times are short: a busy machine
// may spoil some.
func wantFast(t *testing.T, what string, took []time.Duration) {
	t.Helper()
	slices.Sort(took)
	if median := took[len(took)/2]; median > wakeWithin {
		t.Errorf("%s: polls were answered after %v, want %s", what, took, wakeWithin)
	}
	if slowest := took[len(took)-1]; slowest > lookEvery/2 {
		t.Errorf("%s: polls were answered after %v: not all were woken", what, took)
	}
}

func TestPollWakesOnWhatAnotherInstanceDoes(t *testing.T) {
	s := newStack(t)
	one, two := s.start(t, "watch"), s.start(t, "watch")
	s.awaitReaders(2)
	ada, bob := s.login("Ada"), s.login("Bob")
	one.snapshot(bob.token)
	last := one.snapshot(ada.token)
	var ended, kicked, changed []time.Duration
	for range 5 {
		p := one.poll(ada, last.Version)
		two.do(http.MethodDelete, sessionPath, ada.token, "").wants(http.StatusNoContent, "")
		began := time.Now()
		next := p.wait().snapshot()
		ended = append(ended, p.at.Sub(began))
		if next.SID == last.SID || next.Version <= last.Version {
			t.Errorf("after the end: %+v, was %+v", next, last)
		}

		p = two.poll(ada, next.Version)
		one.do(http.MethodPost, kickPath(ada.player), serviceToken, `{"reason":"afk"}`).wants(http.StatusNoContent, "")
		began = time.Now()
		next = p.wait().snapshot()
		kicked = append(kicked, p.at.Sub(began))

		p = two.poll(ada, next.Version)
		began = time.Now()
		version := s.change(ada)
		last = p.wait().snapshot()
		changed = append(changed, p.at.Sub(began))
		if last.Version != version || last.Prev != next.Version || last.SID != next.SID {
			t.Errorf("after the change: %+v, want version %d after %d", last, version, next.Version)
		}
	}
	wantFast(t, "DELETE", ended)
	wantFast(t, "kick", kicked)
	wantFast(t, "connection", changed)
}

func TestEveryPollOfAPlayerWakes(t *testing.T) {
	s := newStack(t)
	one, two := s.start(t, "watch"), s.start(t, "watch")
	s.awaitReaders(2)
	ada := s.login("Ada")
	last := one.snapshot(ada.token).Version
	polls := []*poll{one.poll(ada, last), one.poll(ada, last), two.poll(ada, last), two.poll(ada, last)}
	one.wantWaiting(t, 2)
	version := s.change(ada)
	for _, p := range polls {
		if got := p.wait().snapshot().Version; got != version {
			t.Errorf("version %d, want %d", got, version)
		}
	}
	one.wantWaiting(t, 0)
}

// wantWaiting compares what the metric says.
func (i *instance) wantWaiting(t *testing.T, polls int) {
	t.Helper()
	want := fmt.Sprintf("\nholdfast_session_polls_waiting %d\n", polls)
	if got := string(i.get("/metrics", "").wants(http.StatusOK, "").body); !strings.Contains(got, want) {
		t.Errorf("the metrics lack %q", want)
	}
}

func TestPollIgnoresWhatOthersDo(t *testing.T) {
	s := newStack(t)
	i := s.start(t, "watch")
	s.awaitReaders(1)
	ada, bob := s.login("Ada"), s.login("Bob")
	last := i.snapshot(ada.token).Version
	p := i.poll(ada, last)
	for range 10 {
		i.snapshot(bob.token)
		s.change(bob)
	}
	version := s.change(ada)
	if got := p.wait().snapshot().Version; got != version {
		t.Errorf("version %d, want %d", got, version)
	}
}

func TestPollEndsWhenTheProcessStops(t *testing.T) {
	i := newInstance(t)
	ada := i.login("Ada")
	last := i.snapshot(ada.token)
	p := i.poll(ada, last.Version)
	i.drain()
	if got := p.wait().snapshot(); got.Version != last.Version || got.SID != last.SID {
		t.Errorf("%+v, want the unchanged %+v", got, last)
	}
	late := i.get(fmt.Sprintf("%s?version=%d&wait=30", sessionPath, last.Version), ada.token).snapshot()
	if late.Version != last.Version {
		t.Errorf("a poll that came late: %+v", late)
	}
}

func TestPollOfATokenRevokedMeanwhile(t *testing.T) {
	s := newStack(t)
	i := s.start(t, "watch")
	s.awaitReaders(1)
	ada := s.login("Ada")
	p := i.poll(ada, i.snapshot(ada.token).Version)
	s.revoke(ada.player)
	p.wait().wants(http.StatusUnauthorized, wire.CodeTokenRevoked)
}
