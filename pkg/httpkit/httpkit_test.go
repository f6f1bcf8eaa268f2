package httpkit_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/holdfast-games/holdfast/pkg/apperr"
	"github.com/holdfast-games/holdfast/pkg/clock"
	"github.com/holdfast-games/holdfast/pkg/httpkit"
	"github.com/holdfast-games/holdfast/pkg/id"
	"github.com/holdfast-games/holdfast/pkg/jwtkit"
	"github.com/holdfast-games/holdfast/pkg/secret"
	"github.com/holdfast-games/holdfast/proto/wire"
)

const private = "postgres://ada:hunter2@db"

// server is an edge with one route for each handler, and what it logged.
type server struct {
	*echo.Echo

	log      bytes.Buffer
	registry *prometheus.Registry
}

func newServer() *server {
	s := &server{registry: prometheus.NewRegistry()}
	s.Echo = httpkit.New("test", slog.New(slog.NewTextHandler(&s.log, nil)), s.registry)
	return s
}

func (s *server) do(r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w
}

func (s *server) get(path string) *httptest.ResponseRecorder {
	return s.do(httptest.NewRequest(http.MethodGet, path, http.NoBody))
}

// fails adds a route that returns an error.
func (s *server) fails(path string, err error) {
	s.GET(path, func(echo.Context) error { return err })
}

// problem reads an error answer and holds it to what all have in common.
func problem(t *testing.T, w *httptest.ResponseRecorder) wire.Problem {
	t.Helper()
	var p wire.Problem
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil {
		t.Fatalf("%d %s: %v", w.Code, w.Body, err)
	}
	if got := w.Header().Get("Content-Length"); got != strconv.Itoa(w.Body.Len()) {
		t.Errorf("%s: Content-Length %q for %d bytes", p.Code, got, w.Body.Len())
	}
	if got := w.Header().Get("Content-Type"); got != wire.ProblemMediaType {
		t.Errorf("%s: Content-Type %q", p.Code, got)
	}
	if got := w.Header().Get("Cache-Control"); got != "no-store" {
		t.Errorf("%s: Cache-Control %q", p.Code, got)
	}
	if !p.Code.Known() || p.Status != w.Code || p.Code.Status() != w.Code || p.Detail == "" || p.Error != p.Detail {
		t.Errorf("status %d with %+v", w.Code, p)
	}
	if strings.Contains(w.Body.String(), "hunter2") {
		t.Errorf("the answer shows the private cause: %s", w.Body)
	}
	return p
}

func TestEveryKindHasAnAnswer(t *testing.T) {
	want := map[apperr.Kind]int{
		apperr.Internal: 500, apperr.Invalid: 400, apperr.Unauthenticated: 401, apperr.Forbidden: 403,
		apperr.NotFound: 404, apperr.Conflict: 409, apperr.TooLarge: 413, apperr.Unsupported: 415,
		apperr.RateLimited: 429, apperr.Unavailable: 503,
	}
	for _, kind := range apperr.Kinds() {
		s := newServer()
		s.fails("/x", fmt.Errorf("doing: %w", apperr.New(kind, "not_in_the_contract", "public").With(errors.New(private))))
		w := s.get("/x")
		if p := problem(t, w); w.Code != want[kind] || p.Detail != "public" {
			t.Errorf("kind %d: %d, %+v, want %d", kind, w.Code, p, want[kind])
		}
	}
	if len(want) != len(apperr.Kinds()) {
		t.Errorf("%d kinds, this table has %d", len(apperr.Kinds()), len(want))
	}
}

func TestEveryCodeOfTheContractPasses(t *testing.T) {
	for _, code := range wire.Codes() {
		s := newServer()
		s.fails("/x", apperr.New(apperr.Invalid, string(code), ""))
		w := s.get("/x")
		if p := problem(t, w); p.Code != code || w.Code != code.Status() || p.Title != code.Title() {
			t.Errorf("code %s: %d, %+v", code, w.Code, p)
		}
	}
}

func TestErrorsNobodyClassified(t *testing.T) {
	for name, c := range map[string]struct {
		err    error
		status int
		code   wire.Code
		waits  bool
	}{
		"bare":                  {errors.New(private), 500, wire.CodeInternal, false},
		"of a broken request":   {echo.NewHTTPError(http.StatusBadRequest, private), 400, wire.CodeInvalidField, false},
		"of the router":         {echo.ErrNotFound, 404, wire.CodeNotFound, false},
		"of the framework":      {echo.NewHTTPError(http.StatusTeapot, private), 400, wire.CodeInvalidField, false},
		"of a broken framework": {echo.NewHTTPError(http.StatusBadGateway, private), 500, wire.CodeInternal, false},
		"a large body":          {echo.ErrStatusRequestEntityTooLarge, 413, wire.CodeBodyTooLarge, false},
		"a media type":          {echo.ErrUnsupportedMediaType, 415, wire.CodeUnsupportedMediaType, false},
		"too late":              {fmt.Errorf("%s: %w", private, context.DeadlineExceeded), 503, wire.CodeUnavailable, true},
		"away":                  {apperr.Away("ask", errors.New(private)), 503, wire.CodeUnavailable, true},
		"classified within":     {errors.Join(errors.New(private), jwtkit.ErrExpired), 401, wire.CodeTokenExpired, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer()
			s.fails("/x", c.err)
			w := s.get("/x")
			p := problem(t, w)
			if w.Code != c.status || p.Code != c.code {
				t.Errorf("%d %s, want %d %s", w.Code, p.Code, c.status, c.code)
			}
			if waits := w.Header().Get("Retry-After") != ""; waits != c.waits || (p.RetryAfterMs > 0) != c.waits {
				t.Errorf("Retry-After %q, retryAfterMs %d", w.Header().Get("Retry-After"), p.RetryAfterMs)
			}
			if logged := s.log.Len() > 0; logged != (c.status >= 500) {
				t.Errorf("logged %q for %d", s.log.String(), c.status)
			}
		})
	}
}

func TestRetryAfterIsRoundedUp(t *testing.T) {
	for wait, want := range map[time.Duration]string{
		time.Millisecond: "1", time.Second: "1", 1001 * time.Millisecond: "2", 0: "",
	} {
		s := newServer()
		s.fails("/x", apperr.New(apperr.RateLimited, string(wire.CodeRateLimited), "slow down").After(wait))
		w := s.get("/x")
		if got := w.Header().Get("Retry-After"); got != want || problem(t, w).RetryAfterMs != wait.Milliseconds() {
			t.Errorf("after %s: Retry-After %q, %s", wait, got, w.Body)
		}
	}
}

func TestAPanicIsAnInternalError(t *testing.T) {
	s := newServer()
	s.GET("/x", func(echo.Context) error { panic(private) })
	if p := problem(t, s.get("/x")); p.Code != wire.CodeInternal {
		t.Errorf("%+v", p)
	}
	if !strings.Contains(s.log.String(), "panic") {
		t.Errorf("nothing was logged: %q", s.log.String())
	}
}

func TestPathsAndMethods(t *testing.T) {
	s := newServer()
	s.GET("/x", func(c echo.Context) error { return httpkit.JSON(c, http.StatusOK, 1) })
	if w := s.get("/x/"); w.Code != http.StatusOK {
		t.Errorf("with a slash: %d", w.Code)
	}
	if p := problem(t, s.get("/y")); p.Code != wire.CodeNotFound {
		t.Errorf("another path: %+v", p)
	}
	if p := problem(t, s.do(httptest.NewRequest(http.MethodPost, "/x", http.NoBody))); p.Code != wire.CodeMethodNotAllowed {
		t.Errorf("another method: %+v", p)
	}
}

func TestJSONHasItsLength(t *testing.T) {
	s := newServer()
	s.GET("/x", func(c echo.Context) error {
		return httpkit.JSON(c, http.StatusCreated, map[string]string{"name": "é<>"})
	})
	s.GET("/broken", func(c echo.Context) error { return httpkit.JSON(c, http.StatusOK, func() {}) })
	w := s.get("/x")
	if w.Code != http.StatusCreated || w.Header().Get("Content-Length") != strconv.Itoa(w.Body.Len()) ||
		w.Header().Get("Content-Type") != "application/json" || w.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
	}
	if p := problem(t, s.get("/broken")); p.Code != wire.CodeInternal {
		t.Errorf("what cannot be encoded: %+v", p)
	}
}

func TestBodies(t *testing.T) {
	s := newServer()
	type body struct{ Name string }
	answer := func(c echo.Context, b body, err error) error {
		if err != nil {
			return err
		}
		return httpkit.JSON(c, http.StatusOK, b.Name)
	}
	s.POST("/needed", func(c echo.Context) error { b, err := httpkit.Decode[body](c); return answer(c, b, err) })
	s.POST("/optional", func(c echo.Context) error { b, err := httpkit.DecodeOptional[body](c); return answer(c, b, err) })
	full := `{"name":"` + strings.Repeat("a", httpkit.MaxBody-11) + `"}`
	for name, c := range map[string]struct {
		body, mediaType  string
		needed, optional wire.Code
	}{
		"an object":          {`{"name":"Ada"}`, "application/json", "", ""},
		"unknown fields":     {`{"name":"Ada","x":[1]}`, "application/json;charset=utf-8", "", ""},
		"another kind":       {`{"name":"Ada"}`, "application/merge-patch+json", "", ""},
		"nothing":            {``, "", wire.CodeInvalidJSON, ""},
		"half":               {`{"name":`, "application/json", wire.CodeInvalidJSON, wire.CodeInvalidJSON},
		"two":                {`{} {}`, "application/json", wire.CodeInvalidJSON, wire.CodeInvalidJSON},
		"another shape":      {`{"name":{}}`, "application/json", wire.CodeInvalidJSON, wire.CodeInvalidJSON},
		"no media type":      {`{}`, "", wire.CodeUnsupportedMediaType, wire.CodeUnsupportedMediaType},
		"a form":             {`{}`, "application/x-www-form-urlencoded", wire.CodeUnsupportedMediaType, wire.CodeUnsupportedMediaType},
		"as large as may be": {full, "application/json", "", ""},
		"one byte more":      {full + " ", "application/json", wire.CodeBodyTooLarge, wire.CodeBodyTooLarge},
		"deeply nested":      {strings.Repeat("[", 30000), "application/json", wire.CodeInvalidJSON, wire.CodeInvalidJSON},
	} {
		for path, want := range map[string]wire.Code{"/needed": c.needed, "/optional": c.optional} {
			for _, known := range []bool{true, false} {
				var reader io.Reader = strings.NewReader(c.body)
				if !known {
					reader = io.MultiReader(reader) // a body whose length is not announced
				}
				r := httptest.NewRequest(http.MethodPost, path, reader)
				r.Header.Set("Content-Type", c.mediaType)
				w := s.do(r)
				if want == "" && w.Code == http.StatusOK {
					continue
				}
				if p := problem(t, w); p.Code != want {
					t.Errorf("%s, %s, length known %v: %s, want %q", name, path, known, p.Code, want)
				}
			}
		}
	}
}

func TestBearer(t *testing.T) {
	for header, want := range map[string]error{
		"Bearer a.b.c": nil, "bearer a.b.c": nil, "BEARER  a.b.c ": nil,
		"": jwtkit.ErrMissing, "Bearer": jwtkit.ErrMalformed, "Bearer  ": jwtkit.ErrMalformed,
		"Basic a.b.c": jwtkit.ErrMalformed, "a.b.c": jwtkit.ErrMalformed,
	} {
		r := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
		r.Header.Set("Authorization", header)
		token, err := httpkit.Bearer(r)
		if want == nil && (err != nil || token != "a.b.c") || want != nil && !errors.Is(err, want) {
			t.Errorf("%q: %q, %v, want %v", header, token, err, want)
		}
	}
}

func TestOnlyTheServiceTokenPasses(t *testing.T) {
	for _, c := range []struct {
		token     secret.Secret
		presented string
		want      int
	}{
		{"right", "right", 200},
		{"right", "wrong", 401},
		{"right", "", 401},
		{"", "", 401}, // a service without a token lets nobody in
		{"", "anything", 401},
	} {
		s := newServer()
		s.GET("/x", func(c echo.Context) error { return httpkit.JSON(c, http.StatusOK, 1) }, httpkit.RequireService(c.token))
		r := httptest.NewRequest(http.MethodGet, "/x", http.NoBody)
		r.Header.Set("Authorization", "Bearer "+c.presented)
		w := s.do(r)
		if w.Code != c.want {
			t.Errorf("token %q, presented %q: %d, want %d", c.token.Reveal(), c.presented, w.Code, c.want)
		}
		if w.Code == http.StatusUnauthorized && problem(t, w).Code != wire.CodeServiceUnauthorized {
			t.Errorf("refused with %s", w.Body)
		}
	}
}

func TestCallerVerifies(t *testing.T) {
	dir := t.TempDir()
	keys, err := jwtkit.LoadOrCreate(dir)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := jwtkit.NewSigner(keys, time.Minute, clock.System{})
	if err != nil {
		t.Fatal(err)
	}
	token, want, err := signer.Sign(jwtkit.Claims{Player: "ada"})
	if err != nil {
		t.Fatal(err)
	}
	v := jwtkit.NewVerifier(dir, clock.System{})
	r := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
	if _, err := httpkit.Caller(r, v); !errors.Is(err, jwtkit.ErrMissing) {
		t.Errorf("without a token: %v", err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	if got, err := httpkit.Caller(r, v); err != nil || got.ID != want.ID || got.Player != "ada" {
		t.Errorf("caller %+v, %v", got, err)
	}
	r.Header.Set("Authorization", "Bearer "+token+"x")
	if _, err := httpkit.Caller(r, v); !errors.Is(err, jwtkit.ErrMalformed) {
		t.Errorf("with a changed token: %v", err)
	}
}

func TestRequestIDs(t *testing.T) {
	s := newServer()
	for sent, kept := range map[string]bool{"trace-1": true, "": false, "a\"b": false, strings.Repeat("a", 65): false} {
		r := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
		r.Header.Set("X-Request-ID", sent)
		got := s.do(r).Header().Get("X-Request-ID")
		if !id.Valid(got) || (got == sent) != kept {
			t.Errorf("sent %q, got %q", sent, got)
		}
	}
}

// A header must not decide where a request came from: limits hang on it.
func TestForwardedHeadersAreNotBelieved(t *testing.T) {
	s := newServer()
	s.GET("/x", func(c echo.Context) error { return httpkit.JSON(c, http.StatusOK, c.RealIP()) })
	r := httptest.NewRequest(http.MethodGet, "/x", http.NoBody)
	r.RemoteAddr = "192.0.2.7:1234"
	r.Header.Set("X-Forwarded-For", "203.0.113.9")
	r.Header.Set("X-Real-IP", "203.0.113.9")
	if got := s.do(r).Body.String(); got != `"192.0.2.7"` {
		t.Errorf("the caller is %s", got)
	}
}

// Whoever makes up paths and methods must not make a metric with each.
func TestMetricsAreBounded(t *testing.T) {
	s := newServer()
	s.GET("/x/:id", func(c echo.Context) error { return c.NoContent(http.StatusNoContent) })
	for n := range 20 {
		s.get(fmt.Sprintf("/made-up/%d", n))
		s.get(fmt.Sprintf("/x/%d", n))
		s.do(httptest.NewRequest(fmt.Sprintf("METHOD%d", n), "/x/1", http.NoBody))
	}
	families, err := s.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	series, calls := 0, uint64(0)
	for _, f := range families {
		for _, m := range f.GetMetric() {
			series++
			calls += m.GetHistogram().GetSampleCount()
		}
	}
	if series != 3 || calls != 60 {
		t.Errorf("%d series with %d calls, want 3 with 60", series, calls)
	}
}
