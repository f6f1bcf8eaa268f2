package jwtkit

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/holdfast-games/holdfast/pkg/apperr"
	"github.com/holdfast-games/holdfast/pkg/clock"
	"github.com/holdfast-games/holdfast/pkg/id"
)

const (
	// maxToken is the longest token, in bytes, that is looked at.
	maxToken = 4096
	// cacheSize bounds the verified tokens a process remembers.
	cacheSize = 16384
	// reloadEvery bounds how often an unknown kid makes us look at the folder.
	reloadEvery = time.Second
)

// Verifier verifies access tokens with the keys of a folder, which it reads
// again when it meets a kid it does not know. It remembers verified tokens
// until they expire; revocation is not its business. Safe for concurrent use.
type Verifier struct {
	dir    string
	clock  clock.Clock
	parser *jwt.Parser
	most   int // verified tokens to remember

	mu     sync.RWMutex
	keys   map[string]Key
	loaded time.Time
	cache  map[[sha256.Size]byte]Claims
}

// NewVerifier returns a verifier for the keys in dir. The folder may still be
// empty: auth makes the first key.
func NewVerifier(dir string, c clock.Clock) *Verifier {
	return &Verifier{
		dir: dir, clock: c, most: cacheSize, keys: map[string]Key{}, cache: map[[sha256.Size]byte]Claims{},
		parser: jwt.NewParser(
			jwt.WithValidMethods([]string{"ES256", "RS256", "EdDSA"}), jwt.WithExpirationRequired(),
			jwt.WithIssuer(Issuer), jwt.WithAudience(Audience), jwt.WithTimeFunc(c.Now), jwt.WithLeeway(0),
		),
	}
}

// Verify returns what the token says. Errors: ErrMissing, ErrMalformed,
// ErrExpired, or what reading the keys failed with.
func (v *Verifier) Verify(token string) (Claims, error) {
	switch {
	case token == "":
		return Claims{}, ErrMissing
	case len(token) > maxToken:
		return Claims{}, ErrMalformed
	}
	hash := sha256.Sum256([]byte(token))
	v.mu.RLock()
	c, ok := v.cache[hash]
	v.mu.RUnlock()
	if ok {
		if !v.clock.Now().Before(c.ExpiresAt) {
			return Claims{}, ErrExpired
		}
		return c, nil
	}
	c, err := v.parse(token)
	if err != nil {
		return Claims{}, err
	}
	v.remember(hash, c)
	return c, nil
}

func (v *Verifier) parse(token string) (Claims, error) {
	var parsed claims
	var broken error
	_, err := v.parser.ParseWithClaims(token, &parsed, func(t *jwt.Token) (any, error) {
		kid, _ := t.Header["kid"].(string)
		k, err := v.key(kid)
		if err != nil {
			broken = err
			return nil, err
		}
		if k.Alg != t.Method.Alg() {
			return nil, fmt.Errorf("key %s is not for %s", kid, t.Method.Alg())
		}
		return k.Public, nil
	})
	switch {
	case broken != nil && !errors.Is(broken, errUnknownKey):
		return Claims{}, broken
	case errors.Is(err, jwt.ErrTokenExpired) && !errors.Is(err, jwt.ErrTokenSignatureInvalid):
		return Claims{}, ErrExpired
	case err != nil:
		return Claims{}, ErrMalformed.With(err)
	case !id.Valid(parsed.Subject) || parsed.Purpose != "" || parsed.Rev < 0:
		return Claims{}, ErrMalformed
	}
	c := Claims{
		Player: parsed.Subject, Rev: parsed.Rev, Family: parsed.Family, Name: parsed.Name, Provider: parsed.Prov,
		ID: parsed.ID, ExpiresAt: parsed.ExpiresAt.Time,
	}
	if parsed.IssuedAt != nil {
		c.IssuedAt = parsed.IssuedAt.Time
	}
	return c, nil
}

var errUnknownKey = errors.New("unknown kid")

func (v *Verifier) key(kid string) (Key, error) {
	v.mu.RLock()
	k, ok := v.keys[kid]
	v.mu.RUnlock()
	if ok {
		return k, nil
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if now := v.clock.Now(); now.Sub(v.loaded) >= reloadEvery || now.Before(v.loaded) {
		keys, err := Load(v.dir)
		if err != nil {
			return Key{}, err
		}
		v.loaded = now
		v.keys = make(map[string]Key, len(keys))
		for _, k := range keys {
			v.keys[k.ID] = k
		}
	}
	if k, ok := v.keys[kid]; ok {
		return k, nil
	}
	if len(v.keys) == 0 {
		return Key{}, apperr.Away("verify a token", errors.New("there are no keys yet"))
	}
	return Key{}, errUnknownKey
}

// remember keeps the cache bounded: when it is full, expired tokens go, and
// if that is not enough, any.
func (v *Verifier) remember(hash [sha256.Size]byte, c Claims) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.cache) >= v.most {
		now := v.clock.Now()
		for h, old := range v.cache {
			if !now.Before(old.ExpiresAt) || len(v.cache) > v.most*7/8 {
				delete(v.cache, h)
			}
		}
	}
	v.cache[hash] = c
}

// Keys returns the keys of the folder as they are now.
func (v *Verifier) Keys() ([]Key, error) { return Load(v.dir) }
