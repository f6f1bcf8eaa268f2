package httpkit

import (
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/holdfast-games/holdfast/pkg/apperr"
	"github.com/holdfast-games/holdfast/proto/wire"
)

// fallbacks is what a kind answers when its code is not part of the contract.
func fallbacks() map[apperr.Kind]wire.Code {
	return map[apperr.Kind]wire.Code{
		apperr.Internal:        wire.CodeInternal,
		apperr.Invalid:         wire.CodeBadRequest,
		apperr.Unauthenticated: wire.CodeTokenMalformed,
		apperr.Forbidden:       wire.CodeForbidden,
		apperr.NotFound:        wire.CodeNotFound,
		apperr.Conflict:        wire.CodeConflict,
		apperr.TooLarge:        wire.CodeBodyTooLarge,
		apperr.Unsupported:     wire.CodeUnsupportedMediaType,
		apperr.RateLimited:     wire.CodeRateLimited,
		apperr.Unavailable:     wire.CodeUnavailable,
	}
}

// Problem turns any error into the document a client sees. Nothing private is
// in it: an unclassified error becomes "internal".
func Problem(err error) wire.Problem {
	e := classify(err)
	code := wire.Code(e.Code)
	if !code.Known() {
		code = fallbacks()[e.Kind]
	}
	p := wire.NewProblem(code, e.Public)
	p.RetryAfterMs = e.RetryAfter.Milliseconds()
	return p
}

// classify also understands what Echo and its router return.
func classify(err error) *apperr.Error {
	if own, ok := errors.AsType[*apperr.Error](err); ok {
		return own
	}
	var h *echo.HTTPError
	if !errors.As(err, &h) {
		return apperr.From(err)
	}
	switch h.Code {
	case http.StatusNotFound:
		return apperr.New(apperr.NotFound, string(wire.CodeNotFound), "there is nothing at this path")
	case http.StatusMethodNotAllowed:
		return apperr.New(apperr.Invalid, string(wire.CodeMethodNotAllowed), "this path does not know this method")
	case http.StatusRequestEntityTooLarge:
		return errTooLarge
	case http.StatusUnsupportedMediaType:
		return errMediaType
	}
	if h.Code >= 400 && h.Code < 500 {
		return apperr.New(apperr.Invalid, string(wire.CodeInvalidField), parameterOf(h)+" is missing or malformed").With(err)
	}
	return apperr.From(err)
}

// parameterOf names the parameter that generated code complains about:
// "Invalid format for parameter NAME: …".
func parameterOf(h *echo.HTTPError) string {
	text, _ := h.Message.(string)
	_, rest, found := strings.Cut(text, "parameter ")
	name, _, ended := strings.Cut(rest, ":")
	if !found || !ended {
		return "a parameter"
	}
	return "parameter " + name
}

// WriteProblem answers with the problem document for err.
func WriteProblem(w http.ResponseWriter, err error) {
	p := Problem(err)
	body, marshalErr := json.Marshal(p)
	if marshalErr != nil {
		p.Status, body = http.StatusInternalServerError, []byte("{}")
	}
	h := w.Header()
	h.Set("Content-Type", wire.ProblemMediaType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("Cache-Control", "no-store")
	if p.Status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", "Bearer")
	}
	if p.RetryAfterMs > 0 {
		seconds := math.Ceil((time.Duration(p.RetryAfterMs) * time.Millisecond).Seconds())
		h.Set("Retry-After", strconv.Itoa(int(seconds)))
	}
	w.WriteHeader(p.Status)
	_, _ = w.Write(body)
}
