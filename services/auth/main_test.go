package auth_test

import (
	"testing"

	"github.com/holdfast-games/holdfast/pkg/testkit"
	"github.com/holdfast-games/holdfast/pkg/testkit/postgres"
	"github.com/holdfast-games/holdfast/pkg/testkit/redisserver"
)

var (
	sharedRedis    redisserver.Shared
	sharedPostgres postgres.Shared
)

func TestMain(m *testing.M) { testkit.Main(m, sharedRedis.Stop, sharedPostgres.Stop) }
