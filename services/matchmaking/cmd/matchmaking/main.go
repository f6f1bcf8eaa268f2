// Command matchmaking runs the matchmaking service.
package main

import (
	"github.com/holdfast-games/holdfast/pkg/service"
	"github.com/holdfast-games/holdfast/services/matchmaking"
)

func main() { service.Main("matchmaking", matchmaking.New) }
