package session

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/holdfast-games/holdfast/pkg/clock"
	"github.com/holdfast-games/holdfast/pkg/jwtkit"
)

// ErrNoPlayer says that the durable store knows no such player.
var ErrNoPlayer = errors.New("session: unknown player")

// FactsSource is the durable player record, as far as a session needs it.
type FactsSource interface {
	// Facts returns the facts of a player and whether the family is revoked.
	// Errors: ErrNoPlayer, or that the store is away.
	Facts(ctx context.Context, player, family string) (Facts, error)
}

// ClaimsFrom takes what the session protocol needs out of a verified token.
func ClaimsFrom(t jwtkit.Claims) Claims {
	return Claims{
		Player: t.Player, Rev: t.Rev, Family: t.Family, Name: t.Name, Provider: t.Provider, ExpiresAt: t.ExpiresAt,
	}
}

const (
	factsTimeout = time.Second
	factsPause   = 5 * time.Second
)

// Keeper makes a session from any valid token: it is the Store, and when the
// store has no record, or has not heard of the login in this life of the
// session, it brings the facts. While the durable store is away the token
// stands in, and the login is asked about at a later call.
type Keeper struct {
	Store
	source    FactsSource // nil = there is none
	clock     clock.Clock
	log       *slog.Logger
	awayUntil atomic.Int64 // Unix ms; the source failed lately
}

// NewKeeper returns a keeper. Without a source, tokens are all it has.
func NewKeeper(store Store, source FactsSource, c clock.Clock, log *slog.Logger) *Keeper {
	return &Keeper{Store: store, source: source, clock: c, log: log}
}

// Ensure is Store.Ensure that never answers ErrAbsent.
func (k *Keeper) Ensure(ctx context.Context, c Claims, read bool) (Result, error) {
	res, err := k.Store.Ensure(ctx, c, k.standIn(c), read)
	if !errors.Is(err, ErrAbsent) {
		return res, err
	}
	facts, err := k.heal(ctx, c)
	if err != nil {
		return Result{}, err
	}
	return k.Store.Ensure(ctx, c, &facts, read)
}

// Begin is Store.Begin that never answers ErrAbsent.
func (k *Keeper) Begin(ctx context.Context, c Claims) (Result, int64, error) {
	res, epoch, err := k.Store.Begin(ctx, c, k.standIn(c))
	if !errors.Is(err, ErrAbsent) {
		return res, epoch, err
	}
	facts, err := k.heal(ctx, c)
	if err != nil {
		return Result{}, 0, err
	}
	return k.Store.Begin(ctx, c, &facts)
}

// Reserve is Store.Reserve that never answers ErrAbsent.
func (k *Keeper) Reserve(ctx context.Context, c Claims, r Reservation) (Hold, error) {
	h, err := k.Store.Reserve(ctx, c, k.standIn(c), r)
	if !errors.Is(err, ErrAbsent) {
		return h, err
	}
	facts, err := k.heal(ctx, c)
	if err != nil {
		return Hold{}, err
	}
	return k.Store.Reserve(ctx, c, &facts, r)
}

// standIn returns the facts that a token holds while there is nobody else to
// ask, and nil when there is.
func (k *Keeper) standIn(c Claims) *Facts {
	if !k.away(k.clock.Now()) {
		return nil
	}
	return &Facts{Name: c.Name, Provider: c.Provider}
}

func (k *Keeper) away(now time.Time) bool {
	return k.source == nil || now.UnixMilli() < k.awayUntil.Load()
}

// Connected is Store.Connected that never answers ErrAbsent. There is no
// token to go by: a player nobody knows gets a session without a name.
func (k *Keeper) Connected(ctx context.Context, player string, id ConnectionID, node string) (Result, error) {
	res, err := k.Store.Connected(ctx, player, id, node, nil)
	if !errors.Is(err, ErrAbsent) {
		return res, err
	}
	facts, err := k.ask(ctx, player, "")
	if err != nil {
		facts = Facts{Durable: errors.Is(err, ErrNoPlayer)}
	}
	return k.Store.Connected(ctx, player, id, node, &facts)
}

// heal collects the facts for a new record. Errors: ErrRevoked.
func (k *Keeper) heal(ctx context.Context, c Claims) (Facts, error) {
	facts, err := k.ask(ctx, c.Player, c.Family)
	if err != nil {
		return Facts{Name: c.Name, Provider: c.Provider, Durable: errors.Is(err, ErrNoPlayer)}, nil
	}
	if facts.FamilyRevoked || c.Rev < facts.Rev {
		return Facts{}, ErrRevoked
	}
	return facts, nil
}

var errSourceAway = errors.New("session: no durable record to ask")

// ask asks the source, but not for a while after it failed: a dead database
// must not slow down every call.
func (k *Keeper) ask(ctx context.Context, player, family string) (Facts, error) {
	now := k.clock.Now()
	if k.away(now) {
		return Facts{}, errSourceAway
	}
	ctx, cancel := context.WithTimeout(ctx, factsTimeout)
	defer cancel()
	facts, err := k.source.Facts(ctx, player, family)
	if err != nil && !errors.Is(err, ErrNoPlayer) && !errors.Is(err, context.Canceled) {
		k.awayUntil.Store(now.Add(factsPause).UnixMilli())
		k.log.WarnContext(ctx, "the durable player record is away, tokens stand in", "error", err)
	}
	return facts, err
}
