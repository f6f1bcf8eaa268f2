package login

import (
	"crypto/rand"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/holdfast-games/holdfast/pkg/apperr"
	"github.com/holdfast-games/holdfast/proto/wire"
)

const maxDisplayName = 32 // characters

// ErrDisplayName says that a display name is outside its limits.
var ErrDisplayName = apperr.New(apperr.Invalid, string(wire.CodeInvalidField),
	"displayName must have 1 to 32 printable characters")

// CleanName returns the name without spaces around it; "" stays "", which
// means that none was given. Errors: ErrDisplayName.
func CleanName(raw string) (string, error) {
	if raw == "" {
		return "", nil
	}
	name := strings.TrimSpace(raw)
	if n := utf8.RuneCountInString(name); n < 1 || n > maxDisplayName {
		return "", ErrDisplayName
	}
	visible := false
	for _, r := range name {
		if r == utf8.RuneError || !unicode.IsPrint(r) && !joins(r) {
			return "", ErrDisplayName
		}
		visible = visible || unicode.IsPrint(r) && !unicode.IsMark(r) && r != ' '
	}
	if !visible {
		return "", ErrDisplayName
	}
	return name, nil
}

// joins reports the two invisible characters that names need: they hold
// emojis together and the letters of several scripts apart.
func joins(r rune) bool { return r == '\u200c' || r == '\u200d' }

// nameAlphabet has 32 characters, none of which looks like another.
const nameAlphabet = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"

// defaultName returns a name for a player who gave none: "Player-" and four
// random characters. Names need not be unique.
func defaultName() string {
	var b [4]byte
	_, _ = rand.Read(b[:]) // never fails
	for i := range b {
		b[i] = nameAlphabet[int(b[i])%len(nameAlphabet)]
	}
	return "Player-" + string(b[:])
}
