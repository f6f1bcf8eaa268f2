// Package openapi carries the OpenAPI documents of Holdfast's services inside
// the binary. They are the contract: server interfaces and Go clients are
// generated from them.
package openapi

import (
	"embed"
	"fmt"
)

//go:embed *.yaml
var documents embed.FS

// Names returns the file names of all documents, by service first and the
// shared ones last. References between them use these names.
func Names() []string {
	return []string{
		"auth.yaml", "session.yaml", "matchmaking.yaml", "emqx-hook.yaml",
		"operations.yaml", "wire.yaml",
	}
}

// Read returns one document by the name Names gives it. Any other name is an
// error that matches fs.ErrNotExist.
func Read(name string) ([]byte, error) {
	document, err := documents.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("openapi: %w", err)
	}
	return document, nil
}
