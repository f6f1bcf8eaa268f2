package session_test

import (
	"testing"

	"github.com/holdfast-games/holdfast/pkg/testkit"
	"github.com/holdfast-games/holdfast/pkg/testkit/redisserver"
)

var sharedRedis redisserver.Shared

func TestMain(m *testing.M) { testkit.Main(m, sharedRedis.Stop) }
