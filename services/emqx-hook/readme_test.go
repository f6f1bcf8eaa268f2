package emqxhook

import (
	"strings"
	"testing"

	"github.com/holdfast-games/holdfast/pkg/config"
	"github.com/holdfast-games/holdfast/pkg/service"
	"github.com/holdfast-games/holdfast/pkg/testkit/readme"
)

// TestReadme holds the README's table of settings to the code.
func TestReadme(t *testing.T) {
	_, common, _ := strings.Cut(service.Settings(), "|---|---|---|\n")
	readme.Check(t, "README.md", "settings", config.Table[Config]()+common)
}
