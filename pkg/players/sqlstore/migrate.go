package sqlstore

import (
	"context"
	"embed"
	"fmt"
	"io/fs"

	"github.com/pressly/goose/v3"
)

// migrationsTable is not goose's default, so that the schema can live in a
// database with others.
const migrationsTable = "players_migrations"

//go:embed migrations/*.sql
var migrations embed.FS

// Migrate brings the schema up to date. Doing so again changes nothing, and any
// number of instances may do so at once. It runs as long as ctx lets it.
// players.ErrUnavailable: the database is away. Other errors are for an
// operator.
func (s *Store) Migrate(ctx context.Context) error {
	return s.explain("migrate", s.dialect.migrate(ctx, s.provider))
}

func (s *Store) provider(options ...goose.ProviderOption) (*goose.Provider, error) {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, fmt.Errorf("read the migrations: %w", err)
	}
	name := goose.DialectPostgres
	if _, ok := s.dialect.(sqlite); ok {
		name = goose.DialectSQLite3
	}
	options = append(options, goose.WithTableName(migrationsTable), goose.WithDisableGlobalRegistry(true))
	p, err := goose.NewProvider(name, s.write, files, options...)
	if err != nil {
		return nil, fmt.Errorf("load the migrations: %w", err)
	}
	return p, nil
}
