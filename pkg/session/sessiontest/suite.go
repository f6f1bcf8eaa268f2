package sessiontest

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/holdfast-games/holdfast/pkg/outbox"
	"github.com/holdfast-games/holdfast/pkg/session"
)

// promise is one test of the suite. Its name is what a store promises.
type promise struct {
	name  string
	check func(*fixture)
}

// Run proves the promises of session.Store on the stores that open makes, a
// new one for each promise.
func Run(t *testing.T, open Factory) {
	t.Helper()
	groups := []struct {
		name     string
		promises []promise
	}{
		{"admission", admissionPromises()},
		{"calls", callPromises()},
		{"connections", connectionPromises()},
		{"takeover", takeoverPromises()},
		{"grace", gracePromises()},
		{"due", duePromises()},
		{"amnesty", amnestyPromises()},
		{"places", placePromises()},
		{"matches", matchPromises()},
		{"versions", versionPromises()},
		{"ends", endPromises()},
		{"keys", keyPromises()},
	}
	for _, g := range groups {
		t.Run(g.name, func(t *testing.T) {
			for _, p := range g.promises {
				t.Run(p.name, func(t *testing.T) { p.check(newFixture(t, open, session.Defaults())) })
			}
		})
	}
}

// fixture is a test with a store and the verbs that players use.
type fixture struct {
	*testing.T
	*Backend

	open     Factory
	settings session.Settings
	log      eventLog
	ports    int
}

func newFixture(t *testing.T, open Factory, settings session.Settings) *fixture {
	t.Helper()
	world := NewWorld(time.Now())
	return &fixture{T: t, Backend: open(t, world, settings), open: open, settings: settings}
}

// with returns a fixture on a new store with other settings.
func (f *fixture) with(change func(*session.Settings)) *fixture {
	f.Helper()
	settings := f.settings
	change(&settings)
	return newFixture(f.T, f.open, settings)
}

// must fails the test when a call failed.
func must[T any](f *fixture) func(T, error) T {
	f.Helper()
	return func(v T, err error) T {
		f.Helper()
		if err != nil {
			f.Fatalf("the store failed: %v", err)
		}
		return v
	}
}

func (f *fixture) equal(what string, got, want any) {
	f.Helper()
	if !reflect.DeepEqual(got, want) {
		f.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func (f *fixture) outcome(got session.Result, want session.Outcome) session.Record {
	f.Helper()
	if got.Outcome != want {
		f.Errorf("outcome: got %q, want %q (record %+v)", got.Outcome, want, got.Record)
	}
	return got.Record
}

func (f *fixture) now() int64 { return f.World.Now() }

// token is an access token of a player, of generation 0 and login "laptop".
func token(player string) session.Claims {
	return session.Claims{Player: player, Family: "laptop", Name: player, Provider: "guest"}
}

// known is what the durable record says about a player who was never revoked.
func known(player string) *session.Facts {
	return &session.Facts{Name: player, Provider: "guest", Durable: true}
}

func (f *fixture) call(player string) session.Record {
	f.Helper()
	return must[session.Result](f)(f.Store.Ensure(f.Context(), token(player), known(player), false)).Record
}

func (f *fixture) get(player string) session.Record {
	f.Helper()
	return must[session.Result](f)(f.Store.Get(f.Context(), player)).Record
}

// dial authenticates a connection that the broker has not reported yet.
func (f *fixture) dial(player string) session.ConnectionID {
	f.Helper()
	_, epoch, err := f.Store.Begin(f.Context(), token(player), known(player))
	if err != nil {
		f.Fatalf("begin: %v", err)
	}
	f.ports++
	return session.NewConnectionID(epoch, f.now(), fmt.Sprintf("10.0.0.1:%d", 40000+f.ports))
}

func (f *fixture) connected(player string, id session.ConnectionID) session.Result {
	f.Helper()
	return must[session.Result](f)(f.Store.Connected(f.Context(), player, id, "emqx@a", known(player)))
}

func (f *fixture) connect(player string) session.ConnectionID {
	f.Helper()
	id := f.dial(player)
	f.outcome(f.connected(player, id), session.Opened)
	return id
}

func (f *fixture) disconnected(player string, id session.ConnectionID, reason string) session.Result {
	f.Helper()
	return must[session.Result](f)(f.Store.Disconnected(f.Context(), player, id, reason))
}

func (f *fixture) lost(player string, id session.ConnectionID) session.Result {
	f.Helper()
	return must[session.Result](f)(f.Store.Lost(f.Context(), player, id))
}

func (f *fixture) due(player string) session.Result {
	f.Helper()
	return must[[]session.Result](f)(f.Store.Due(f.Context(), []string{player}))[0]
}

func (f *fixture) end(player string, e session.Ending) session.Result {
	f.Helper()
	res, _, err := f.Store.End(f.Context(), player, e)
	if err != nil {
		f.Fatalf("end: %v", err)
	}
	return res
}

func (f *fixture) beat() {
	f.Helper()
	if err := f.Store.Beat(f.Context(), "hook"); err != nil {
		f.Fatalf("beat: %v", err)
	}
}

// sweep is one pass over all shards.
func (f *fixture) sweep() []session.Due {
	f.Helper()
	passes := must[[]session.Due](f)(f.Store.Sweep(f.Context(), f.Shards.All()))
	for i, p := range passes {
		if p.Err != nil || p.Shard != i {
			f.Fatalf("sweep of shard %d: %+v", i, p)
		}
	}
	return passes
}

// sweepFor is one pass over the shard of a player.
func (f *fixture) sweepFor(player string) session.Due {
	f.Helper()
	return f.sweep()[f.Shards.Of(player)]
}

// calm lets d pass while everybody does its duty; due players are not met.
func (f *fixture) calm(d time.Duration) {
	f.Helper()
	for f.beat(); d > 0; f.beat() {
		f.sweep()
		step := min(d, session.Stale)
		f.World.Advance(step)
		d -= step
	}
	f.sweep()
}

// events returns what was appended since the last look, oldest first.
func (f *fixture) events() []outbox.Event {
	f.Helper()
	fresh := f.log.fresh(f.Events(f))
	slices.SortStableFunc(fresh, func(a, b outbox.Event) int { return cmp.Compare(a.At, b.At) })
	return fresh
}

// eventTypes returns the types of what was appended since the last look.
func (f *fixture) eventTypes() []string {
	f.Helper()
	types := []string{}
	for _, e := range f.events() {
		types = append(types, e.Type)
	}
	return types
}

// lastEvent returns the only event since the last look.
func (f *fixture) lastEvent(kind string) outbox.Event {
	f.Helper()
	events := f.events()
	if len(events) != 1 || events[0].Type != kind {
		f.Fatalf("events: got %+v, want one %s", events, kind)
	}
	return events[0]
}

// hold makes a place real, without questions.
func (f *fixture) hold(player string, kind session.Kind, slot, id string) session.Record {
	f.Helper()
	h := must[session.Hold](f)(f.Store.Reserve(f.Context(), token(player), known(player),
		session.Reservation{Kind: kind, Slot: slot, ID: id, Most: session.MaxTickets}))
	if h.Outcome != session.Reserved {
		f.Fatalf("reserve %s %s %s: %+v", kind, slot, id, h)
	}
	ref := session.PlaceRef{Player: player, SID: h.Record.SID, Kind: kind, Slot: slot, ID: id}
	res := must[session.Result](f)(f.Store.Confirm(f.Context(), ref, 1, "copy of "+id, "", session.Push{}))
	return f.outcome(res, session.Confirmed)
}

func ids(connections []session.Connection) []session.ConnectionID {
	found := []session.ConnectionID{}
	for _, c := range connections {
		found = append(found, c.ID)
	}
	return found
}

func number(n int64) string { return strconv.FormatInt(n, 10) }
