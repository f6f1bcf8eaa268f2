// Package jwtkit signs and verifies access tokens. Keys are PEM files in one
// folder: private ones where tokens are made, public ones suffice elsewhere.
package jwtkit

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/holdfast-games/holdfast/pkg/secret"
)

// Key is one key pair, or the public half of one.
type Key struct {
	ID      string // kid: hash of the public key
	Alg     string // ES256, RS256 or EdDSA
	Public  crypto.PublicKey
	private crypto.Signer // nil for a public key alone
	file    string
}

// firstKey is the file of the key made on first start.
const firstKey = "0001.pem"

// LoadOrCreate loads the keys of a folder and makes the first one, ES256,
// when there is none. Several processes may call it at once.
func LoadOrCreate(dir string) ([]Key, error) {
	keys, err := Load(dir)
	if err != nil || len(keys) > 0 {
		return keys, err
	}
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make a signing key: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, fmt.Errorf("encode the signing key: %w", err)
	}
	block := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	if err := secret.CreateFile(filepath.Join(dir, firstKey), block); err != nil {
		return nil, err
	}
	return Load(dir)
}

// Load loads every *.pem of a folder, in the order of the file names. A
// folder that does not exist holds no keys.
func Load(dir string) ([]Key, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.pem"))
	if err != nil {
		return nil, fmt.Errorf("list keys: %w", err)
	}
	slices.Sort(files)
	var keys []Key
	for _, f := range files {
		content, err := os.ReadFile(f)
		if err != nil {
			return nil, fmt.Errorf("read key: %w", err)
		}
		k, err := parseKey(content)
		if err != nil {
			return nil, fmt.Errorf("key file %s: %w", filepath.Base(f), err)
		}
		k.file = filepath.Base(f)
		keys = append(keys, k)
	}
	return keys, nil
}

func parseKey(content []byte) (Key, error) {
	block, _ := pem.Decode(content)
	if block == nil {
		return Key{}, errors.New("not a PEM file")
	}
	switch block.Type {
	case "PRIVATE KEY":
		parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
		if err != nil {
			return Key{}, errors.New("not a PKCS #8 key")
		}
		signer, ok := parsed.(crypto.Signer)
		if !ok {
			return Key{}, errors.New("a key that cannot sign")
		}
		k, err := newKey(signer.Public())
		k.private = signer
		return k, err
	case "PUBLIC KEY":
		parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
		if err != nil {
			return Key{}, errors.New("not a public key")
		}
		return newKey(parsed)
	default:
		return Key{}, fmt.Errorf("a %s, not a PRIVATE KEY or PUBLIC KEY", strings.ToLower(block.Type))
	}
}

func newKey(public crypto.PublicKey) (Key, error) {
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return Key{}, errors.New("a key of an unknown type")
	}
	sum := sha256.Sum256(der)
	k := Key{ID: hex.EncodeToString(sum[:8]), Public: public}
	switch p := public.(type) {
	case *ecdsa.PublicKey:
		if p.Curve != elliptic.P256() {
			return Key{}, errors.New("an elliptic curve other than P-256")
		}
		k.Alg = "ES256"
	case *rsa.PublicKey:
		if p.N.BitLen() < 2048 {
			return Key{}, errors.New("an RSA key shorter than 2048 bits")
		}
		k.Alg = "RS256"
	case ed25519.PublicKey:
		k.Alg = "EdDSA"
	default:
		return Key{}, errors.New("a key of an unknown type")
	}
	return k, nil
}

// JWK is the public half of a key as RFC 7517 has it.
type JWK struct {
	Kty, Crv, X, Y, N, E, Kid, Alg, Use string
}

// JWK returns the public half in the form of a JWKS entry.
func (k Key) JWK() (JWK, error) {
	j := JWK{Kid: k.ID, Alg: k.Alg, Use: "sig"}
	encode := base64.RawURLEncoding.EncodeToString
	switch p := k.Public.(type) {
	case *ecdsa.PublicKey:
		point, err := p.Bytes() // 0x04, X, Y
		if err != nil {
			return JWK{}, fmt.Errorf("encode key %s: %w", k.ID, err)
		}
		half := (len(point) - 1) / 2
		j.Kty, j.Crv, j.X, j.Y = "EC", "P-256", encode(point[1:1+half]), encode(point[1+half:])
	case *rsa.PublicKey:
		e := []byte{byte(p.E >> 16), byte(p.E >> 8), byte(p.E)}
		j.Kty, j.N, j.E = "RSA", encode(p.N.Bytes()), encode(trimZeros(e))
	case ed25519.PublicKey:
		j.Kty, j.Crv, j.X = "OKP", "Ed25519", encode(p)
	default:
		return JWK{}, fmt.Errorf("key %s: unknown type", k.ID)
	}
	return j, nil
}

func trimZeros(b []byte) []byte {
	for len(b) > 1 && b[0] == 0 {
		b = b[1:]
	}
	return b
}
