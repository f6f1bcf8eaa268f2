// Command session runs the session service.
package main

import (
	"github.com/holdfast-games/holdfast/pkg/service"
	"github.com/holdfast-games/holdfast/services/session"
)

func main() { service.Main("session", session.New) }
