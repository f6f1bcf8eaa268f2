// Command standalone runs all of Holdfast in one process.
package main

import (
	"github.com/holdfast-games/holdfast/pkg/service"
	"github.com/holdfast-games/holdfast/services/standalone"
)

func main() { service.Main("standalone", standalone.New) }
