// Package refreshtoken is the format of refresh tokens: which login one
// belongs to, its number within that login, and a keyed hash that nobody else
// can make. A forged token is refused without asking the database.
package refreshtoken

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"strconv"
	"strings"

	"github.com/holdfast-games/holdfast/pkg/apperr"
	"github.com/holdfast-games/holdfast/pkg/id"
	"github.com/holdfast-games/holdfast/pkg/secret"
	"github.com/holdfast-games/holdfast/proto/wire"
)

// ErrInvalid says that a text is not a refresh token of ours.
var ErrInvalid = apperr.New(apperr.Unauthenticated, string(wire.CodeRefreshInvalid),
	"the refresh token is not one of ours, please log in again")

// version begins every token, so that another format can stand beside it.
const version = "hfr1"

// Token is what a refresh token says.
type Token struct {
	Family  string // the login it belongs to
	Counter int64  // its number within the family, from 1
}

// Codec writes and reads tokens with one key.
type Codec struct{ key []byte }

// New returns a codec. Every instance needs the same key.
func New(key secret.Secret) *Codec { return &Codec{key: []byte(key.Reveal())} }

// Encode returns the token as a client carries it:
// "hfr1.<family>.<counter>.<base64url HMAC-SHA256 of what stands before>".
func (c *Codec) Encode(t Token) string {
	body := version + "." + t.Family + "." + strconv.FormatInt(t.Counter, 10)
	return body + "." + base64.RawURLEncoding.EncodeToString(c.hash(body))
}

// Decode reads what Encode wrote, and nothing else: two different texts are
// never the same token. Errors: ErrInvalid.
func (c *Codec) Decode(text string) (Token, error) {
	dot := strings.LastIndexByte(text, '.')
	if dot < 0 {
		return Token{}, ErrInvalid
	}
	body := text[:dot]
	presented, err := base64.RawURLEncoding.DecodeString(text[dot+1:])
	if err != nil || !hmac.Equal(presented, c.hash(body)) {
		return Token{}, ErrInvalid
	}
	parts := strings.Split(body, ".")
	if len(parts) != 3 || parts[0] != version || !id.Valid(parts[1]) {
		return Token{}, ErrInvalid
	}
	t := Token{Family: parts[1]}
	if t.Counter, err = strconv.ParseInt(parts[2], 10, 64); err != nil || t.Counter < 1 || c.Encode(t) != text {
		return Token{}, ErrInvalid
	}
	return t, nil
}

func (c *Codec) hash(body string) []byte {
	mac := hmac.New(sha256.New, c.key)
	mac.Write([]byte(body))
	return mac.Sum(nil)
}
