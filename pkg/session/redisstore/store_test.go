package redisstore_test

import (
	"testing"

	"github.com/holdfast-games/holdfast/pkg/session/sessiontest"
)

func TestStoreOnMiniredis(t *testing.T) { sessiontest.Run(t, onMiniredis) }

func TestStoreOnRedis(t *testing.T) { sessiontest.Run(t, onRedis) }

func TestStoreOnCluster(t *testing.T) { sessiontest.Run(t, onCluster) }
