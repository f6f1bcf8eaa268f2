// Package apperr is the one error type that crosses layers: a kind that edges
// turn into a status, a stable code and a public text for clients, and a
// private cause for the log.
package apperr

import (
	"context"
	"errors"
	"time"
)

// Kind says what went wrong in the coarse terms an edge needs.
type Kind int

// The kinds. Internal is the zero value: what nobody classified is our fault.
const (
	Internal        Kind = iota
	Invalid              // the request can never succeed as it is
	Unauthenticated      // the token is missing, malformed, expired or revoked
	Forbidden            // the caller may not do this
	NotFound             // the named thing does not exist
	Conflict             // the state of something forbids it now
	TooLarge             // the body is over the limit
	Unsupported          // the media type is not understood
	RateLimited          // too many requests
	Unavailable          // a dependency is away; a retry will help
)

// Kinds lists every kind, so that edges can prove their tables total.
func Kinds() []Kind {
	return []Kind{
		Internal, Invalid, Unauthenticated, Forbidden, NotFound, Conflict, TooLarge, Unsupported,
		RateLimited, Unavailable,
	}
}

// Error is an error with a public and a private half. Public and Code may be
// shown to anyone; Cause is for the log only.
type Error struct {
	Kind       Kind
	Code       string // stable, snake_case, part of the API
	Public     string // one sentence for people
	RetryAfter time.Duration
	Cause      error
}

// New returns an error without a cause.
func New(kind Kind, code, public string) *Error {
	return &Error{Kind: kind, Code: code, Public: public}
}

// Error shows the public half and, for logs, the cause.
func (e *Error) Error() string {
	if e.Cause == nil {
		return e.Code + ": " + e.Public
	}
	return e.Code + ": " + e.Public + ": " + e.Cause.Error()
}

// Unwrap returns the private cause.
func (e *Error) Unwrap() error { return e.Cause }

// Is matches errors of the same code, whatever their cause.
func (e *Error) Is(target error) bool {
	var t *Error
	return errors.As(target, &t) && t.Code == e.Code
}

// With returns a copy of e with a private cause.
func (e *Error) With(cause error) *Error {
	c := *e
	c.Cause = cause
	return &c
}

// After returns a copy of e that asks the client to wait for d.
func (e *Error) After(d time.Duration) *Error {
	c := *e
	c.RetryAfter = d
	return &c
}

// Away says that the dependency named in doing is unavailable and that a
// retry in a second may help. A context that ended stays what it is.
func Away(doing string, cause error) error {
	if errors.Is(cause, context.Canceled) {
		return cause
	}
	return &Error{
		Kind: Unavailable, Code: "unavailable", Public: "a dependency is away, please retry",
		RetryAfter: time.Second, Cause: &doingError{doing, cause},
	}
}

// From returns the *Error in err's chain, or an Internal one around err.
func From(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return &Error{
			Kind: Unavailable, Code: "unavailable", Public: "the request took too long, please retry",
			RetryAfter: time.Second, Cause: err,
		}
	}
	return &Error{Kind: Internal, Code: "internal", Public: "something went wrong on our side", Cause: err}
}

type doingError struct {
	doing string
	cause error
}

func (e *doingError) Error() string { return e.doing + ": " + e.cause.Error() }
func (e *doingError) Unwrap() error { return e.cause }
