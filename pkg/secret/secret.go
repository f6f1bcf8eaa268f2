// Package secret holds values that must never be printed.
package secret

import (
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
)

const redacted = "[redacted]"

// Secret is a string that every formatter shows as "[redacted]".
type Secret string

// Reveal returns the value. Each call is a place to look at in a review.
func (s Secret) Reveal() string { return string(s) }

// Set reports whether there is a value.
func (s Secret) Set() bool { return s != "" }

// Equal compares with a presented value in constant time. An unset secret
// equals nothing.
func (s Secret) Equal(presented string) bool {
	a, b := sha256.Sum256([]byte(s)), sha256.Sum256([]byte(presented))
	return s != "" && subtle.ConstantTimeCompare(a[:], b[:]) == 1
}

// String hides the value.
func (s Secret) String() string { return redacted }

// Format hides the value whatever the verb.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// MarshalText hides the value from JSON and structured logs.
func (s Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// UnmarshalText takes the value as it is.
func (s *Secret) UnmarshalText(text []byte) error {
	*s = Secret(text)
	return nil
}
