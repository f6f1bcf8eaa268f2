package secret_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/holdfast-games/holdfast/pkg/secret"
)

const value = "hunter2-hunter2-hunter2"

// holder is how secrets travel: in exported fields of settings.
type holder struct {
	Plain   secret.Secret            `json:"plain"`
	Pointer *secret.Secret           `json:"pointer"`
	List    []secret.Secret          `json:"list"`
	ByName  map[string]secret.Secret `json:"byName"`
	Any     any                      `json:"any"`
}

type inXML struct {
	S secret.Secret `xml:"s"`
}

func newHolder() holder {
	s := secret.Secret(value)
	return holder{Plain: s, Pointer: &s, List: []secret.Secret{s}, ByName: map[string]secret.Secret{"x": s}, Any: s}
}

func TestNoVerbShowsTheValue(t *testing.T) {
	s := secret.Secret(value)
	for _, shown := range []any{s, &s, []secret.Secret{s}, newHolder(), fmt.Errorf("with %v", s)} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%10s", "%-5.3v", "%T %v"} {
			args := []any{shown, shown}[:strings.Count(verb, "%")]
			if got := fmt.Sprintf(verb, args...); leaks(got) {
				t.Errorf("%s of a %T shows %q", verb, shown, got)
			}
		}
	}
	if got := fmt.Sprint(s) + fmt.Sprintln(s) + s.String(); leaks(got) || !strings.Contains(got, "redacted") {
		t.Errorf("printing shows %q", got)
	}
	if got := errors.Join(fmt.Errorf("one %w %s", os.ErrNotExist, s)).Error(); leaks(got) {
		t.Errorf("an error shows %q", got)
	}
}

func TestNoEncoderShowsTheValue(t *testing.T) {
	asJSON, err := json.Marshal(newHolder())
	if err != nil || leaks(string(asJSON)) {
		t.Errorf("json: %s, %v", asJSON, err)
	}
	asXML, err := xml.Marshal(inXML{secret.Secret(value)})
	if err != nil || leaks(string(asXML)) {
		t.Errorf("xml: %s, %v", asXML, err)
	}
	var b bytes.Buffer
	for _, log := range []*slog.Logger{slog.New(slog.NewTextHandler(&b, nil)), slog.New(slog.NewJSONHandler(&b, nil))} {
		log.With("s", secret.Secret(value)).Info("x", "holder", newHolder(), "secret", secret.Secret(value), slog.Group("g", "s", secret.Secret(value)))
	}
	if leaks(b.String()) {
		t.Errorf("slog: %s", b.String())
	}
}

// leaks looks for the value as it is and in hex, in either case.
func leaks(s string) bool {
	s = strings.ToLower(s)
	return strings.Contains(s, "hunter") || strings.Contains(s, fmt.Sprintf("%x", "hunter"))
}

func TestValueIsThereForWhoAsks(t *testing.T) {
	var s secret.Secret
	if s.Set() || s.Equal("") || s.Reveal() != "" {
		t.Error("an unset secret is taken for a set one")
	}
	if err := s.UnmarshalText([]byte(value)); err != nil {
		t.Fatal(err)
	}
	if !s.Set() || !s.Equal(value) || s.Equal(value+"x") || s.Equal("") || s.Reveal() != value {
		t.Error("the value is not what was set")
	}
}

func TestFileOrCreate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "secret")
	var wg sync.WaitGroup
	made := make([]secret.Secret, 8)
	for i := range made {
		wg.Go(func() {
			s, err := secret.FileOrCreate(path)
			if err != nil {
				t.Errorf("make a secret: %v", err)
			}
			made[i] = s
		})
	}
	wg.Wait()
	for _, s := range made {
		if s != made[0] || len(s) != 64 {
			t.Errorf("two processes read different secrets of %d and %d bytes", len(s), len(made[0]))
		}
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file has mode %v, %v", info.Mode(), err)
	}
	if left, err := filepath.Glob(filepath.Join(filepath.Dir(path), ".new-*")); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestFileOrCreateRefusesAShortSecret(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, []byte("hunter2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := secret.FileOrCreate(path); err == nil || leaks(err.Error()) {
		t.Errorf("got %v", err)
	}
	if err := secret.CreateFile(path, []byte("another")); err != nil {
		t.Errorf("a file that exists: %v", err)
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != "hunter2\n" {
		t.Errorf("it now holds %q, %v", got, err)
	}
}

func FuzzSecret(f *testing.F) {
	f.Add("-more", "+v")
	f.Fuzz(func(t *testing.T, text, verb string) {
		s := secret.Secret(value + text)
		if !s.Equal(value+text) || s.Equal(value+text+"x") || s.Reveal() != value+text {
			t.Errorf("%q is not itself", value+text)
		}
		if strings.ContainsAny(verb, "pw") || leaks(verb) {
			return // fmt asks no value what to show for %p and %w; vet finds them
		}
		if got := fmt.Sprintf("%"+verb, s); leaks(got) {
			t.Errorf("%%%s shows %q", verb, got)
		}
	})
}
