// Command auth runs the auth service.
package main

import (
	"github.com/holdfast-games/holdfast/pkg/service"
	"github.com/holdfast-games/holdfast/services/auth"
)

func main() { service.Main("auth", auth.New) }
