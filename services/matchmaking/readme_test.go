package matchmaking_test

import (
	"os"
	"strings"
	"testing"

	"github.com/holdfast-games/holdfast/pkg/config"
	"github.com/holdfast-games/holdfast/pkg/service"
	"github.com/holdfast-games/holdfast/pkg/testkit/readme"
	"github.com/holdfast-games/holdfast/services/matchmaking"
	"github.com/holdfast-games/holdfast/services/matchmaking/internal/rules"
)

func TestReadmeListsTheSettings(t *testing.T) {
	readme.Check(t, "README.md", "settings", config.Table[matchmaking.Config]()+"\nAnd those of every process:\n\n"+service.Settings())
}

func TestReadmeShowsRulesThatParse(t *testing.T) {
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, example, _ := strings.Cut(string(text), "```yaml\n")
	example, _, _ = strings.Cut(example, "```")
	if _, err := rules.Parse([]byte(example)); err != nil {
		t.Error(err)
	}
}
