package auth_test

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-games/holdfast/pkg/clock"
	"github.com/holdfast-games/holdfast/pkg/jwtkit"
	"github.com/holdfast-games/holdfast/proto/wire"
)

func (i *instance) raw(path, mediaType string, body io.Reader) answer {
	i.tb.Helper()
	r, err := http.NewRequestWithContext(i.tb.Context(), http.MethodPost, i.origin+path, body)
	if err != nil {
		i.tb.Fatal(err)
	}
	if mediaType != "" {
		r.Header.Set("Content-Type", mediaType)
	}
	return i.send(r)
}

const plainJSON = "application/json"

func TestGuestBodies(t *testing.T) {
	i := newInstance(t)
	for name, c := range map[string]struct {
		body string
		code wire.Code // "" = accepted
	}{
		"nothing":                     {``, wire.CodeInvalidJSON},
		"no JSON":                     {`{`, wire.CodeInvalidJSON},
		"two values":                  {`{"deviceId":"a"}{}`, wire.CodeInvalidJSON},
		"an array":                    {`[]`, wire.CodeInvalidJSON},
		"a string":                    {`"a"`, wire.CodeInvalidJSON},
		"null":                        {`null`, wire.CodeInvalidField},
		"device id is a number":       {`{"deviceId":1}`, wire.CodeInvalidJSON},
		"device id is an object":      {`{"deviceId":{"a":1}}`, wire.CodeInvalidJSON},
		"no device id":                {`{}`, wire.CodeInvalidField},
		"device id null":              {`{"deviceId":null}`, wire.CodeInvalidField},
		"device id empty":             {`{"deviceId":""}`, wire.CodeInvalidField},
		"device id of 128":            {`{"deviceId":"` + strings.Repeat("é", 128) + `"}`, ""},
		"device id of 129":            {`{"deviceId":"` + strings.Repeat("a", 129) + `"}`, wire.CodeInvalidField},
		"device id with a line break": {`{"deviceId":"a\nb"}`, wire.CodeInvalidField},
		"device id with a NUL":        {`{"deviceId":"a\u0000"}`, wire.CodeInvalidField},
		"device id in broken UTF-8":   {"{\"deviceId\":\"a\xff\"}", wire.CodeInvalidField},
		"device id, half a character": {`{"deviceId":"a\ud800"}`, wire.CodeInvalidField},
		"more fields":                 {`{"deviceId":"a","x":{"y":[1]}}`, ""},
		"name null":                   {`{"deviceId":"a","displayName":null}`, ""},
		"name empty":                  {`{"deviceId":"a","displayName":""}`, ""},
		"name of 32":                  {`{"deviceId":"a","displayName":" ` + strings.Repeat("é", 32) + ` "}`, ""},
		"name of 33":                  {`{"deviceId":"a","displayName":"` + strings.Repeat("a", 33) + `"}`, wire.CodeInvalidField},
		"name of spaces":              {`{"deviceId":"a","displayName":"   "}`, wire.CodeInvalidField},
		"name with a line break":      {`{"deviceId":"a","displayName":"a\nb"}`, wire.CodeInvalidField},
		"name written backwards":      {`{"deviceId":"a","displayName":"\u202eAda"}`, wire.CodeInvalidField},
		"name that cannot be seen":    {`{"deviceId":"a","displayName":"\u200d\u200d"}`, wire.CodeInvalidField},
		"name of one family emoji":    {`{"deviceId":"a","displayName":"👨‍👩‍👧"}`, ""},
		"name is a number":            {`{"deviceId":"a","displayName":1}`, wire.CodeInvalidJSON},
	} {
		t.Run(name, func(t *testing.T) {
			a := i.in(t).raw(guestPath, plainJSON, strings.NewReader(c.body))
			if c.code == "" {
				a.wants(http.StatusOK, "")
				return
			}
			a.wants(http.StatusBadRequest, c.code)
		})
	}
}

func TestBodiesOfOtherCalls(t *testing.T) {
	i := newInstance(t)
	for name, c := range map[string]struct {
		body string
		code wire.Code
	}{
		"nothing":       {``, wire.CodeInvalidJSON},
		"no token":      {`{}`, wire.CodeInvalidField},
		"token null":    {`{"refreshToken":null}`, wire.CodeInvalidField},
		"a number":      {`{"refreshToken":7}`, wire.CodeInvalidJSON},
		"a broken body": {`{"refreshToken":"`, wire.CodeInvalidJSON},
	} {
		t.Run("refresh, "+name, func(t *testing.T) {
			i.in(t).raw(refreshPath, plainJSON, strings.NewReader(c.body)).wants(http.StatusBadRequest, c.code)
		})
	}
	l := i.login("device")
	for _, body := range []string{`[]`, `{"everywhere":"yes"}`, `{`} {
		i.do(http.MethodPost, logoutPath, l.Token, strings.NewReader(body)).wants(http.StatusBadRequest, wire.CodeInvalidJSON)
	}
	i.me(l.Token)
	i.do(http.MethodPost, logoutPath, l.Token, strings.NewReader(`{}`)).wants(http.StatusNoContent, "")
}

func TestMediaTypesAndSizes(t *testing.T) {
	i := newInstance(t)
	token := i.login("device").Token
	for _, path := range []string{guestPath, refreshPath, logoutPath} {
		for _, mediaType := range []string{"", "text/plain", "application/x-www-form-urlencoded", "application/", "application/xml+x"} {
			r := i.request(http.MethodPost, path, token, strings.NewReader(`{"deviceId":"a"}`))
			r.Header.Set("Content-Type", mediaType)
			i.send(r).wants(http.StatusUnsupportedMediaType, wire.CodeUnsupportedMediaType)
		}
		large := bytes.Repeat([]byte(" "), 64<<10+1)
		i.do(http.MethodPost, path, token, bytes.NewReader(large)).wants(http.StatusRequestEntityTooLarge, wire.CodeBodyTooLarge)
		chunked := io.MultiReader(bytes.NewReader(large)) // hides the length
		i.do(http.MethodPost, path, token, chunked).wants(http.StatusRequestEntityTooLarge, wire.CodeBodyTooLarge)
	}
	i.raw(guestPath, "application/json; charset=utf-8", strings.NewReader(`{"deviceId":"a"}`)).wants(http.StatusOK, "")
	i.me(token)
}

func TestAccessTokensThatAreNotGood(t *testing.T) {
	i := newInstance(t)
	l := i.login("device")
	forged := forgeries(t, i, l.Player.ID)
	mine, others := strings.Split(l.Token, "."), strings.Split(i.login("other").Token, ".")
	forged["claims of another token"] = mine[0] + "." + others[1] + "." + mine[2]
	forged["cut short"] = l.Token[:len(l.Token)-2]
	forged["an unsigned part more"] = l.Token + ".e30"
	for name, token := range forged {
		t.Run(name, func(t *testing.T) {
			i.in(t).refused(token, wire.CodeTokenMalformed)
			i.in(t).post(logoutPath, token, nil).wants(http.StatusUnauthorized, wire.CodeTokenMalformed)
		})
	}
	for header, code := range map[string]wire.Code{
		"": wire.CodeTokenMissing, "Bearer": wire.CodeTokenMalformed, "Bearer  ": wire.CodeTokenMalformed,
		"Basic " + l.Token: wire.CodeTokenMalformed, l.Token: wire.CodeTokenMalformed,
	} {
		r := i.request(http.MethodGet, mePath, "", nil)
		r.Header.Set("Authorization", header)
		i.send(r).wants(http.StatusUnauthorized, code)
	}
	i.me(l.Token)
}

func TestExpiredAccessTokens(t *testing.T) {
	i := newInstance(t)
	l := i.login("device")
	expired := i.mint(t, l.Player.ID, time.Now().Add(-time.Hour), time.Minute)
	i.refused(expired, wire.CodeTokenExpired)
	i.post(logoutPath, expired, nil).wants(http.StatusUnauthorized, wire.CodeTokenExpired)
	i.me(i.mint(t, "nobody-we-know", time.Now(), time.Minute))
}

// mint signs a token with the keys of the deployment.
func (s *stack) mint(t *testing.T, player string, at time.Time, life time.Duration) string {
	t.Helper()
	keys, err := jwtkit.LoadOrCreate(s.vars["JWT_KEYS_DIR"])
	if err != nil {
		t.Fatal(err)
	}
	signer, err := jwtkit.NewSigner(keys, life, clock.NewFake(at))
	if err != nil {
		t.Fatal(err)
	}
	token, _, err := signer.Sign(jwtkit.Claims{Player: player, Family: "family", Name: "Ada", Provider: "guest"})
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func TestPathsThatAreNotThere(t *testing.T) {
	i := newInstance(t)
	i.get("/api/auth/nothing", "").wants(http.StatusNotFound, wire.CodeNotFound)
	i.get(guestPath, "").wants(http.StatusMethodNotAllowed, wire.CodeMethodNotAllowed)
	i.get(jwksPath+"/", "").wants(http.StatusOK, "")
	if a := i.get("/readyz", ""); a.status != http.StatusOK {
		t.Errorf("readyz: %d", a.status)
	}
}
