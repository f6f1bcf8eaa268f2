// Package guest is the login provider for players without an account anywhere:
// whoever knows the device id is the player.
package guest

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"unicode"
	"unicode/utf8"

	"github.com/holdfast-games/holdfast/pkg/apperr"
	"github.com/holdfast-games/holdfast/pkg/players"
	"github.com/holdfast-games/holdfast/pkg/secret"
	"github.com/holdfast-games/holdfast/proto/wire"
)

// Provider is the name of this way in.
const Provider = "guest"

const maxDeviceID = 128 // characters

// ErrDeviceID says that a device id is outside its limits.
var ErrDeviceID = apperr.New(apperr.Invalid, string(wire.CodeInvalidField), "deviceId must have 1 to 128 printable characters")

// Guests turns device ids into identities.
type Guests struct{ key []byte }

// New returns the provider. The same key, for ever and in every instance,
// makes the same players; with another one nobody is known.
func New(key secret.Secret) *Guests { return &Guests{key: []byte(key.Reveal())} }

// Identity returns the identity of a device. Only a keyed hash is kept, so
// that nobody who reads the database can log in. Errors: ErrDeviceID.
func (g *Guests) Identity(deviceID string) (players.Identity, error) {
	if n := utf8.RuneCountInString(deviceID); n < 1 || n > maxDeviceID || !printable(deviceID) {
		return players.Identity{}, ErrDeviceID
	}
	mac := hmac.New(sha256.New, g.key)
	mac.Write([]byte(Provider + "\x00" + deviceID))
	return players.Identity{Provider: Provider, SubjectHash: hex.EncodeToString(mac.Sum(nil))}, nil
}

// printable also keeps out what decoding puts in the place of broken text:
// devices with differently broken ids would become one player.
func printable(s string) bool {
	for _, r := range s {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return false
		}
	}
	return true
}
