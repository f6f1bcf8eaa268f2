package broker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/mochi-mqtt/server/v2/packets"
)

// The two ways to refuse a login. Everything that is not a proven allow is errNotAuthorized; an allow with an
// unusable acl or expire_at is errBadCredentials, as in EMQX.
var (
	errNotAuthorized  = errors.New("not authorized")
	errBadCredentials = errors.New("bad username or password")
)

// login is what the authenticator granted.
type login struct {
	superuser bool
	attrs     map[string]string // never nil after an allow
	rules     []rule
	expireAt  time.Time // zero = never
}

// authnQuestion is the body of an authentication request. Absent values are empty strings.
type authnQuestion struct {
	Username       string `json:"username"`
	PeerHost       string `json:"peerhost"`
	Password       string `json:"password"`
	ClientID       string `json:"clientid"`
	CertSubject    string `json:"cert_subject"`
	CertCommonName string `json:"cert_common_name"`
}

// authenticate asks the hook about a CONNECT.
func (b *Broker) authenticate(ctx context.Context, c *conn, password []byte) (login, error) {
	if !utf8.ValidString(c.hello.username) || !utf8.Valid(password) {
		return login{}, errNotAuthorized // cannot be said in JSON, so the hook is not even asked
	}
	a, err := b.hooks.ask(ctx, b.cfg.AuthURL, authnQuestion{
		Username: c.hello.username,
		PeerHost: c.peerHost(),
		Password: string(password),
		ClientID: c.hello.id,
	})
	if err != nil {
		b.log.Warn("authentication hook failed", "clientid", c.hello.id, "error", err)
		return login{}, fmt.Errorf("%w: %w", errNotAuthorized, err)
	}
	return readLogin(a, time.Now())
}

// readLogin reads an authenticator's answer. Of one authenticator alone, ignore and failure refuse like deny.
func readLogin(a answer, now time.Time) (login, error) {
	if a.status == 204 {
		return login{attrs: map[string]string{}}, nil
	}
	if a.status != 200 || !a.isJSON() {
		return login{}, fmt.Errorf("%w: unusable answer, status %d, content type %q", errNotAuthorized, a.status, a.contentType)
	}
	f, err := a.fields()
	if err != nil {
		return login{}, fmt.Errorf("%w: %w", errNotAuthorized, err)
	}
	if f["result"] != "allow" {
		return login{}, fmt.Errorf("%w: result %v", errNotAuthorized, f["result"])
	}
	return readGrant(f, now)
}

func readGrant(f map[string]any, now time.Time) (login, error) {
	l := login{superuser: isTruthy(f["is_superuser"])}
	var err error
	if l.attrs, err = readAttrs(f); err != nil {
		return login{}, err
	}
	if l.expireAt, err = readExpiry(f, now); err != nil {
		return login{}, err
	}
	if raw, ok := f["acl"]; ok {
		list, ok := raw.([]any)
		if !ok {
			return login{}, fmt.Errorf("%w: acl is not a list", errNotAuthorized)
		}
		if l.rules, err = readRules(list); err != nil {
			return login{}, fmt.Errorf("%w: %w", errBadCredentials, err)
		}
	}
	return l, nil
}

// isTruthy is EMQX's reading of is_superuser: true, an integer from 1 up, or one of these as a string.
func isTruthy(v any) bool {
	switch v := v.(type) {
	case bool:
		return v
	case json.Number:
		n, err := v.Int64()
		return err == nil && n >= 1
	case string:
		if v == "true" {
			return true
		}
		n, err := strconv.ParseInt(v, 10, 64)
		return err == nil && n >= 1
	default:
		return false
	}
}

var attrName = regexp.MustCompile(`^[A-Za-z0-9]+[A-Za-z0-9_-]*$`)

// readAttrs drops attributes with odd names and fails on values that are not strings, as EMQX does.
func readAttrs(f map[string]any) (map[string]string, error) {
	attrs := map[string]string{}
	raw, ok := f["client_attrs"]
	if !ok {
		return attrs, nil
	}
	m, ok := raw.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("%w: client_attrs is not an object", errNotAuthorized)
	}
	for k, v := range m {
		s, ok := v.(string)
		if !ok {
			return nil, fmt.Errorf("%w: client_attrs.%s is not a string", errNotAuthorized, k)
		}
		if attrName.MatchString(k) {
			attrs[k] = s
		}
	}
	return attrs, nil
}

// readExpiry reads expire_at: whole Unix seconds in the future. More than half of now in milliseconds means that
// somebody sent milliseconds.
func readExpiry(f map[string]any, now time.Time) (time.Time, error) {
	raw, ok := f["expire_at"]
	if !ok {
		return time.Time{}, nil
	}
	n, _ := raw.(json.Number)
	at, err := n.Int64()
	if err != nil || at <= now.Unix() || at > now.UnixMilli()/2 || at > math.MaxInt64/2 {
		return time.Time{}, fmt.Errorf("%w: expire_at %v", errBadCredentials, raw)
	}
	return time.Unix(at, 0), nil
}

// refuse answers a CONNECT with the code of the error.
func (c *conn) refuse(err error) {
	code := packets.ErrNotAuthorized.Code
	v3 := packets.Err3NotAuthorized.Code
	switch {
	case errors.Is(err, errBadCredentials):
		code, v3 = packets.ErrBadUsernameOrPassword.Code, packets.ErrMalformedUsernameOrPassword.Code
	case errors.Is(err, errThrottled):
		code, v3 = packets.ErrServerBusy.Code, packets.Err3ServerUnavailable.Code
	}
	if c.hello.version < 5 {
		code = v3
	}
	_ = c.client.WritePacket(packets.Packet{
		FixedHeader: packets.FixedHeader{Type: packets.Connack},
		ReasonCode:  code,
	})
}
