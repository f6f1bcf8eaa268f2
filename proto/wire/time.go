package wire

import (
	"errors"
	"fmt"
	"time"
)

// timeLayout is RFC 3339 in UTC with exactly three fraction digits.
const timeLayout = "2006-01-02T15:04:05.000Z"

// ErrTimeRange means that a Time lies outside the years 0000 to 9999, which
// RFC 3339 cannot write.
var ErrTimeRange = errors.New("wire: time outside the years 0000 to 9999")

// Time is a moment in milliseconds since the Unix epoch. It crosses the wire
// as RFC 3339 in UTC with exactly millisecond precision, such as
// "2026-11-23T18:30:00.250Z". The zero value stands for "no time"; optional
// fields leave it out.
type Time int64

// FromMillis returns the moment ms milliseconds after the Unix epoch.
func FromMillis(ms int64) Time { return Time(ms) }

// FromTime returns t cut down to the millisecond.
func FromTime(t time.Time) Time { return Time(t.UnixMilli()) }

// Millis returns the milliseconds since the Unix epoch.
func (t Time) Millis() int64 { return int64(t) }

// Time returns the moment as a time.Time in UTC.
func (t Time) Time() time.Time { return time.UnixMilli(int64(t)).UTC() }

// IsZero reports whether t stands for "no time".
func (t Time) IsZero() bool { return t == 0 }

// String returns the wire form, whatever the year.
func (t Time) String() string { return t.Time().Format(timeLayout) }

// MarshalText writes the wire form, or fails with ErrTimeRange.
func (t Time) MarshalText() ([]byte, error) {
	if err := t.checkRange(); err != nil {
		return nil, err
	}
	return []byte(t.String()), nil
}

// UnmarshalText reads RFC 3339 with any offset and precision, and keeps the
// millisecond. It fails on anything else, and with ErrTimeRange when the
// moment in UTC has no wire form.
func (t *Time) UnmarshalText(text []byte) error {
	var parsed time.Time
	if err := parsed.UnmarshalText(text); err != nil {
		return fmt.Errorf("wire: time: %w", err)
	}
	read := FromTime(parsed)
	if err := read.checkRange(); err != nil {
		return err
	}
	*t = read
	return nil
}

func (t Time) checkRange() error {
	if year := t.Time().Year(); year < 0 || year > 9999 {
		return ErrTimeRange
	}
	return nil
}
