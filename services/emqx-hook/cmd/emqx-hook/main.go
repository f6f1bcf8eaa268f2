// Command emqx-hook runs the broker's edge: see services/emqx-hook/README.md.
package main

import (
	"github.com/holdfast-games/holdfast/pkg/service"
	"github.com/holdfast-games/holdfast/services/emqx-hook"
)

func main() { service.Main("emqx-hook", emqxhook.New) }
