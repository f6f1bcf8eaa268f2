// Package memstore keeps players in a map. It is the model that the other
// stores are measured by, and a store for unit tests; nothing survives it.
package memstore

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/holdfast-games/holdfast/pkg/players"
)

// Store is a players.Store in memory.
type Store struct {
	mu         sync.Mutex
	players    map[string]*players.Player
	identities map[players.Identity]string
	families   map[string]*family
}

type family struct {
	players.Family

	playerID string
}

var _ players.Store = (*Store)(nil)

// New returns an empty store.
func New() *Store {
	return &Store{
		players:    map[string]*players.Player{},
		identities: map[players.Identity]string{},
		families:   map[string]*family{},
	}
}

// FindOrCreate implements players.Store.
func (s *Store) FindOrCreate(
	_ context.Context, identity players.Identity, create players.NewPlayer, now time.Time,
) (players.Player, bool, error) {
	if identity.Validate() != nil || create.Validate() != nil {
		return players.Player{}, false, players.ErrInvalid
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now = millis(now)
	if owner, ok := s.identities[identity]; ok {
		p := s.players[owner]
		if p.Deleted() {
			p.DisplayName, p.UpdatedAt, p.DeletedAt = create.DisplayName, now, time.Time{}
		}
		return *p, false, nil
	}
	if _, taken := s.players[create.ID]; taken {
		return players.Player{}, false, players.ErrInvalid
	}
	p := &players.Player{
		ID: create.ID, DisplayName: create.DisplayName, Provider: identity.Provider, CreatedAt: now, UpdatedAt: now,
	}
	s.players[p.ID] = p
	s.identities[identity] = p.ID
	return *p, true, nil
}

// Get implements players.Store.
func (s *Store) Get(_ context.Context, playerID string) (players.Player, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, ok := s.players[playerID]
	if !ok {
		return players.Player{}, players.ErrNotFound
	}
	return *p, nil
}

// Facts implements players.Store.
func (s *Store) Facts(_ context.Context, playerID, familyID string) (players.Facts, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, ok := s.players[playerID]
	if !ok {
		return players.Facts{}, players.ErrNotFound
	}
	f, known := s.families[familyID]
	alive := known && f.playerID == playerID && f.EndedAt.IsZero()
	ended := p.RevokedAt
	for _, other := range s.families {
		if other.playerID == playerID && other.EndedAt.After(ended) {
			ended = other.EndedAt
		}
	}
	return players.Facts{
		DisplayName: p.DisplayName, Provider: p.Provider, Rev: p.Rev, EndedAt: ended,
		FamilyRevoked: familyID != "" && !alive, Deleted: p.Deleted(),
	}, nil
}

// Rename implements players.Store.
func (s *Store) Rename(_ context.Context, playerID, displayName string, now time.Time) error {
	if err := players.ValidateDisplayName(displayName); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	p, ok := s.present(playerID)
	if !ok {
		return players.ErrNotFound
	}
	p.DisplayName, p.UpdatedAt = displayName, millis(now)
	return nil
}

// Identities implements players.Store.
func (s *Store) Identities(_ context.Context, playerID string) ([]players.Identity, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.players[playerID]; !ok {
		return nil, players.ErrNotFound
	}
	return s.identitiesOf(playerID), nil
}

// Link implements players.Store.
func (s *Store) Link(_ context.Context, playerID string, identity players.Identity, now time.Time) (bool, error) {
	if err := identity.Validate(); err != nil {
		return false, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	p, ok := s.present(playerID)
	if !ok {
		return false, players.ErrNotFound
	}
	switch s.identities[identity] {
	case "":
		s.identities[identity] = playerID
		p.UpdatedAt = millis(now)
		return false, nil
	case playerID:
		return true, nil
	default:
		return false, players.ErrIdentityTaken
	}
}

// Unlink implements players.Store.
func (s *Store) Unlink(_ context.Context, playerID, provider string, now time.Time) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, ok := s.present(playerID)
	if !ok {
		return false, players.ErrNotFound
	}
	all := s.identitiesOf(playerID)
	others := slices.DeleteFunc(slices.Clone(all), func(i players.Identity) bool { return i.Provider == provider })
	switch len(others) {
	case len(all):
		return true, nil
	case 0:
		return false, players.ErrLastIdentity
	}
	for _, identity := range all {
		if identity.Provider == provider {
			delete(s.identities, identity)
		}
	}
	if p.Provider == provider {
		p.Provider = others[0].Provider
	}
	p.UpdatedAt = millis(now)
	return false, nil
}

// CreateFamily implements players.Store.
func (s *Store) CreateFamily(_ context.Context, f players.NewFamily) error {
	if err := f.Validate(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	p, ok := s.players[f.PlayerID]
	if !ok {
		return players.ErrNotFound
	}
	if p.Deleted() || p.Rev != f.Rev {
		return players.ErrChanged
	}
	if _, taken := s.families[f.ID]; taken {
		return players.ErrInvalid
	}
	s.families[f.ID] = &family{playerID: f.PlayerID, Family: players.Family{
		Counter: players.FirstCounter, ExpiresAt: millis(f.ExpiresAt), AbsoluteExpiresAt: millis(f.AbsoluteExpiresAt),
	}}
	return nil
}

// RotateFamily implements players.Store.
func (s *Store) RotateFamily(_ context.Context, r players.Rotation) (players.RotateResult, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f, ok := s.families[r.FamilyID]
	if !ok {
		return players.RotateResult{Outcome: players.UnknownFamily}, nil
	}
	now := millis(r.Now)
	outcome := f.Judge(r.Presented, now)
	switch outcome {
	case players.Rotated:
		f.Counter++
		f.ExpiresAt = millis(f.Slide(now, r.Sliding))
	case players.Reused:
		f.end(players.Replay, now)
	default:
	}
	result := players.RotateResult{Outcome: outcome, Player: *s.players[f.playerID], EndReason: f.EndReason}
	if outcome.Granted() {
		result.Counter, result.ExpiresAt = f.Counter, f.ExpiresAt
	}
	return result, nil
}

// RevokeFamily implements players.Store.
func (s *Store) RevokeFamily(_ context.Context, familyID string, reason players.EndReason, now time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f, ok := s.families[familyID]; ok {
		f.end(reason, now)
	}
	return nil
}

// Revoke implements players.Store.
func (s *Store) Revoke(_ context.Context, playerID string, reason players.EndReason, now time.Time) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, ok := s.players[playerID]
	if !ok {
		return 0, players.ErrNotFound
	}
	s.revoke(p, reason, now)
	return p.Rev, nil
}

// Delete implements players.Store.
func (s *Store) Delete(_ context.Context, playerID string, now time.Time) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, ok := s.players[playerID]
	if !ok {
		return 0, players.ErrNotFound
	}
	if !p.Deleted() {
		s.revoke(p, players.Removed, now)
		p.DisplayName, p.DeletedAt = "", millis(now)
	}
	return p.Rev, nil
}

// PurgeExpired implements players.Store.
func (s *Store) PurgeExpired(_ context.Context, before time.Time, limit int) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	removed := 0
	for familyID, f := range s.families {
		if removed < limit && f.ExpiresAt.Before(millis(before)) {
			delete(s.families, familyID)
			removed++
		}
	}
	return removed, nil
}

// Ping implements players.Store.
func (*Store) Ping(context.Context) error { return nil }

// Close implements players.Store.
func (*Store) Close() error { return nil }

func (s *Store) present(playerID string) (*players.Player, bool) {
	p, ok := s.players[playerID]
	return p, ok && !p.Deleted()
}

func (s *Store) identitiesOf(playerID string) []players.Identity {
	var own []players.Identity
	for identity, owner := range s.identities {
		if owner == playerID {
			own = append(own, identity)
		}
	}
	slices.SortFunc(own, func(a, b players.Identity) int {
		return cmp.Or(cmp.Compare(a.Provider, b.Provider), cmp.Compare(a.SubjectHash, b.SubjectHash))
	})
	return own
}

func (s *Store) revoke(p *players.Player, reason players.EndReason, now time.Time) {
	p.Rev++
	p.UpdatedAt = millis(now)
	if p.RevokedAt.Before(millis(now)) {
		p.RevokedAt = millis(now)
	}
	for _, f := range s.families {
		if f.playerID == p.ID {
			f.end(reason, now)
		}
	}
}

// end keeps an ended family as long as one that expires now.
func (f *family) end(reason players.EndReason, now time.Time) {
	if f.EndedAt.IsZero() {
		f.EndedAt, f.ExpiresAt, f.EndReason = millis(now), millis(now), reason
	}
}

func millis(t time.Time) time.Time { return time.UnixMilli(t.UnixMilli()).UTC() }
