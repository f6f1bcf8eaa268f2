package standalone

import (
	"testing"

	"github.com/holdfast-games/holdfast/pkg/config"
	"github.com/holdfast-games/holdfast/pkg/testkit/readme"
)

func TestReadme(t *testing.T) {
	readme.Check(t, "README.md", "settings", config.Table[Config]())
}
