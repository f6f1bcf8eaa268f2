package auth_test

import (
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/holdfast-games/holdfast/pkg/config"
	"github.com/holdfast-games/holdfast/pkg/service"
	"github.com/holdfast-games/holdfast/services/auth"
)

var update = flag.Bool("update", false, "write the generated part of README.md")

const (
	settingsBegin = "<!-- settings: generated, go test -run TestReadme -update -->\n"
	settingsEnd   = "<!-- end of settings -->"
)

func TestReadmeListsTheSettings(t *testing.T) {
	b, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(b), settingsBegin)
	_, after, ended := strings.Cut(rest, settingsEnd)
	if !found || !ended {
		t.Fatalf("README.md has no place for the settings, between %q and %q", settingsBegin, settingsEnd)
	}
	want := before + settingsBegin + "\n" + config.Table[auth.Config]() + "\nAnd those of every process:\n\n" +
		service.Settings() + "\n" + settingsEnd + after
	if *update {
		if err := os.WriteFile("README.md", []byte(want), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	if string(b) != want {
		t.Error("the settings in README.md are not those of Config; run go test -run TestReadme -update")
	}
}
