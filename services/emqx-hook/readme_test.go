package emqxhook

import (
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/holdfast-games/holdfast/pkg/config"
	"github.com/holdfast-games/holdfast/pkg/service"
)

var update = flag.Bool("update", false, "write the table of settings into README.md")

// TestReadme holds the README's table of settings to the code.
func TestReadme(t *testing.T) {
	const name, begin, end = "README.md", "<!-- settings -->\n", "<!-- /settings -->"
	raw, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(raw), begin)
	_, after, closed := strings.Cut(rest, end)
	if !ok || !closed {
		t.Fatalf("%s has no place for the settings", name)
	}
	_, common, _ := strings.Cut(service.Settings(), "|---|---|---|\n")
	want := before + begin + config.Table[Config]() + common + end + after
	if want == string(raw) {
		return
	}
	if !*update {
		t.Fatalf("%s does not list the settings as they are: run go test -run TestReadme -update .", name)
	}
	if err := os.WriteFile(name, []byte(want), 0o644); err != nil {
		t.Fatal(err)
	}
}
