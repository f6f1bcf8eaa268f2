// Package httpkit is the HTTP edge that all services share: an Echo instance
// that answers errors as problem documents, bodies with Content-Length, and
// never believes a header about where a request came from.
package httpkit

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/holdfast-games/holdfast/pkg/apperr"
	"github.com/holdfast-games/holdfast/pkg/id"
	"github.com/holdfast-games/holdfast/pkg/jwtkit"
	"github.com/holdfast-games/holdfast/pkg/secret"
	"github.com/holdfast-games/holdfast/pkg/telemetry"
	"github.com/holdfast-games/holdfast/proto/wire"
)

// MaxBody is the largest request body, in bytes, that is read.
const MaxBody = 64 << 10

// bodyTimeout is how long a client may take to send its body.
const bodyTimeout = 10 * time.Second

var (
	errTooLarge  = apperr.New(apperr.TooLarge, string(wire.CodeBodyTooLarge), "the body is larger than 64 KiB")
	errMediaType = apperr.New(apperr.Unsupported, string(wire.CodeUnsupportedMediaType), "the body must be application/json")
	errJSON      = apperr.New(apperr.Invalid, string(wire.CodeInvalidJSON), "the body is not one JSON value of the right shape")
	errService   = apperr.New(apperr.Unauthenticated, string(wire.CodeServiceUnauthorized), "the service token is missing or wrong")
)

// New returns an Echo instance for one service.
func New(service string, log *slog.Logger, registry prometheus.Registerer) *echo.Echo {
	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	e.IPExtractor = echo.ExtractIPDirect()
	e.HTTPErrorHandler = func(err error, c echo.Context) { fail(log, err, c) }
	e.Pre(middleware.RemoveTrailingSlash())
	e.Use(requestID, observe(service, registry), recoverPanics(log))
	return e
}

func fail(log *slog.Logger, err error, c echo.Context) {
	if c.Response().Committed {
		return
	}
	if kind := classify(err).Kind; kind == apperr.Internal || kind == apperr.Unavailable {
		log.ErrorContext(c.Request().Context(), "request failed", "method", c.Request().Method, "route", c.Path(),
			"request", c.Response().Header().Get(echo.HeaderXRequestID), "error", err)
	}
	WriteProblem(c.Response(), err)
}

// requestID takes the caller's X-Request-ID if it is well formed, or makes one.
func requestID(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		request := c.Request().Header.Get(echo.HeaderXRequestID)
		if !id.Valid(request) {
			request = id.New()
		}
		c.Response().Header().Set(echo.HeaderXRequestID, request)
		return next(c)
	}
}

func observe(service string, registry prometheus.Registerer) echo.MiddlewareFunc {
	seconds := telemetry.Once(registry, prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "holdfast_http_request_seconds", Help: "Time to answer a request.",
		Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
	}, []string{"service", "method", "route", "status"}))
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			start := time.Now()
			err := next(c)
			if err != nil {
				c.Error(err)
			}
			route := c.Path()
			if route == "" {
				route = "none"
			}
			status := strconv.Itoa(c.Response().Status)
			seconds.WithLabelValues(service, method(c.Request().Method), route, status).Observe(time.Since(start).Seconds())
			return nil
		}
	}
}

// method keeps made-up methods from making a metric each.
func method(m string) string {
	switch m {
	case http.MethodGet, http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodHead, http.MethodPatch, http.MethodOptions:
		return m
	default:
		return "other"
	}
}

func recoverPanics(log *slog.Logger) echo.MiddlewareFunc {
	return middleware.RecoverWithConfig(middleware.RecoverConfig{
		LogErrorFunc: func(c echo.Context, err error, stack []byte) error {
			log.ErrorContext(c.Request().Context(), "panic", "route", c.Path(), "error", err, "stack", string(stack))
			return err
		},
	})
}

// JSON answers with a body and its Content-Length: some game clients cannot
// read chunked answers.
func JSON(c echo.Context, status int, body any) error {
	b, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("encode the answer: %w", err)
	}
	h := c.Response().Header()
	h.Set(echo.HeaderContentLength, strconv.Itoa(len(b)))
	h.Set("Cache-Control", "no-store")
	return c.Blob(status, echo.MIMEApplicationJSON, b)
}

// Decode reads the JSON body of a request into a T. Fields it does not know
// are ignored, so that newer clients work. Errors: body_too_large,
// unsupported_media_type, invalid_json.
func Decode[T any](c echo.Context) (T, error) {
	var t T
	body, err := readBody(c)
	if err != nil {
		return t, err
	}
	if len(body) == 0 {
		return t, errJSON
	}
	if err := json.Unmarshal(body, &t); err != nil {
		return t, wrongShape(err)
	}
	return t, nil
}

// DecodeOptional is Decode for a body that may be left out.
func DecodeOptional[T any](c echo.Context) (T, error) {
	var t T
	body, err := readBody(c)
	if err != nil || len(body) == 0 {
		return t, err
	}
	if err := json.Unmarshal(body, &t); err != nil {
		return t, wrongShape(err)
	}
	return t, nil
}

// wrongShape names the field that is to blame, if one is.
func wrongShape(err error) error {
	e := errJSON.With(err)
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok && wrong.Field != "" {
		e.Public = "the field " + wrong.Field + " must not be a " + wrong.Value
	}
	return e
}

func readBody(c echo.Context) ([]byte, error) {
	r := c.Request()
	control := http.NewResponseController(c.Response())
	_ = control.SetReadDeadline(time.Now().Add(bodyTimeout)) // not every test server knows deadlines
	defer func() { _ = control.SetReadDeadline(time.Time{}) }()
	if r.ContentLength > MaxBody {
		return nil, errTooLarge
	}
	body, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, MaxBody))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, errTooLarge
	case err != nil:
		return nil, errJSON.With(err)
	case len(body) == 0:
		return nil, nil
	}
	media, _, err := mime.ParseMediaType(r.Header.Get(echo.HeaderContentType))
	if err != nil || (media != echo.MIMEApplicationJSON && !strings.HasSuffix(media, "+json")) {
		return nil, errMediaType
	}
	return body, nil
}

// Bearer returns the token of the Authorization header. Errors:
// jwtkit.ErrMissing, jwtkit.ErrMalformed.
func Bearer(r *http.Request) (string, error) {
	header := r.Header.Get(echo.HeaderAuthorization)
	if header == "" {
		return "", jwtkit.ErrMissing
	}
	scheme, token, ok := strings.Cut(header, " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") || strings.TrimSpace(token) == "" {
		return "", jwtkit.ErrMalformed
	}
	return strings.TrimSpace(token), nil
}

// RequireService lets only callers with the service token through.
func RequireService(token secret.Secret) echo.MiddlewareFunc { return RequireSecret(token, errService) }

// RequireSecret lets only callers through whose bearer token is s; others get
// refusal.
func RequireSecret(s secret.Secret, refusal *apperr.Error) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			presented, err := Bearer(c.Request())
			if err != nil || !s.Equal(presented) {
				return refusal
			}
			return next(c)
		}
	}
}

// InvalidField is the error for a field or parameter outside its limits.
func InvalidField(text string) error {
	return apperr.New(apperr.Invalid, string(wire.CodeInvalidField), text)
}

// Caller verifies the access token of a request. Errors: those of Bearer and
// of the verifier. Whether the token was revoked, the session store tells.
func Caller(r *http.Request, v *jwtkit.Verifier) (jwtkit.Claims, error) {
	token, err := Bearer(r)
	if err != nil {
		return jwtkit.Claims{}, err
	}
	return v.Verify(token)
}
