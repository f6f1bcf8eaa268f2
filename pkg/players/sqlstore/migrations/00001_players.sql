-- One dialect serves Postgres and SQLite. Times are milliseconds since 1970.
-- A migration runs in one transaction with the note that it ran.

-- +goose Up
CREATE TABLE players (
    id           TEXT   NOT NULL PRIMARY KEY,
    display_name TEXT   NOT NULL,
    provider     TEXT   NOT NULL,
    rev          BIGINT NOT NULL DEFAULT 0,
    revoked_at   BIGINT,
    created_at   BIGINT NOT NULL,
    updated_at   BIGINT NOT NULL,
    deleted_at   BIGINT
);

CREATE TABLE identities (
    provider     TEXT NOT NULL,
    subject_hash TEXT NOT NULL,
    player_id    TEXT NOT NULL REFERENCES players (id),
    PRIMARY KEY (provider, subject_hash)
);

CREATE INDEX identities_of_player ON identities (player_id);

CREATE TABLE refresh_families (
    id                  TEXT   NOT NULL PRIMARY KEY,
    player_id           TEXT   NOT NULL REFERENCES players (id),
    counter             BIGINT NOT NULL,
    created_at          BIGINT NOT NULL,
    expires_at          BIGINT NOT NULL, -- becomes ended_at when the family ends, for the purge
    absolute_expires_at BIGINT NOT NULL,
    ended_at            BIGINT,
    ended_reason        TEXT   NOT NULL DEFAULT ''
);

CREATE INDEX refresh_families_of_player ON refresh_families (player_id);
CREATE INDEX refresh_families_by_expiry ON refresh_families (expires_at);

-- SQLite has no lock to migrate under. With this, of two processes that run
-- one migration at once, the second fails and finds it done when it retries.
CREATE UNIQUE INDEX players_migrations_once ON players_migrations (version_id);
