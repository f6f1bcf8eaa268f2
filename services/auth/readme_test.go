package auth_test

import (
	"testing"

	"github.com/holdfast-games/holdfast/pkg/config"
	"github.com/holdfast-games/holdfast/pkg/service"
	"github.com/holdfast-games/holdfast/pkg/testkit/readme"
	"github.com/holdfast-games/holdfast/services/auth"
)

func TestReadmeListsTheSettings(t *testing.T) {
	readme.Check(t, "README.md", "settings", config.Table[auth.Config]()+"\nAnd those of every process:\n\n"+service.Settings())
}
