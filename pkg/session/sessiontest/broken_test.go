package sessiontest

import (
	"context"
	"math"
	"strings"
	"testing"

	"github.com/holdfast-games/holdfast/pkg/outbox"
	"github.com/holdfast-games/holdfast/pkg/session"
	"github.com/holdfast-games/holdfast/pkg/shard"
)

func fourShards(tb testing.TB) shard.Map {
	tb.Helper()
	shards, err := shard.New(4)
	if err != nil {
		tb.Fatal(err)
	}
	return shards
}

// broken returns a factory of map stores that spoil makes wrong.
func broken(tb testing.TB, spoil func(*Backend)) Factory {
	tb.Helper()
	open := OnMap(fourShards(tb))
	return func(tb testing.TB, world *World, settings session.Settings) *Backend {
		tb.Helper()
		b := open(tb, world, settings)
		spoil(b)
		return b
	}
}

// TestCompareDetects proves that Compare can fail: each of these stores is
// wrong in a way that a careless one could be.
func TestCompareDetects(t *testing.T) {
	for name, spoil := range map[string]func(*Backend){
		"ignores tombstones":           func(b *Backend) { b.Store = noTombstones{b.Store} },
		"the last event wins":          func(b *Backend) { b.Store = lastEventWins{b.Store} },
		"the newest epoch wins":        func(b *Backend) { b.Store = newestEpochWins{b.Store} },
		"lets revoked tokens in":       func(b *Backend) { b.Store = admitsAll{b.Store} },
		"hands an epoch out twice":     func(b *Backend) { b.Store = sameEpoch{b.Store} },
		"expires at once":              func(b *Backend) { b.Store = noGrace{b.Store} },
		"does not exclude":             func(b *Backend) { b.Store = manyPlaces{b.Store} },
		"takes notes in any order":     func(b *Backend) { b.Store = anyNote{b.Store} },
		"releases for any life":        func(b *Backend) { b.Store = anyRelease{b.Store} },
		"keeps the tickets of a match": func(b *Backend) { b.Store = keepsTickets{b.Store} },
		"tells of an expiry twice":     func(b *Backend) { b.Events = doubled(b.Events) },
		"tells of no end":              func(b *Backend) { b.Events = without(b.Events, "session.ended") },
		"forgets who is open":          func(b *Backend) { b.Open = func(testing.TB) []string { return nil } },
		"forgets deadlines":            func(b *Backend) { b.Deadlines = func(testing.TB) map[string]int64 { return nil } },
	} {
		t.Run(name, func(t *testing.T) {
			if Detect(t, 300, OnMap(fourShards(t)), broken(t, spoil)) == "" {
				t.Error("300 histories did not show it")
			}
		})
	}
}

func TestCompareAgreesWithItself(t *testing.T) {
	if wrong := Detect(t, 300, OnMap(fourShards(t)), OnMap(fourShards(t))); wrong != "" {
		t.Errorf("the map disagrees with the map: %s", wrong)
	}
}

// TestPropertiesDetect proves that each property can be violated: the model
// itself is wrong here.
func TestPropertiesDetect(t *testing.T) {
	for property, spoil := range map[string]func(*Backend){
		"nobody expires":                             func(b *Backend) { b.Store = expiresConnected{b.Store} },
		"nobody comes back":                          func(b *Backend) { b.Events = refencing(b.Events) },
		"each life has one end":                      func(b *Backend) { b.Events = doubled(b.Events) },
		"presence is connected":                      func(b *Backend) { b.Store = alwaysConnected{b.Store} },
		"the version of a life":                      func(b *Backend) { b.Events = without(b.Events, "session.place") },
		"an epoch is newer":                          func(b *Backend) { b.Store = sameEpoch{b.Store} },
		"no more is given back":                      func(b *Backend) { b.Store = generous{b.Store} },
		"a player is in no more places than allowed": func(b *Backend) { b.Store = twoMatches{b.Store} },
		"a player without a session":                 func(b *Backend) { b.Open = func(testing.TB) []string { return []string{"p9/x"} } },
	} {
		t.Run(property, func(t *testing.T) {
			wrong := Detect(t, 300, broken(t, spoil))
			if !strings.HasPrefix(wrong, property) {
				t.Errorf("got %q, want a complaint about %q", wrong, property)
			}
		})
	}
}

func doubled(events func(testing.TB) []outbox.Event) func(testing.TB) []outbox.Event {
	return func(tb testing.TB) []outbox.Event {
		tb.Helper()
		var all []outbox.Event
		for _, e := range events(tb) {
			all = append(all, e)
			if e.Type == "session.expired" {
				all = append(all, e)
			}
		}
		return all
	}
}

func without(events func(testing.TB) []outbox.Event, kind string) func(testing.TB) []outbox.Event {
	return func(tb testing.TB) []outbox.Event {
		tb.Helper()
		var all []outbox.Event
		for _, e := range events(tb) {
			if e.Type != kind {
				all = append(all, e)
			}
		}
		return all
	}
}

// refencing claims that every end fenced what is to come as well.
func refencing(events func(testing.TB) []outbox.Event) func(testing.TB) []outbox.Event {
	return func(tb testing.TB) []outbox.Event {
		tb.Helper()
		all := events(tb)
		for i, e := range all {
			if e.Type == "session.ended" {
				all[i].Fields = map[string]string{"before": number(math.MaxInt64)}
			}
		}
		return all
	}
}

type noTombstones struct{ session.Store }

func (s noTombstones) Disconnected(ctx context.Context, player string, id session.ConnectionID, reason string) (session.Result, error) {
	res, err := s.Store.Get(ctx, player)
	if err == nil && stays(res.Record, id) {
		return s.Lost(ctx, player, id)
	}
	return s.Store.Disconnected(ctx, player, id, reason)
}

func stays(r session.Record, id session.ConnectionID) bool {
	for _, c := range r.Connections {
		if c.ID == id {
			return true
		}
	}
	return false
}

type lastEventWins struct{ session.Store }

func (s lastEventWins) Disconnected(ctx context.Context, player string, id session.ConnectionID, reason string) (session.Result, error) {
	res, err := s.Store.Get(ctx, player)
	for _, c := range res.Record.Connections {
		if c.ID != id && err == nil {
			_, err = s.Store.Disconnected(ctx, player, c.ID, reason)
		}
	}
	if err != nil {
		return res, err
	}
	return s.Store.Disconnected(ctx, player, id, reason)
}

type newestEpochWins struct{ session.Store }

func (s newestEpochWins) Connected(
	ctx context.Context, player string, id session.ConnectionID, node string, facts *session.Facts,
) (session.Result, error) {
	if res, err := s.Get(ctx, player); err == nil && res.Record.Epoch > id.Epoch() && len(res.Record.Connections) > 0 {
		res.Outcome = session.Refused
		return res, nil
	}
	return s.Store.Connected(ctx, player, id, node, facts)
}

type admitsAll struct{ session.Store }

func (s admitsAll) Ensure(ctx context.Context, c session.Claims, facts *session.Facts, read bool) (session.Result, error) {
	c.Rev, c.Family = math.MaxInt32, ""
	return s.Store.Ensure(ctx, c, facts, read)
}

type sameEpoch struct{ session.Store }

func (s sameEpoch) Begin(ctx context.Context, c session.Claims, facts *session.Facts) (session.Result, int64, error) {
	res, _, err := s.Store.Begin(ctx, c, facts)
	res.Record.Epoch = res.Record.Now
	return res, res.Record.Now, err
}

type noGrace struct{ session.Store }

func (s noGrace) Disconnected(ctx context.Context, player string, id session.ConnectionID, reason string) (session.Result, error) {
	res, err := s.Store.Disconnected(ctx, player, id, reason)
	if err == nil && res.Record.Presence == session.Grace {
		res, _, err = s.End(ctx, player, session.Ending{Reason: reason})
	}
	return res, err
}

type manyPlaces struct{ session.Store }

func (s manyPlaces) Reserve(ctx context.Context, c session.Claims, facts *session.Facts, r session.Reservation) (session.Hold, error) {
	r.Most, r.Excludes = 100, ""
	return s.Store.Reserve(ctx, c, facts, r)
}

type anyNote struct{ session.Store }

func (s anyNote) Note(ctx context.Context, p session.PlaceRef, v int64, copy string, push session.Push) (session.Result, error) {
	return s.Store.Note(ctx, p, v+1000, copy, push)
}

type anyRelease struct{ session.Store }

func (s anyRelease) Release(ctx context.Context, p session.PlaceRef, push session.Push) (session.Result, error) {
	p.SID = ""
	return s.Store.Release(ctx, p, push)
}

type keepsTickets struct{ session.Store }

func (s keepsTickets) Confirm(
	ctx context.Context, p session.PlaceRef, v int64, copy string, _ session.Kind, push session.Push,
) (session.Result, error) {
	return s.Store.Confirm(ctx, p, v, copy, "", push)
}

// expiresConnected says that who went to grace had expired.
type expiresConnected struct{ session.Store }

func (s expiresConnected) Due(ctx context.Context, players []string) ([]session.Result, error) {
	results, err := s.Store.Due(ctx, players)
	for i := range results {
		if results[i].Outcome == session.InGrace {
			results[i].Outcome = session.Expired
		}
	}
	return results, err
}

type alwaysConnected struct{ session.Store }

func (s alwaysConnected) Get(ctx context.Context, player string) (session.Result, error) {
	res, err := s.Store.Get(ctx, player)
	if res.Record.Presence == session.Grace {
		res.Record.Presence = session.Connected
	}
	return res, err
}

type generous struct{ session.Store }

func (s generous) Get(ctx context.Context, player string) (session.Result, error) {
	res, err := s.Store.Get(ctx, player)
	res.Record.Shift *= 2
	return res, err
}

type twoMatches struct{ session.Store }

func (s twoMatches) Get(ctx context.Context, player string) (session.Result, error) {
	res, err := s.Store.Get(ctx, player)
	if held := res.Record.Held(session.Match); len(held) > 0 {
		res.Record.Places = append(res.Record.Places, held[0])
	}
	return res, err
}
