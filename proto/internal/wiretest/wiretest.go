// Package wiretest holds what the tests of package wire and of the documents
// share: one full example of each shape, and the constants of package wire
// read from its source.
package wiretest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"reflect"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/holdfast-games/holdfast/proto/wire"
)

const (
	start  = 1795458600250 // 2026-11-23T18:30:00.250Z
	minute = 60_000
	player = "019ab3f0-5c1e-7d2a-9c44-0f6f3f8c1b22"
	rival  = "019ab3f0-77aa-7c01-8e11-3d5b9a40e6cd"
)

// Snapshot returns a snapshot in which no field is zero.
func Snapshot() wire.Snapshot {
	return wire.Snapshot{
		Version:     start + 5,
		Prev:        start,
		SID:         "s1",
		Player:      wire.Player{ID: player, DisplayName: "Ada"},
		Presence:    wire.PresenceGrace,
		Since:       wire.FromMillis(start),
		Deadline:    wire.FromMillis(start + minute),
		RemainingMs: new(int64(minute - 5)),
		Healed:      true,
		Reason:      "keepalive_timeout",
		Queue: []wire.TicketSummary{{
			TicketID: "t1", Queue: "duel:ranked", QueuedAt: wire.FromMillis(start - minute),
			Held: true, EstimatedWaitMs: new(int64(12_000)),
		}},
		Lobby: &wire.LobbySummary{Code: "K7QX2M"},
		Match: &wire.MatchSummary{
			ID: "m1", Queue: "duel:ranked", State: wire.MatchFound,
			AcceptBy: wire.FromMillis(start + 10_000), RemainingMs: new(int64(9_995)),
			LobbyCode: "K7QX2M", Players: []string{player, rival},
		},
		Penalties: []wire.Penalty{{
			Kind: "queue", Until: wire.FromMillis(start + 2*minute),
			RemainingMs: new(int64(2*minute - 5)), Reason: "ready check missed",
		}},
		ServerTime: wire.FromMillis(start + 5),
	}
}

// MatchmakingPush returns a push in which no field is zero.
func MatchmakingPush() wire.MatchmakingPush {
	return wire.MatchmakingPush{
		Type: wire.MatchmakingMatchFound, SID: "s1", V: start + 5, Prev: start,
		Timestamp: wire.FromMillis(start + 5), Queue: "duel:ranked", ModID: "duel", GameMode: "ranked",
		TicketID: "t1", QueuedAt: wire.FromMillis(start - minute),
		MatchID: "m1", LobbyCode: "K7QX2M", Players: []string{player, rival},
		AcceptBy: wire.FromMillis(start + 10_005), RemainingMs: new(int64(10_000)),
		Reason: "rematch",
	}
}

// Notification returns a notification in which no field is zero.
func Notification() wire.Notification {
	return wire.Notification{
		Type: wire.NotificationBanned, Reason: "cheating", Until: wire.FromMillis(start + minute),
		RemainingMs: new(int64(minute)), SID: "s1", V: start + 5, Prev: start, Timestamp: wire.FromMillis(start),
	}
}

// Problem returns a problem in which no field is zero.
func Problem() wire.Problem {
	problem := wire.NewProblem(wire.CodeRateLimited, "20 calls in 10 s are enough")
	problem.RetryAfterMs = 1500
	return problem
}

// NoZero fails the test for each field of v, at any depth, that is zero: an
// example that forgets a field proves nothing about it.
func NoZero(t *testing.T, v any) {
	t.Helper()
	noZero(t, reflect.TypeOf(v).Name(), reflect.ValueOf(v))
}

func noZero(t *testing.T, path string, v reflect.Value) {
	t.Helper()
	if v.IsZero() {
		t.Errorf("%s is zero in the full example", path)
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		noZero(t, path, v.Elem())
	case reflect.Slice:
		for i := range v.Len() {
			noZero(t, path+"["+strconv.Itoa(i)+"]", v.Index(i))
		}
	case reflect.Struct:
		for i := range v.NumField() {
			noZero(t, path+"."+v.Type().Field(i).Name, v.Field(i))
		}
	default:
	}
}

// Constants returns the values of all constants of the named string type that
// the source of package wire declares, in order of declaration.
func Constants(t *testing.T, typeName string) []string {
	t.Helper()
	_, here, _, _ := runtime.Caller(0)
	dir := filepath.Join(filepath.Dir(here), "..", "..", "wire")
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no source of package wire in %s: %v", dir, err)
	}
	var values []string
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatalf("parse %s: %v", name, err)
		}
		values = append(values, constantsIn(t, file, typeName)...)
	}
	if len(values) == 0 {
		t.Fatalf("package wire has no constant of type %s: %v", typeName, fs.ErrNotExist)
	}
	return values
}

func constantsIn(t *testing.T, file *ast.File, typeName string) []string {
	t.Helper()
	var values []string
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if id, ok := spec.Type.(*ast.Ident); !ok || id.Name != typeName {
			return true
		}
		for _, value := range spec.Values {
			literal, ok := value.(*ast.BasicLit)
			if !ok {
				t.Fatalf("constant of %s is not a literal", typeName)
			}
			values = append(values, strings.Trim(literal.Value, `"`))
		}
		return true
	})
	return values
}
