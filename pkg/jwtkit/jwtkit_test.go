package jwtkit_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/holdfast-games/holdfast/pkg/apperr"
	"github.com/holdfast-games/holdfast/pkg/clock"
	"github.com/holdfast-games/holdfast/pkg/jwtkit"
)

const life = 15 * time.Minute

func newClock() *clock.Fake { return clock.NewFake(time.Date(2026, 11, 23, 18, 30, 0, 0, time.UTC)) }

// writeKey stores a private key, or the public half alone.
func writeKey(t *testing.T, dir, name string, key any) {
	t.Helper()
	kind, encode := "PRIVATE KEY", x509.MarshalPKCS8PrivateKey
	switch key.(type) {
	case *ecdsa.PublicKey, *rsa.PublicKey, ed25519.PublicKey:
		kind, encode = "PUBLIC KEY", x509.MarshalPKIXPublicKey
	}
	der, err := encode(key)
	if err != nil {
		t.Fatal(err)
	}
	block := pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
	if err := os.WriteFile(filepath.Join(dir, name), block, 0o600); err != nil {
		t.Fatal(err)
	}
}

func newEC(t *testing.T, curve elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func newRSA(t *testing.T, bits int) *rsa.PrivateKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func load(t *testing.T, dir string) []jwtkit.Key {
	t.Helper()
	keys, err := jwtkit.Load(dir)
	if err != nil {
		t.Fatalf("Load: %v", err)
	}
	return keys
}

func sign(t *testing.T, dir string, c clock.Clock) string {
	t.Helper()
	signer, err := jwtkit.NewSigner(load(t, dir), life, c)
	if err != nil {
		t.Fatalf("NewSigner: %v", err)
	}
	token, _, err := signer.Sign(jwtkit.Claims{Player: "ada", Rev: 3, Family: "family", Name: "Ada", Provider: "guest"})
	if err != nil {
		t.Fatalf("Sign: %v", err)
	}
	return token
}

func TestVerifyReadsWhatSignWrites(t *testing.T) {
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for alg, key := range map[string]any{"ES256": newEC(t, elliptic.P256()), "RS256": newRSA(t, 2048), "EdDSA": ed} {
		t.Run(alg, func(t *testing.T) {
			dir, c := t.TempDir(), newClock()
			writeKey(t, dir, "1.pem", key)
			signer, err := jwtkit.NewSigner(load(t, dir), life, c)
			if err != nil {
				t.Fatal(err)
			}
			token, want, err := signer.Sign(jwtkit.Claims{Player: "ada", Rev: 3, Family: "family", Name: "Ada", Provider: "guest"})
			if err != nil {
				t.Fatal(err)
			}
			v := jwtkit.NewVerifier(dir, c)
			for _, from := range []string{"the token", "the cache"} {
				got, err := v.Verify(token)
				if err != nil || !got.ExpiresAt.Equal(want.ExpiresAt) || !got.IssuedAt.Equal(want.IssuedAt) {
					t.Fatalf("from %s: %+v, %v, want %+v", from, got, err, want)
				}
				got.ExpiresAt, got.IssuedAt = want.ExpiresAt, want.IssuedAt
				if got != want {
					t.Errorf("from %s: %+v, want %+v", from, got, want)
				}
			}
			if got := header(t, token, "alg"); got != alg {
				t.Errorf("alg %v", got)
			}
			if wantExp := c.Now().Add(life); !want.ExpiresAt.Equal(wantExp) || want.ID == "" {
				t.Errorf("signed %+v, want it to expire at %s", want, wantExp)
			}
		})
	}
}

func header(t *testing.T, token, name string) any {
	t.Helper()
	parsed, _, err := jwt.NewParser().ParseUnverified(token, jwt.MapClaims{})
	if err != nil {
		t.Fatal(err)
	}
	return parsed.Header[name]
}

func TestATokenExpiresAtItsExp(t *testing.T) {
	for _, cached := range []bool{true, false} {
		dir, c := t.TempDir(), newClock()
		writeKey(t, dir, "1.pem", newEC(t, elliptic.P256()))
		token, v := sign(t, dir, c), jwtkit.NewVerifier(dir, c)
		if cached {
			if _, err := v.Verify(token); err != nil {
				t.Fatal(err)
			}
		}
		c.Advance(life - time.Nanosecond)
		if _, err := jwtkit.NewVerifier(dir, c).Verify(token); err != nil {
			t.Errorf("a moment before exp: %v", err)
		}
		c.Advance(time.Nanosecond)
		if _, err := v.Verify(token); !errors.Is(err, jwtkit.ErrExpired) {
			t.Errorf("at exp, cached %v: %v", cached, err)
		}
	}
}

// forged returns tokens that must never pass, and that only differ from a good
// one in what their name says.
func forged(t *testing.T, dir string, key *ecdsa.PrivateKey, c clock.Clock) map[string]string {
	t.Helper()
	k := load(t, dir)[0]
	mint := func(method jwt.SigningMethod, signWith any, kid any, changes jwt.MapClaims) string {
		claims := jwt.MapClaims{
			"iss": jwtkit.Issuer, "aud": jwtkit.Audience, "sub": "ada", "rev": 0, "fam": "family",
			"iat": c.Now().Unix(), "exp": c.Now().Add(life).Unix(),
		}
		maps.Copy(claims, changes)
		token := jwt.NewWithClaims(method, claims)
		token.Header["kid"] = kid
		signed, err := token.SignedString(signWith)
		if err != nil {
			t.Fatal(err)
		}
		return signed
	}
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	public := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	ours := func(changes jwt.MapClaims) string { return mint(jwt.SigningMethodES256, key, k.ID, changes) }
	if _, err := jwtkit.NewVerifier(dir, c).Verify(ours(nil)); err != nil {
		t.Fatalf("the token that the forgeries are made from: %v", err)
	}
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return map[string]string{
		"alg none":                   mint(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, k.ID, nil),
		"HS256 with the public PEM":  mint(jwt.SigningMethodHS256, public, k.ID, nil),
		"HS256 with the public DER":  mint(jwt.SigningMethodHS256, der, k.ID, nil),
		"HS256 with an empty key":    mint(jwt.SigningMethodHS256, []byte{}, k.ID, nil),
		"another algorithm, our kid": mint(jwt.SigningMethodEdDSA, ed, k.ID, nil),
		"another key, our kid":       mint(jwt.SigningMethodES256, newEC(t, elliptic.P256()), k.ID, nil),
		"unknown kid":                mint(jwt.SigningMethodES256, key, "unknown", nil),
		"a kid that is a path":       mint(jwt.SigningMethodES256, key, "../../"+k.ID, nil),
		"a kid that is a number":     mint(jwt.SigningMethodES256, key, 7, nil),
		"no kid":                     mint(jwt.SigningMethodES256, key, nil, nil),
		"another issuer":             ours(jwt.MapClaims{"iss": "elsewhere"}),
		"another audience":           ours(jwt.MapClaims{"aud": "elsewhere"}),
		"no audience":                ours(jwt.MapClaims{"aud": nil}),
		"no expiry":                  ours(jwt.MapClaims{"exp": nil}),
		"not valid yet":              ours(jwt.MapClaims{"nbf": c.Now().Add(time.Minute).Unix()}),
		"no subject":                 ours(jwt.MapClaims{"sub": nil}),
		"a subject that is a topic":  ours(jwt.MapClaims{"sub": "a/#"}),
		"rev below zero":             ours(jwt.MapClaims{"rev": -1}),
		"rev that is no number":      ours(jwt.MapClaims{"rev": "1"}),
		"a purpose of its own":       ours(jwt.MapClaims{"purpose": "rejoin"}),
		"longer than any of ours":    ours(jwt.MapClaims{"name": strings.Repeat("a", 5000)}),
		"expired and forged":         mint(jwt.SigningMethodES256, newEC(t, elliptic.P256()), k.ID, jwt.MapClaims{"exp": c.Now().Unix() - 1}),
		"half a token":               "eyJhbGciOiJFUzI1NiJ9.e30",
		"dots":                       "..",
	}
}

func TestVerifyRefuses(t *testing.T) {
	dir, c, key := t.TempDir(), newClock(), newEC(t, elliptic.P256())
	writeKey(t, dir, "1.pem", key)
	v := jwtkit.NewVerifier(dir, c)
	for name, token := range forged(t, dir, key, c) {
		t.Run(name, func(t *testing.T) {
			for range 2 { // the second time past the cache
				if claims, err := v.Verify(token); !errors.Is(err, jwtkit.ErrMalformed) {
					t.Errorf("%+v, %v", claims, err)
				}
			}
		})
	}
	if _, err := v.Verify(""); !errors.Is(err, jwtkit.ErrMissing) {
		t.Errorf("no token: %v", err)
	}
}

// Nobody outside may make us read the folder for every token.
func TestUnknownKeysAreLookedUpOnceASecond(t *testing.T) {
	dir, c := t.TempDir(), newClock()
	writeKey(t, dir, "1.pem", newEC(t, elliptic.P256()))
	v := jwtkit.NewVerifier(dir, c)
	if _, err := v.Verify(sign(t, dir, c)); err != nil {
		t.Fatal(err)
	}
	writeKey(t, dir, "2.pem", newEC(t, elliptic.P256()))
	rotated := sign(t, dir, c)
	c.Advance(time.Second - time.Nanosecond)
	if _, err := v.Verify(rotated); !errors.Is(err, jwtkit.ErrMalformed) {
		t.Errorf("within the second: %v", err)
	}
	c.Advance(time.Nanosecond)
	if _, err := v.Verify(rotated); err != nil {
		t.Errorf("after it: %v", err)
	}
	if err := os.Remove(filepath.Join(dir, "1.pem")); err != nil {
		t.Fatal(err)
	}
	if _, err := jwtkit.NewVerifier(dir, c).Verify(rotated); err != nil {
		t.Errorf("without the older key: %v", err)
	}
}

func TestNoKeysYetIsNotTheTokensFault(t *testing.T) {
	elsewhere, dir, c := t.TempDir(), filepath.Join(t.TempDir(), "keys"), newClock()
	if _, err := jwtkit.LoadOrCreate(elsewhere); err != nil {
		t.Fatal(err)
	}
	token, v := sign(t, elsewhere, c), jwtkit.NewVerifier(dir, c)
	if _, err := v.Verify(token); apperr.From(err).Kind != apperr.Unavailable {
		t.Errorf("without keys: %v", err)
	}
	if _, err := jwtkit.LoadOrCreate(dir); err != nil {
		t.Fatal(err)
	}
	c.Advance(time.Second)
	if _, err := v.Verify(token); !errors.Is(err, jwtkit.ErrMalformed) {
		t.Errorf("with other keys: %v", err)
	}
	if _, err := v.Verify(sign(t, dir, c)); err != nil {
		t.Errorf("with its key: %v", err)
	}
}

func TestTheCacheIsBounded(t *testing.T) {
	dir, c := t.TempDir(), newClock()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	writeKey(t, dir, "1.pem", private)
	writeKey(t, dir, "2.pem", public)
	const most = 64
	v := jwtkit.NewVerifier(dir, c)
	v.RememberAtMost(most)
	signer, err := jwtkit.NewSigner(load(t, dir), life, c)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 * most {
		token, _, err := signer.Sign(jwtkit.Claims{Player: "ada"})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := v.Verify(token); err != nil {
			t.Fatal(err)
		}
		if n := v.Cached(); n > most {
			t.Fatalf("%d tokens are remembered", n)
		}
	}
	if n := v.Cached(); n < most/2 {
		t.Errorf("only %d tokens are remembered", n)
	}
}

func TestConcurrentStartsMakeOneKey(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "not", "there", "yet")
	ids := make([]string, 16)
	var wg sync.WaitGroup
	for n := range ids {
		wg.Go(func() {
			keys, err := jwtkit.LoadOrCreate(dir)
			if err != nil || len(keys) != 1 {
				t.Errorf("LoadOrCreate: %d keys, %v", len(keys), err)
				return
			}
			ids[n] = keys[0].ID
		})
	}
	wg.Wait()
	for n := range ids {
		if ids[n] != ids[0] {
			t.Errorf("start %d has key %s, start 0 %s", n, ids[n], ids[0])
		}
	}
	left, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(left) != 1 {
		t.Errorf("in the folder: %v, %v", left, err)
	}
	hidden, err := filepath.Glob(filepath.Join(dir, ".*"))
	if err != nil || len(hidden) != 0 {
		t.Errorf("left behind: %v, %v", hidden, err)
	}
	info, err := os.Stat(left[0])
	if err != nil || info.Mode().Perm()&0o077 != 0 {
		t.Errorf("the key file is open to others: %v, %v", info.Mode(), err)
	}
}

func TestLoadOrCreateKeepsWhatIsThere(t *testing.T) {
	dir := t.TempDir()
	writeKey(t, dir, "mine.pem", newEC(t, elliptic.P256()))
	keys, err := jwtkit.LoadOrCreate(dir)
	if err != nil || len(keys) != 1 || keys[0].ID != load(t, dir)[0].ID {
		t.Errorf("LoadOrCreate: %v, %v", keys, err)
	}
}

func TestLoadRefusesWeakKeys(t *testing.T) {
	for name, write := range map[string]func(dir string){
		"RSA of 1024 bits": func(dir string) { writeKey(t, dir, "a.pem", newRSA(t, 1024)) },
		"P-384":            func(dir string) { writeKey(t, dir, "a.pem", newEC(t, elliptic.P384())) },
		"not PEM":          func(dir string) { writeFile(t, dir, "secret text") },
		"another block": func(dir string) {
			writeFile(t, dir, "-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----\n")
		},
		"a broken key": func(dir string) { writeFile(t, dir, "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n") },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			write(dir)
			_, err := jwtkit.Load(dir)
			if err == nil || !strings.Contains(err.Error(), "a.pem") {
				t.Errorf("Load: %v, want an error that names the file", err)
			}
			if err != nil && strings.Contains(err.Error(), "secret") {
				t.Errorf("the error shows what is in the file: %v", err)
			}
		})
	}
}

func writeFile(t *testing.T, dir, content string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, "a.pem"), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestPublicKeysVerifyAndDoNotSign(t *testing.T) {
	private, public, c, key := t.TempDir(), t.TempDir(), newClock(), newEC(t, elliptic.P256())
	writeKey(t, private, "1.pem", key)
	writeKey(t, public, "1.pem", key.Public())
	if _, err := jwtkit.NewVerifier(public, c).Verify(sign(t, private, c)); err != nil {
		t.Errorf("Verify with the public half: %v", err)
	}
	if _, err := jwtkit.NewSigner(load(t, public), life, c); err == nil {
		t.Error("a signer without a private key")
	}
}

func TestTheLastPrivateKeySigns(t *testing.T) {
	dir, c, next := t.TempDir(), newClock(), newEC(t, elliptic.P256())
	writeKey(t, dir, "1.pem", newEC(t, elliptic.P256()))
	writeKey(t, dir, "2.pem", newEC(t, elliptic.P256()))
	writeKey(t, dir, "3.pem", next.Public())
	keys := load(t, dir)
	if got := header(t, sign(t, dir, c), "kid"); got != keys[1].ID {
		t.Errorf("signed by %v, want the second of %v", got, keys)
	}
}

func TestJWK(t *testing.T) {
	dir := t.TempDir()
	ed, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	writeKey(t, dir, "1.pem", newEC(t, elliptic.P256()))
	writeKey(t, dir, "2.pem", newRSA(t, 2048))
	writeKey(t, dir, "3.pem", ed)
	for n, want := range []jwtkit.JWK{
		{Kty: "EC", Crv: "P-256", Alg: "ES256"}, {Kty: "RSA", E: "AQAB", Alg: "RS256"}, {Kty: "OKP", Crv: "Ed25519", Alg: "EdDSA"},
	} {
		k := load(t, dir)[n]
		got, err := k.JWK()
		if err != nil {
			t.Fatal(err)
		}
		want.Kid, want.Use = k.ID, "sig"
		sizes := map[string][3]int{"EC": {43, 43, 0}, "RSA": {0, 0, 342}, "OKP": {43, 0, 0}}[got.Kty]
		if [3]int{len(got.X), len(got.Y), len(got.N)} != sizes {
			t.Errorf("sizes of %+v, want %v", got, sizes)
		}
		want.X, want.Y, want.N = got.X, got.Y, got.N
		if got != want {
			t.Errorf("JWK %+v, want %+v", got, want)
		}
	}
}
