package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/holdfast-games/holdfast/pkg/apperr"
	"github.com/holdfast-games/holdfast/pkg/clock"
	"github.com/holdfast-games/holdfast/pkg/httpkit"
	"github.com/holdfast-games/holdfast/pkg/id"
	"github.com/holdfast-games/holdfast/pkg/jwtkit"
	"github.com/holdfast-games/holdfast/pkg/session"
	"github.com/holdfast-games/holdfast/pkg/session/memstore"
	"github.com/holdfast-games/holdfast/pkg/shard"
	"github.com/holdfast-games/holdfast/pkg/testkit"
	"github.com/holdfast-games/holdfast/proto/wire"
	"github.com/holdfast-games/holdfast/services/session/internal/api"
	"github.com/holdfast-games/holdfast/services/session/internal/watch"
)

func TestMain(m *testing.M) { testkit.Main(m) }

const (
	player    = "p1"
	lookEvery = 5 * time.Second
)

// edge is the HTTP edge on a map. It is made inside a bubble, whose clock is
// that of the store, the tokens and the polls.
type edge struct {
	echo    *echo.Echo
	store   *memstore.Store
	away    atomic.Bool // the store fails
	looks   atomic.Int64
	looked  func() // called after each look, before its answer is known
	changes *watch.Changes
	drain   chan struct{}
	token   string
	log     bytes.Buffer // to be read when nothing runs
}

func newEdge(t *testing.T) *edge {
	t.Helper()
	shards, err := shard.New(4)
	if err != nil {
		t.Fatal(err)
	}
	e := &edge{changes: watch.New(nil), drain: make(chan struct{})}
	e.echo = httpkit.New("session", slog.New(slog.NewTextHandler(&e.log, nil)), prometheus.NewRegistry())
	if e.store, err = memstore.New(shards, session.Defaults(), func() int64 { return time.Now().UnixMilli() }, id.New); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	keys, err := jwtkit.LoadOrCreate(dir)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := jwtkit.NewSigner(keys, 15*time.Minute, clock.System{})
	if err != nil {
		t.Fatal(err)
	}
	if e.token, _, err = signer.Sign(jwtkit.Claims{Player: player, Name: "Ada"}); err != nil {
		t.Fatal(err)
	}
	api.Register(e.echo, api.Server{
		Keeper:   session.NewKeeper(counted{e.store, e}, nil, clock.System{}, discard()),
		Verifier: jwtkit.NewVerifier(dir, clock.System{}), Changes: e.changes, Drain: e.drain,
	})
	return e
}

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

// counted is the store of an edge, with a count of the looks.
type counted struct {
	session.Store
	edge *edge
}

func (c counted) Ensure(ctx context.Context, claims session.Claims, facts *session.Facts, read bool) (session.Result, error) {
	c.edge.looks.Add(1)
	if c.edge.away.Load() {
		return session.Result{}, apperr.Away("run a script", errors.New("no route"))
	}
	res, err := c.Store.Ensure(ctx, claims, facts, read)
	if c.edge.looked != nil {
		c.edge.looked()
	}
	return res, err
}

// reply is what a poll got, and when.
type reply struct {
	status   int
	snapshot wire.Snapshot
	took     time.Duration
}

// get makes a call in the background.
func (e *edge) get(ctx context.Context, query string) <-chan reply {
	done := make(chan reply, 1)
	began := time.Now()
	go func() {
		r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/api/session"+query, http.NoBody)
		r.Header.Set("Authorization", "Bearer "+e.token)
		w := httptest.NewRecorder()
		e.echo.ServeHTTP(w, r)
		got := reply{status: w.Code, took: time.Since(began)}
		_ = json.Unmarshal(w.Body.Bytes(), &got.snapshot)
		done <- got
	}()
	return done
}

func (e *edge) poll(ctx context.Context, version int64, wait int) <-chan reply {
	return e.get(ctx, fmt.Sprintf("?version=%d&wait=%d", version, wait))
}

func (e *edge) record(t *testing.T) session.Record {
	t.Helper()
	res, err := e.store.Get(t.Context(), player)
	if err != nil {
		t.Fatal(err)
	}
	return res.Record
}

// leave makes a visible change, of which nobody tells the polls.
func (e *edge) leave(t *testing.T) int64 {
	t.Helper()
	res, err := e.store.Connected(t.Context(), player, session.NewConnectionID(time.Now().UnixMilli(), 1, "10.0.0.1:1000"), "node", nil)
	if err != nil || res.Outcome != session.Opened {
		t.Fatalf("%s, %v", res.Outcome, err)
	}
	return res.Record.V
}

// waits fails the test when the poll has been answered.
func waits(t *testing.T, p <-chan reply) {
	t.Helper()
	synctest.Wait()
	select {
	case got := <-p:
		t.Fatalf("answered after %s: %+v", got.took, got)
	default:
	}
}

// pass lets time pass inside a bubble, where that takes none.
func pass(d time.Duration) { <-time.After(d) }

func TestPollWithoutAChangeAnswersWhenTheTimeIsOver(t *testing.T) {
	for _, wait := range []int{1, 25, 30} {
		synctest.Test(t, func(t *testing.T) {
			e := newEdge(t)
			first := <-e.get(t.Context(), "")
			got := <-e.poll(t.Context(), first.snapshot.Version, wait)
			if got.took != time.Duration(wait)*time.Second || got.status != http.StatusOK ||
				got.snapshot.Version != first.snapshot.Version || got.snapshot.SID != first.snapshot.SID {
				t.Errorf("wait=%d: %+v, want the unchanged %+v", wait, got, first)
			}
		})
	}
}

func TestPollBehindAnswersAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEdge(t)
		first := <-e.get(t.Context(), "")
		if got := <-e.poll(t.Context(), first.snapshot.Version-1, 30); got.took != 0 || got.snapshot.Version != first.snapshot.Version {
			t.Errorf("%+v", got)
		}
		e.store.Wipe()
		pass(time.Millisecond)
		got := <-e.poll(t.Context(), first.snapshot.Version, 30)
		if got.took != 0 || !got.snapshot.Healed || got.snapshot.SID == first.snapshot.SID {
			t.Errorf("after a wipe: %+v", got)
		}
	})
}

// A version from the future, as after a clock that went back, is no reason to
// wait for ever.
func TestPollAheadIsAnsweredWithWhatThereIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEdge(t)
		first := <-e.get(t.Context(), "")
		got := <-e.poll(t.Context(), first.snapshot.Version+1_000_000, 10)
		if got.status != http.StatusOK || got.snapshot.Version != first.snapshot.Version || got.took != 10*time.Second {
			t.Errorf("%+v", got)
		}
	})
}

// Who waits in a poll can be matched all the while.
func TestPollKeepsThePlayerReachable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEdge(t)
		first := <-e.get(t.Context(), "")
		pass(time.Millisecond)
		p := e.poll(t.Context(), first.snapshot.Version, 30)
		for range 30 {
			synctest.Wait()
			now, r := time.Now().UnixMilli(), e.record(t)
			if until := r.ReachUntil(session.Defaults().HTTPReach); until <= now || now-r.Seen > lookEvery.Milliseconds() {
				t.Fatalf("at %d: seen %d, reachable until %d", now, r.Seen, until)
			}
			if r.V != first.snapshot.Version {
				t.Fatal("being seen is not a visible change")
			}
			pass(time.Second)
		}
		end := <-p
		if seen := e.record(t).Seen; seen != time.Now().UnixMilli() || end.took != 30*time.Second {
			t.Errorf("seen %d at the end, %+v", seen, end)
		}
	})
}

func TestPollIsWoken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEdge(t)
		first := <-e.get(t.Context(), "")
		p := e.poll(t.Context(), first.snapshot.Version, 30)
		waits(t, p)
		pass(time.Second)
		e.changes.Wake("somebody else")
		waits(t, p)
		e.changes.Wake(player) // an event that changed nothing visible
		waits(t, p)
		version := e.leave(t)
		waits(t, p) // nobody has told it
		e.changes.Wake(player)
		if got := <-p; got.took != time.Second || got.snapshot.Version != version || got.snapshot.Presence != wire.PresenceConnected {
			t.Errorf("%+v, want version %d after 1s", got, version)
		}
	})
}

// A change between the look and the wait must not be missed.
func TestPollSubscribesBeforeItLooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEdge(t)
		first := <-e.get(t.Context(), "")
		var version int64
		e.looked = func() {
			if version == 0 {
				version = e.leave(t)
				e.changes.Wake(player)
			}
		}
		if got := <-e.poll(t.Context(), first.snapshot.Version, 30); got.snapshot.Version != version || got.took != 0 {
			t.Errorf("%+v, want version %d at once", got, version)
		}
	})
}

func TestWakesCostOneLookEach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEdge(t)
		first := <-e.get(t.Context(), "")
		p := e.poll(t.Context(), first.snapshot.Version, 1)
		synctest.Wait()
		before := e.looks.Load()
		for range 3 {
			e.changes.Wake(player)
			synctest.Wait()
		}
		if got := e.looks.Load() - before; got != 3 {
			t.Errorf("%d looks for three wakes", got)
		}
		<-p
	})
}

func TestPollFindsWhatNobodyToldIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEdge(t)
		first := <-e.get(t.Context(), "")
		p := e.poll(t.Context(), first.snapshot.Version, 30)
		pass(time.Second)
		version := e.leave(t)
		if got := <-p; got.took != lookEvery || got.snapshot.Version != version {
			t.Errorf("%+v, want version %d after %s", got, version, lookEvery)
		}
	})
}

// The last answer is as fresh as any.
func TestPollLooksOnceMoreWhenTheTimeIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEdge(t)
		first := <-e.get(t.Context(), "")
		p := e.poll(t.Context(), first.snapshot.Version, 7)
		pass(6 * time.Second)
		version := e.leave(t)
		if got := <-p; got.took != 7*time.Second || got.snapshot.Version != version {
			t.Errorf("%+v, want version %d", got, version)
		}
	})
}

func TestDrainEndsPolls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEdge(t)
		first := <-e.get(t.Context(), "")
		p := e.poll(t.Context(), first.snapshot.Version, 30)
		pass(time.Second)
		close(e.drain)
		late := e.poll(t.Context(), first.snapshot.Version, 30)
		for name, got := range map[string]reply{"waiting": <-p, "late": <-late} {
			if got.took > time.Second || got.status != http.StatusOK || got.snapshot.Version != first.snapshot.Version {
				t.Errorf("%s: %+v", name, got)
			}
		}
	})
}

func TestPollWhileTheStoreIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEdge(t)
		first := <-e.get(t.Context(), "")
		p := e.poll(t.Context(), first.snapshot.Version, 30)
		pass(time.Second)
		e.away.Store(true)
		if got := <-p; got.status != http.StatusServiceUnavailable || got.took != lookEvery {
			t.Errorf("%+v, want 503 at the next look", got)
		}
	})
}

func TestPollOfATokenThatExpiresMeanwhileIsAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEdge(t)
		first := <-e.get(t.Context(), "")
		pass(15*time.Minute - time.Second)
		got := <-e.poll(t.Context(), first.snapshot.Version, 0)
		got = <-e.poll(t.Context(), got.snapshot.Version, 10)
		if got.status != http.StatusOK || got.took != 10*time.Second {
			t.Errorf("%+v: the token was good when the call came", got)
		}
		if got := <-e.get(t.Context(), ""); got.status != http.StatusUnauthorized {
			t.Errorf("the next call: %+v", got)
		}
	})
}

func TestClientThatLeavesEndsItsPoll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEdge(t)
		first := <-e.get(t.Context(), "")
		ctx, leave := context.WithCancel(t.Context())
		p := e.poll(ctx, first.snapshot.Version, 30)
		pass(time.Second)
		looks := e.looks.Load()
		if got := e.changes.Waiting(); got != 1 {
			t.Errorf("waiting: %d, want 1", got)
		}
		leave()
		if got := <-p; got.took != time.Second {
			t.Errorf("%+v", got)
		}
		e.changes.Wake(player)
		pass(time.Minute)
		if got := e.looks.Load(); got != looks {
			t.Errorf("%d looks for a client that left", got-looks)
		}
		if got := e.changes.Waiting(); got != 0 {
			t.Errorf("still waiting: %d", got)
		}
		if e.log.Len() > 0 {
			t.Errorf("clients leave all the time, that is nothing to log:\n%s", e.log.String())
		}
	})
}
