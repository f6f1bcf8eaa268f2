package auth_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"maps"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-games/holdfast/pkg/jwtkit"
	"github.com/holdfast-games/holdfast/proto/authapi"
)

// forge makes a token of any header and claims, signed by sign.
func forge(t *testing.T, header, claims map[string]any, sign func(body string) []byte) string {
	t.Helper()
	part := func(v any) string {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return base64.RawURLEncoding.EncodeToString(b)
	}
	body := part(header) + "." + part(claims)
	return body + "." + base64.RawURLEncoding.EncodeToString(sign(body))
}

func signES256(t *testing.T, key *ecdsa.PrivateKey) func(string) []byte {
	t.Helper()
	return func(body string) []byte {
		sum := sha256.Sum256([]byte(body))
		r, s, err := ecdsa.Sign(rand.Reader, key, sum[:])
		if err != nil {
			t.Fatal(err)
		}
		return append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
	}
}

func signHS256(key []byte) func(string) []byte {
	return func(body string) []byte {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(body))
		return mac.Sum(nil)
	}
}

// forgeries are tokens that nobody may accept, made by somebody who knows all
// that is public; those that need our private key show what a bug of ours must
// not do.
func forgeries(t *testing.T, i *instance, player string) map[string]string {
	t.Helper()
	keys, err := jwtkit.Load(i.vars["JWT_KEYS_DIR"])
	if err != nil {
		t.Fatal(err)
	}
	ours := privateKey(t, i.vars["JWT_KEYS_DIR"])
	theirs, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(keys[0].Public)
	if err != nil {
		t.Fatal(err)
	}
	public := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	claims := func(changes map[string]any) map[string]any {
		c := map[string]any{
			"iss": jwtkit.Issuer, "aud": jwtkit.Audience, "sub": player, "rev": 0, "fam": "family",
			"iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix(),
		}
		maps.Copy(c, changes)
		return c
	}
	header := func(alg string) map[string]any { return map[string]any{"alg": alg, "typ": "JWT", "kid": keys[0].ID} }
	good, sign := header("ES256"), signES256(t, ours)
	return map[string]string{
		"alg none":              forge(t, header("none"), claims(nil), func(string) []byte { return nil }),
		"HS256, key PEM":        forge(t, header("HS256"), claims(nil), signHS256(public)),
		"HS256, key DER":        forge(t, header("HS256"), claims(nil), signHS256(der)),
		"another key, our kid":  forge(t, good, claims(nil), signES256(t, theirs)),
		"unknown kid":           forge(t, map[string]any{"alg": "ES256", "kid": "x"}, claims(nil), sign),
		"no kid":                forge(t, map[string]any{"alg": "ES256"}, claims(nil), sign),
		"another issuer":        forge(t, good, claims(map[string]any{"iss": "elsewhere"}), sign),
		"another audience":      forge(t, good, claims(map[string]any{"aud": "elsewhere"}), sign),
		"no expiry":             forge(t, good, claims(map[string]any{"exp": nil}), sign),
		"no subject":            forge(t, good, claims(map[string]any{"sub": ""}), sign),
		"a topic as subject":    forge(t, good, claims(map[string]any{"sub": "a/+/#"}), sign),
		"a purpose of its own":  forge(t, good, claims(map[string]any{"purpose": "rejoin"}), sign),
		"a negative generation": forge(t, good, claims(map[string]any{"rev": -1}), sign),
		"not a token":           "x",
		"too long":              strings.Repeat("x", 5000),
	}
}

func privateKey(t *testing.T, dir string) *ecdsa.PrivateKey {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.pem"))
	if err != nil || len(files) != 1 {
		t.Fatalf("key files %v, %v", files, err)
	}
	b, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(b)
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return key.(*ecdsa.PrivateKey)
}

// verifies checks an ES256 token with a published key, as a gateway does.
func verifies(t *testing.T, k authapi.JWK, token string) bool {
	t.Helper()
	point := []byte{4}
	for _, coordinate := range []string{k.X, k.Y} {
		b, err := base64.RawURLEncoding.DecodeString(coordinate)
		if err != nil || len(b) != 32 {
			t.Fatalf("coordinate %q of %d bytes, %v", coordinate, len(b), err)
		}
		point = append(point, b...)
	}
	public, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
	if err != nil {
		t.Fatal(err)
	}
	dot := strings.LastIndexByte(token, '.')
	signature, err := base64.RawURLEncoding.DecodeString(token[dot+1:])
	if err != nil || len(signature) != 64 {
		t.Fatalf("signature of %d bytes, %v", len(signature), err)
	}
	sum := crypto.SHA256.New()
	sum.Write([]byte(token[:dot]))
	r, s := new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])
	return ecdsa.Verify(public, sum.Sum(nil), r, s)
}
