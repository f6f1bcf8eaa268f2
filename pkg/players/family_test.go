package players_test

import (
	"errors"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/holdfast-games/holdfast/pkg/players"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func TestJudge(t *testing.T) {
	alive := players.Family{Counter: 5, ExpiresAt: noon.Add(time.Hour), AbsoluteExpiresAt: noon.Add(2 * time.Hour)}
	fresh, ended, expired := alive, alive, alive
	fresh.Counter = players.FirstCounter
	ended.EndedAt = noon
	expired.ExpiresAt = noon
	both := expired
	both.EndedAt = noon
	for name, c := range map[string]struct {
		family    players.Family
		presented int64
		want      players.Outcome
	}{
		"newest":                  {alive, 5, players.Rotated},
		"previous":                {alive, 4, players.Repeated},
		"older":                   {alive, 3, players.Reused},
		"first, long ago":         {alive, 1, players.Reused},
		"never handed out, high":  {alive, 6, players.InvalidCounter},
		"never handed out, low":   {alive, 0, players.InvalidCounter},
		"negative":                {alive, -1, players.InvalidCounter},
		"first":                   {fresh, 1, players.Rotated},
		"before the first":        {fresh, 0, players.InvalidCounter},
		"ended":                   {ended, 5, players.Ended},
		"ended, older":            {ended, 1, players.Ended},
		"ended, never handed out": {ended, 9, players.Ended},
		"expired":                 {expired, 5, players.Expired},
		"expired, older":          {expired, 1, players.Expired},
		"ended and expired":       {both, 5, players.Ended},
		"the zero family":         {players.Family{}, 0, players.Expired},
	} {
		if got := c.family.Judge(c.presented, noon); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

func TestSlideStaysWithinTheAbsoluteLimit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := noon.Add(time.Duration(rapid.Int64Range(0, int64(90*24*time.Hour)).Draw(t, "limit")))
		sliding := time.Duration(rapid.Int64Range(1, int64(90*24*time.Hour)).Draw(t, "sliding"))
		got := players.Family{AbsoluteExpiresAt: limit}.Slide(noon, sliding)
		if got.After(limit) || got.After(noon.Add(sliding)) || (!got.Equal(limit) && !got.Equal(noon.Add(sliding))) {
			t.Fatalf("Slide = %s; limit %s, sliding %s", got, limit, sliding)
		}
	})
}

func TestOutcomes(t *testing.T) {
	var zero players.Outcome
	if zero.Granted() {
		t.Error("the zero outcome grants a token")
	}
	seen := map[string]bool{}
	for o := players.InvalidCounter; o <= players.Rotated; o++ {
		if want := o == players.Rotated || o == players.Repeated; o.Granted() != want {
			t.Errorf("%v.Granted() = %v", o, !want)
		}
		if seen[o.String()] {
			t.Errorf("two outcomes are called %v", o)
		}
		seen[o.String()] = true
	}
	for _, o := range []players.Outcome{-1, players.Rotated + 1} {
		if o.Granted() || o.String() != zero.String() {
			t.Errorf("outcome %d: %v, granted %v", int(o), o, o.Granted())
		}
	}
}

func TestNewFamilyValidate(t *testing.T) {
	good := players.NewFamily{
		ID: "f", PlayerID: "p", CreatedAt: noon, ExpiresAt: noon.Add(1), AbsoluteExpiresAt: noon.Add(1),
	}
	if err := good.Validate(); err != nil {
		t.Errorf("a good family: %v", err)
	}
	for name, spoil := range map[string]func(*players.NewFamily){
		"id":              func(f *players.NewFamily) { f.ID = "a b" },
		"player":          func(f *players.NewFamily) { f.PlayerID = "" },
		"expired at once": func(f *players.NewFamily) { f.ExpiresAt = noon },
		"limit first":     func(f *players.NewFamily) { f.AbsoluteExpiresAt = noon },
		"the zero family": func(f *players.NewFamily) { *f = players.NewFamily{} },
	} {
		f := good
		spoil(&f)
		if err := f.Validate(); !errors.Is(err, players.ErrInvalid) {
			t.Errorf("%s: %v, want ErrInvalid", name, err)
		}
	}
}
