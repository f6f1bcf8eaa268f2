package wire_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	"github.com/holdfast-games/holdfast/proto/internal/wiretest"
	"github.com/holdfast-games/holdfast/proto/wire"
)

const millis = 1795458600250 // 2026-11-23T18:30:00.250Z

func golden(tb testing.TB, name string) []byte {
	tb.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		tb.Fatal(err)
	}
	return compact(tb, data)
}

func compact(tb testing.TB, data []byte) []byte {
	tb.Helper()
	var out bytes.Buffer
	if err := json.Compact(&out, data); err != nil {
		tb.Fatal(err)
	}
	return out.Bytes()
}

func encode(tb testing.TB, v any) []byte {
	tb.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		tb.Fatalf("Marshal(%+v): %v", v, err)
	}
	return data
}

// roundTrip checks that v is written as the golden file and read back equal.
func roundTrip[T any](t *testing.T, v T, file string) {
	t.Helper()
	want := golden(t, file)
	if got := encode(t, v); !bytes.Equal(got, want) {
		t.Errorf("written as\n%s\nwant\n%s", got, want)
	}
	var back T
	if err := json.Unmarshal(want, &back); err != nil {
		t.Fatalf("Unmarshal: %v", err)
	}
	if !reflect.DeepEqual(back, v) {
		t.Errorf("read back as\n%+v\nwant\n%+v", back, v)
	}
}

func fresh() wire.Snapshot {
	return wire.Snapshot{
		Version: millis, SID: "s1", Player: wire.Player{ID: "p1", DisplayName: "Ada"},
		Presence: wire.PresenceDetached, Since: wire.FromMillis(millis), ServerTime: wire.FromMillis(millis),
	}
}

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	t.Run("full snapshot", func(t *testing.T) {
		t.Parallel()
		wiretest.NoZero(t, wiretest.Snapshot())
		roundTrip(t, wiretest.Snapshot(), "snapshot.json")
	})
	t.Run("fresh snapshot", func(t *testing.T) {
		t.Parallel()
		roundTrip(t, fresh(), "snapshot-fresh.json")
	})
	t.Run("matchmaking push", func(t *testing.T) {
		t.Parallel()
		wiretest.NoZero(t, wiretest.MatchmakingPush())
		roundTrip(t, wiretest.MatchmakingPush(), "matchmaking.json")
	})
	t.Run("notification", func(t *testing.T) {
		t.Parallel()
		wiretest.NoZero(t, wiretest.Notification())
		roundTrip(t, wiretest.Notification(), "notification.json")
	})
	t.Run("problem", func(t *testing.T) {
		t.Parallel()
		wiretest.NoZero(t, wiretest.Problem())
		roundTrip(t, wiretest.Problem(), "problem.json")
	})
}

func TestSnapshotPushAddsOnlyTheVersion(t *testing.T) {
	t.Parallel()
	snapshot := wiretest.Snapshot()
	push := snapshot.Push()

	want := golden(t, "snapshot.json")
	want = append(want[:len(want)-1:len(want)-1], `,"v":1795458600255}`...)
	if got := encode(t, push); !bytes.Equal(got, want) {
		t.Errorf("written as\n%s\nwant\n%s", got, want)
	}

	var back wire.SnapshotPush
	if err := json.Unmarshal(want, &back); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(back, push) {
		t.Errorf("read back as\n%+v\nwant\n%+v", back, push)
	}
}

func TestRemainingMsOfZeroIsWritten(t *testing.T) {
	t.Parallel()
	snapshot := fresh()
	snapshot.RemainingMs = new(int64(0))
	if got := encode(t, snapshot); !bytes.Contains(got, []byte(`"remainingMs":0`)) {
		t.Errorf("a deadline that is due lost its remainingMs: %s", got)
	}
}

func TestListIsAlwaysAnArray(t *testing.T) {
	t.Parallel()
	for name, list := range map[string]wire.List[string]{"nil": nil, "empty": {}} {
		if got := string(encode(t, list)); got != "[]" {
			t.Errorf("%s list is written as %s, want []", name, got)
		}
	}
	for _, text := range []string{"[]", "null"} {
		list := wire.List[string]{"left over"}
		if err := json.Unmarshal([]byte(text), &list); err != nil || list != nil {
			t.Errorf("%s is read as %v, %v; want nil", text, list, err)
		}
	}
	var list wire.List[string]
	if err := json.Unmarshal([]byte(`{"a":1}`), &list); err == nil {
		t.Errorf("an object is read as the list %v", list)
	}
}

func TestAttribute(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text  string
		want  wire.Attribute
		again string
	}{
		{`"1.2.0"`, wire.Attribute{"1.2.0"}, `"1.2.0"`},
		{`""`, wire.Attribute{""}, `""`},
		{`["1.2.0"]`, wire.Attribute{"1.2.0"}, `"1.2.0"`},
		{`["eu","us"]`, wire.Attribute{"eu", "us"}, `["eu","us"]`},
		{`[]`, nil, `[]`},
		{`null`, nil, `[]`},
	} {
		var got wire.Attribute
		if err := json.Unmarshal([]byte(c.text), &got); err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%s is read as %q, %v; want %q", c.text, got, err, c.want)
		}
		if again := string(encode(t, got)); again != c.again {
			t.Errorf("%s is written back as %s, want %s", c.text, again, c.again)
		}
	}
	for _, text := range []string{`1`, `true`, `{}`, `[1]`, `[["a"]]`} {
		var got wire.Attribute
		if err := json.Unmarshal([]byte(text), &got); err == nil {
			t.Errorf("%s is read as %q, want an error", text, got)
		}
	}
}

// FuzzPayloads reads anything as each payload; what can be read must be
// written, and from then on stay the same.
func FuzzPayloads(f *testing.F) {
	for _, file := range []string{
		"snapshot.json", "snapshot-fresh.json", "matchmaking.json", "notification.json", "problem.json",
	} {
		f.Add(golden(f, file))
	}
	f.Add([]byte(`{"since":"2026-11-23T18:30:00.2509+02:00","queue":null,"penalties":[]}`))
	f.Add([]byte(`{"since":"9999-12-31T23:59:59.999-00:01"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		settles[wire.Snapshot](t, data)
		settles[wire.SnapshotPush](t, data)
		settles[wire.MatchmakingPush](t, data)
		settles[wire.Notification](t, data)
		settles[wire.Problem](t, data)
		settles[map[string]wire.Attribute](t, data)
	})
}

func settles[T any](t *testing.T, data []byte) {
	t.Helper()
	var first, second T
	if json.Unmarshal(data, &first) != nil {
		return
	}
	written := encode(t, first)
	if err := json.Unmarshal(written, &second); err != nil {
		t.Fatalf("wrote %s and cannot read it: %v", written, err)
	}
	if again := encode(t, second); !bytes.Equal(again, written) {
		t.Fatalf("wrote %s, then %s", written, again)
	}
}
