package jwtkit

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/holdfast-games/holdfast/pkg/apperr"
	"github.com/holdfast-games/holdfast/pkg/clock"
	"github.com/holdfast-games/holdfast/pkg/id"
)

// Issuer and Audience are the iss and aud of every access token.
const (
	Issuer   = "holdfast"
	Audience = "holdfast"
)

// Errors of Verify.
var (
	ErrMissing   = apperr.New(apperr.Unauthenticated, "token_missing", "this call needs an access token")
	ErrMalformed = apperr.New(apperr.Unauthenticated, "token_malformed", "the access token is not one of ours")
	ErrExpired   = apperr.New(apperr.Unauthenticated, "token_expired", "the access token has expired, please refresh it")
)

// Claims are what an access token says.
type Claims struct {
	Player    string
	Rev       int64
	Family    string
	Name      string
	Provider  string
	ID        string
	IssuedAt  time.Time
	ExpiresAt time.Time
}

type claims struct {
	jwt.RegisteredClaims
	Rev     int64  `json:"rev"`
	Family  string `json:"fam"`
	Name    string `json:"name"`
	Prov    string `json:"prov"`
	Purpose string `json:"purpose,omitempty"`
}

// Signer makes access tokens with the last private key of its folder.
type Signer struct {
	key   Key
	ttl   time.Duration
	clock clock.Clock
}

// NewSigner returns a signer for tokens that live for ttl.
func NewSigner(keys []Key, ttl time.Duration, c clock.Clock) (*Signer, error) {
	for _, k := range slices.Backward(keys) {
		if k.private != nil {
			return &Signer{key: k, ttl: ttl, clock: c}, nil
		}
	}
	return nil, errors.New("no private key to sign tokens with")
}

// Sign makes a token; ID, IssuedAt and ExpiresAt are filled in.
func (s *Signer) Sign(c Claims) (string, Claims, error) {
	now := s.clock.Now().UTC().Truncate(time.Second)
	c.ID, c.IssuedAt, c.ExpiresAt = id.New(), now, now.Add(s.ttl)
	t := jwt.NewWithClaims(jwt.GetSigningMethod(s.key.Alg), claims{
		RegisteredClaims: jwt.RegisteredClaims{
			Issuer: Issuer, Audience: jwt.ClaimStrings{Audience}, Subject: c.Player, ID: c.ID,
			IssuedAt: jwt.NewNumericDate(c.IssuedAt), ExpiresAt: jwt.NewNumericDate(c.ExpiresAt),
		},
		Rev: c.Rev, Family: c.Family, Name: c.Name, Prov: c.Provider,
	})
	t.Header["kid"] = s.key.ID
	signed, err := t.SignedString(s.key.private)
	if err != nil {
		return "", Claims{}, fmt.Errorf("sign a token: %w", err)
	}
	return signed, c, nil
}
