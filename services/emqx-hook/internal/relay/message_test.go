package relay

import (
	"encoding/json"
	"errors"
	"reflect"
	"testing"

	"github.com/holdfast-games/holdfast/pkg/outbox"
	"github.com/holdfast-games/holdfast/proto/topic"
	"github.com/holdfast-games/holdfast/proto/wire"
)

// event returns an event of player "ann" with some fields.
func event(kind string, fields ...string) outbox.Event {
	e := outbox.Event{
		ID: "1-0", Type: kind, Player: "ann", SID: "life-1", V: 1_795_439_368_227, Prev: 1_795_439_368_000,
		At: 1_795_439_368_227, Fields: map[string]string{},
	}
	for i := 0; i < len(fields); i += 2 {
		e.Fields[fields[i]] = fields[i+1]
	}
	return e
}

func decode[T any](t *testing.T, m message, kind topic.Kind) T {
	t.Helper()
	var v T
	if err := json.Unmarshal(m.payload, &v); err != nil || m.kind != kind {
		t.Fatalf("%s on a topic of kind %d, want kind %d: %v", m.payload, m.kind, kind, err)
	}
	return v
}

func TestPushIsFilledIn(t *testing.T) {
	body, err := json.Marshal(wire.MatchmakingPush{
		Type: wire.MatchmakingMatchFound, Queue: "ranked", MatchID: "m1", Players: []string{"ann", "bob"},
		AcceptBy: 1_795_439_378_227, SID: "wrong", V: 1, Prev: 2, Timestamp: 3,
	})
	if err != nil {
		t.Fatal(err)
	}
	messages, snapshot, err := plan(event(place, "push", "match_found", "body", string(body), "place", "match:", "id", "m1"))
	if err != nil || len(messages) != 1 || !snapshot {
		t.Fatalf("%d messages, snapshot %v, %v", len(messages), snapshot, err)
	}
	got := decode[wire.MatchmakingPush](t, messages[0], topic.KindPlayerMatchmaking)
	want := wire.MatchmakingPush{
		Type: wire.MatchmakingMatchFound, Queue: "ranked", MatchID: "m1", Players: []string{"ann", "bob"},
		AcceptBy: 1_795_439_378_227, RemainingMs: new(int64(10_000)),
		SID: "life-1", V: 1_795_439_368_227, Prev: 1_795_439_368_000, Timestamp: 1_795_439_368_227,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
}

func TestAQueueOfTwoHalvesIsGivenInHalvesToo(t *testing.T) {
	messages, _, err := plan(event(place, "push", "queued", "body", `{"queue":"balatro:ranked:1v1"}`))
	if err != nil || len(messages) != 1 {
		t.Fatal(messages, err)
	}
	got := decode[wire.MatchmakingPush](t, messages[0], topic.KindPlayerMatchmaking)
	if got.ModID != "balatro" || got.GameMode != "ranked:1v1" {
		t.Errorf("%+v", got)
	}
}

func TestFieldsOfTomorrowGoThrough(t *testing.T) {
	messages, _, err := plan(event("match.tomorrow", "push", "spectate", "body", `{"queue":"q","seats":[1,2],"v":0}`))
	if err != nil || len(messages) != 1 {
		t.Fatal(messages, err)
	}
	got := decode[map[string]any](t, messages[0], topic.KindPlayerMatchmaking)
	if got["type"] != "spectate" || got["sid"] != "life-1" || !reflect.DeepEqual(got["seats"], []any{1.0, 2.0}) || got["timestamp"] != "2026-11-23T13:09:28.227Z" {
		t.Errorf("%v", got)
	}
}

func TestRepeatIsNoSnapshot(t *testing.T) {
	messages, snapshot, err := plan(event("session.repeat", "push", "match_found", "body", `{}`))
	if err != nil || len(messages) != 1 || snapshot {
		t.Errorf("%d messages, snapshot %v, %v", len(messages), snapshot, err)
	}
}

func TestWhichEventsShowTheSnapshot(t *testing.T) {
	for kind, want := range map[string]bool{
		"session.created": true, "session.connected": true, "session.grace": true, "session.place": true,
		"session.profile": true, "session.announce": true,
		"session.seen": false, "session.repeat": false, "broker.kick": false, "match.forming": false, "tomorrow": false,
	} {
		messages, snapshot, err := plan(event(kind))
		if err != nil || len(messages) != 0 || snapshot != want {
			t.Errorf("%s: %d messages, snapshot %v, %v", kind, len(messages), snapshot, err)
		}
	}
}

func TestFarewell(t *testing.T) {
	tickets := []string{"ticket:ranked", "t2", "ticket:casual", "t1", "match:", "m1"}
	messages, snapshot, err := plan(event(expired, append(tickets, "reason", "grace")...))
	if err != nil || len(messages) != 2 || snapshot {
		t.Fatalf("%d messages, snapshot %v, %v", len(messages), snapshot, err)
	}
	for i, want := range []struct{ queue, id string }{{"casual", "t1"}, {"ranked", "t2"}} {
		got := decode[wire.MatchmakingPush](t, messages[i], topic.KindPlayerMatchmaking)
		if got.Type != wire.MatchmakingQueueCancelled || got.Queue != want.queue || got.TicketID != want.id || got.Reason != "expired" ||
			got.SID != "life-1" || got.V != 1_795_439_368_227 || got.Prev != 1_795_439_368_000 {
			t.Errorf("%+v, want %v", got, want)
		}
	}
	messages, _, err = plan(event(ended, append(tickets, "reason", "banned", "before", "7")...))
	if err != nil || len(messages) != 3 {
		t.Fatalf("%d messages, %v", len(messages), err)
	}
	if got := decode[wire.MatchmakingPush](t, messages[0], topic.KindPlayerMatchmaking); got.Reason != "banned" {
		t.Errorf("a ticket went because of %q", got.Reason)
	}
	got := decode[wire.Notification](t, messages[2], topic.KindPlayerNotifications)
	want := wire.Notification{
		Type: wire.NotificationBanned, Reason: "banned", SID: "life-1",
		V: 1_795_439_368_227, Prev: 1_795_439_368_000, Timestamp: 1_795_439_368_227,
	}
	if got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func TestNotificationsByReason(t *testing.T) {
	for reason, want := range map[string]wire.NotificationType{
		"banned": wire.NotificationBanned, "logged_out": wire.NotificationLoggedOut, "revoked": wire.NotificationLoggedOut,
		"left": "session_ended", "cheating": wire.NotificationKicked, "": wire.NotificationKicked,
	} {
		if got := notificationOf(reason); got != want {
			t.Errorf("%q: %s, want %s", reason, got, want)
		}
	}
}

func TestEventsThatCannotBeTold(t *testing.T) {
	for name, e := range map[string]outbox.Event{
		"no body": event(place, "push", "queued"), "a body that is no object": event(place, "push", "queued", "body", "[]"),
		"a body that is null": event(place, "push", "queued", "body", "null"),
		"a malformed player":  {Type: place, Player: "a/b"},
	} {
		if messages, _, err := plan(e); !errors.Is(err, outbox.ErrDrop) || messages != nil {
			t.Errorf("%s: %v, %v", name, messages, err)
		}
	}
	if messages, snapshot, err := plan(outbox.Event{Type: created}); messages != nil || snapshot || err != nil {
		t.Error("an event of nobody was told")
	}
}
