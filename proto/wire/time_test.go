package wire_test

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/holdfast-games/holdfast/proto/wire"
)

func TestTimeIsWrittenInUTCWithMilliseconds(t *testing.T) {
	t.Parallel()
	berlin := time.FixedZone("CET", 3600)
	for want, moment := range map[string]wire.Time{
		`"2026-11-23T18:30:00.250Z"`: wire.FromMillis(millis),
		`"2026-11-23T18:30:00.000Z"`: wire.FromMillis(millis - 250),
		`"2026-11-23T17:30:00.999Z"`: wire.FromTime(time.Date(2026, 11, 23, 18, 30, 0, 999_999_999, berlin)),
		`"1969-12-31T23:59:59.999Z"`: wire.FromMillis(-1),
		`"9999-12-31T23:59:59.999Z"`: wire.FromMillis(253402300799999),
	} {
		if got := string(encode(t, moment)); got != want {
			t.Errorf("Time(%d) is written as %s, want %s", moment, got, want)
		}
	}
}

func TestTimeIsReadFromAnyRFC3339(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int64{
		`"2026-11-23T18:30:00.250Z"`:       millis,
		`"2026-11-23T18:30:00Z"`:           millis - 250,
		`"2026-11-23T20:30:00.250+02:00"`:  millis,
		`"2026-11-23T18:30:00.250999999Z"`: millis,
		`"1969-12-31T23:59:59.999Z"`:       -1,
	} {
		var got wire.Time
		if err := json.Unmarshal([]byte(text), &got); err != nil || got.Millis() != want {
			t.Errorf("%s is read as %d, %v; want %d", text, got.Millis(), err, want)
		}
	}
	for _, text := range []string{`""`, `"2026-11-23"`, `"2026-11-23 18:30:00Z"`, `"2026-11-23T18:30:00"`, `1795458600250`} {
		got := wire.FromMillis(7)
		if err := json.Unmarshal([]byte(text), &got); err == nil || got != 7 {
			t.Errorf("%s is read as %v, %v; want an error and no change", text, got, err)
		}
	}
}

func TestTimeOutOfRange(t *testing.T) {
	t.Parallel()
	for _, moment := range []wire.Time{wire.FromMillis(253402300800000), wire.FromMillis(-1 << 62)} {
		if _, err := json.Marshal(moment); !errors.Is(err, wire.ErrTimeRange) {
			t.Errorf("Marshal(%d): %v, want ErrTimeRange", moment.Millis(), err)
		}
	}
	for _, text := range []string{`"9999-12-31T23:59:59.999-00:01"`, `"0000-01-01T00:00:00.000+00:01"`} {
		var got wire.Time
		if err := json.Unmarshal([]byte(text), &got); !errors.Is(err, wire.ErrTimeRange) {
			t.Errorf("Unmarshal(%s): %v, want ErrTimeRange", text, err)
		}
	}
}

func TestTimeZeroMeansNone(t *testing.T) {
	t.Parallel()
	var none wire.Time
	if !none.IsZero() || wire.FromMillis(1).IsZero() {
		t.Error("only the zero Time stands for no time")
	}
	optional := struct {
		At wire.Time `json:"at,omitzero"`
	}{}
	if got := string(encode(t, optional)); got != "{}" {
		t.Errorf("an absent time is written as %s", got)
	}
}
