package refreshtoken_test

import (
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/holdfast-games/holdfast/pkg/id"
	"github.com/holdfast-games/holdfast/services/auth/internal/refreshtoken"
)

// A token as clients hold it today: it has to be good for as long as its login.
func TestFormatStays(t *testing.T) {
	const text = "hfr1.family.42.Rr7AAhSfEsSssl8617F58wUSid9Vfg0MfD06mJYZOxE"
	c := refreshtoken.New("key")
	token := refreshtoken.Token{Family: "family", Counter: 42}
	if got := c.Encode(token); got != text {
		t.Errorf("Encode = %q, want %q", got, text)
	}
	if got, err := c.Decode(text); err != nil || got != token {
		t.Errorf("Decode = %+v, %v", got, err)
	}
}

func TestDecodeReadsWhatEncodeWrites(t *testing.T) {
	c := refreshtoken.New("key")
	for _, want := range []refreshtoken.Token{
		{Family: id.New(), Counter: 1},
		{Family: strings.Repeat("a", id.MaxLen), Counter: math.MaxInt64},
	} {
		got, err := c.Decode(c.Encode(want))
		if err != nil || got != want {
			t.Errorf("%+v came back as %+v, %v", want, got, err)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	c, other := refreshtoken.New("key"), refreshtoken.New("another key")
	token := refreshtoken.Token{Family: "family", Counter: 7}
	good := c.Encode(token)
	cases := map[string]string{
		"nothing":                  "",
		"dots":                     "...",
		"another key":              other.Encode(token),
		"family changed":           strings.Replace(good, "family", "famile", 1),
		"longer counter":           strings.Replace(good, ".7.", ".77.", 1),
		"signed: no counter":       c.Encode(refreshtoken.Token{Family: "family"}),
		"signed: negative counter": c.Encode(refreshtoken.Token{Family: "family", Counter: -1}),
		"signed: no family":        c.Encode(refreshtoken.Token{Counter: 1}),
		"signed: long family":      c.Encode(refreshtoken.Token{Family: strings.Repeat("a", id.MaxLen+1), Counter: 1}),
		"signed: dotted family":    c.Encode(refreshtoken.Token{Family: "a.b", Counter: 1}),
		"padded":                   good + "=",
		"line break":               good + "\n",
	}
	// The last of 43 characters holds two bits that mean nothing.
	for _, last := range "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_" {
		if changed := good[:len(good)-1] + string(last); changed != good {
			cases["ends in "+string(last)] = changed
		}
	}
	for name, text := range cases {
		if got, err := c.Decode(text); !errors.Is(err, refreshtoken.ErrInvalid) {
			t.Errorf("%s: Decode(%q) = %+v, %v", name, text, got, err)
		}
	}
}

// FuzzDecode signs whatever it is given, so that the grammar is reached and
// not only the signature: what is accepted must be exactly what Encode writes.
func FuzzDecode(f *testing.F) {
	c := refreshtoken.New("key")
	for _, body := range []string{"hfr1.family.1", "hfr1.f.01", "hfr1.f.+1", "hfr1..1", "hfr1.f.1.2", "hfr2.f.1", "", "hfr1.f.9223372036854775808"} {
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, body string) {
		for _, text := range []string{body, c.Sign(body)} {
			token, err := c.Decode(text)
			switch {
			case err != nil && !errors.Is(err, refreshtoken.ErrInvalid):
				t.Errorf("Decode(%q): %v", text, err)
			case err == nil && (c.Encode(token) != text || token.Counter < 1 || !id.Valid(token.Family)):
				t.Errorf("Decode(%q) = %+v, which is written %q", text, token, c.Encode(token))
			}
		}
	})
}
