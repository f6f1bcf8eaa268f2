package session

import (
	"errors"
	"time"
)

// Settings are the durations of the protocol. Every service of a deployment
// needs the same ones.
type Settings struct {
	GraceIdle      time.Duration `env:"GRACE_IDLE" envDefault:"120s" doc:"grace after a disconnect for a player who is nowhere in particular"`
	GraceLobby     time.Duration `env:"GRACE_LOBBY" envDefault:"120s" doc:"grace after a disconnect in a lobby"`
	GraceQueue     time.Duration `env:"GRACE_QUEUE" envDefault:"60s" doc:"grace after a disconnect in a queue"`
	GraceMatch     time.Duration `env:"GRACE_MATCH" envDefault:"120s" doc:"grace after a disconnect in a match"`
	GraceNormal    time.Duration `env:"GRACE_NORMAL" envDefault:"30s" doc:"longest grace after a clean DISCONNECT"`
	DetachedTTL    time.Duration `env:"DETACHED_TTL" envDefault:"10m" doc:"life of a session that never connected to the broker"`
	HTTPLease      time.Duration `env:"HTTP_LEASE" envDefault:"60s" doc:"an HTTP call keeps a session without a connection at least this long"`
	HTTPReach      time.Duration `env:"HTTP_REACH" envDefault:"15s" doc:"an HTTP call makes a player without a connection matchable this long"`
	OnlineLease    time.Duration `env:"ONLINE_LEASE" envDefault:"24h" doc:"an open connection is believed this long without a sign of life"`
	Handover       time.Duration `env:"HANDOVER" envDefault:"60s" doc:"how long a takeover waits for the events still on their way; longer than the broker's webhook request_ttl"`
	AccessTokenTTL time.Duration `env:"ACCESS_TOKEN_TTL" envDefault:"15m" doc:"life of an access token; revocations are remembered in Redis twice as long"`

	// ReconcileInterval is the period of the comparison with the broker's
	// client list, 0 = there is none. It has no variable: nobody compares yet,
	// and a store that counts on it would drop no lease.
	ReconcileInterval time.Duration
}

// Fixed durations and limits of the protocol.
const (
	Stale            = 10 * time.Second // a beat older than this means: its owner is away
	AmnestyMax       = 24 * time.Hour   // the most one outage gives back
	TombstoneTTL     = 10 * time.Minute
	ReserveTTL       = 10 * time.Second
	Backstop         = 48 * time.Hour // TTL of a record beyond its deadline
	MaxConnections   = 8
	MaxTombstones    = 256
	MaxFamilies      = 16 // logins that one life of a session remembers to be good
	MaxTickets       = 4
	MaxDuePerPass    = 100
	DefaultSweep     = 500 * time.Millisecond
	BeatInterval     = 2 * time.Second
	minimumHTTPReach = 3 * time.Millisecond
)

// Defaults returns the settings of a deployment that chooses none.
func Defaults() Settings {
	return Settings{
		GraceIdle: 120 * time.Second, GraceLobby: 120 * time.Second, GraceQueue: 60 * time.Second,
		GraceMatch: 120 * time.Second, GraceNormal: 30 * time.Second, DetachedTTL: 10 * time.Minute,
		HTTPLease: 60 * time.Second, HTTPReach: 15 * time.Second, OnlineLease: 24 * time.Hour,
		Handover: 60 * time.Second, AccessTokenTTL: 15 * time.Minute,
	}
}

// Validate says what is wrong with the settings.
func (s Settings) Validate() error {
	positive := map[string]time.Duration{
		"GRACE_IDLE": s.GraceIdle, "GRACE_LOBBY": s.GraceLobby, "GRACE_QUEUE": s.GraceQueue,
		"GRACE_MATCH": s.GraceMatch, "GRACE_NORMAL": s.GraceNormal, "DETACHED_TTL": s.DetachedTTL,
		"HTTP_LEASE": s.HTTPLease, "ONLINE_LEASE": s.OnlineLease, "HANDOVER": s.Handover,
		"ACCESS_TOKEN_TTL": s.AccessTokenTTL,
	}
	for name, d := range positive {
		if d < time.Millisecond {
			return errors.New("HOLDFAST_" + name + " must be at least 1ms")
		}
	}
	if s.HTTPReach < minimumHTTPReach {
		return errors.New("HOLDFAST_HTTP_REACH must be at least 3ms")
	}
	if s.ReconcileInterval < 0 {
		return errors.New("the interval of reconciliation must not be negative")
	}
	return nil
}

// RevokedTTL is how long Redis remembers a revocation: longer than any token
// that was out when it happened.
func (s Settings) RevokedTTL() time.Duration { return 2 * s.AccessTokenTTL }
