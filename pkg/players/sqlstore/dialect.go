package sqlstore

import (
	"context"

	"github.com/pressly/goose/v3"
)

// dialect is what the two databases do not have in common.
type dialect interface {
	// forShare and forUpdate lock the rows that a SELECT returns, up to the end
	// of the transaction. skipLocked passes over rows that others lock.
	forShare() string
	forUpdate() string
	skipLocked() string

	// isDuplicate reports a violated primary key or unique index.
	isDuplicate(err error) bool
	// isUnavailable reports that the database could not be asked.
	isUnavailable(err error) bool

	// migrate applies what is missing, safely beside others who do the same.
	migrate(ctx context.Context, provider func(...goose.ProviderOption) (*goose.Provider, error)) error
}
