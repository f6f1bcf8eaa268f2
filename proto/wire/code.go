package wire

import "net/http"

// Code says what went wrong in a word that never changes: programs decide by
// it, people read the detail. The list is part of the contract; clients treat
// a code they do not know like bad_request, unavailable or internal, by the
// HTTP status it came with.
type Code string

// Codes of 400 Bad Request: the request can never work as it is.
const (
	// CodeBadRequest: the request makes no sense in a way no other code names.
	CodeBadRequest Code = "bad_request"
	// CodeInvalidJSON: the body is not one JSON value of the right shape.
	CodeInvalidJSON Code = "invalid_json"
	// CodeInvalidField: a field or parameter is missing or outside its limits.
	CodeInvalidField Code = "invalid_field"
)

// Codes of 401 Unauthorized: the credential itself is at fault, never some
// state of ours.
const (
	// CodeTokenMissing: the call needs an access token and brought none.
	CodeTokenMissing Code = "token_missing"
	// CodeTokenMalformed: the access token is not one of ours.
	CodeTokenMalformed Code = "token_malformed"
	// CodeTokenExpired: the access token is past its time; refresh it.
	CodeTokenExpired Code = "token_expired"
	// CodeTokenRevoked: the player logged out or was banned after it was issued.
	CodeTokenRevoked Code = "token_revoked"
	// CodeRefreshInvalid: the refresh token is not one of ours.
	CodeRefreshInvalid Code = "refresh_invalid"
	// CodeRefreshExpired: the refresh token is past its time; log in again.
	CodeRefreshExpired Code = "refresh_expired"
	// CodeRefreshReused: an outdated refresh token came back, so this login was
	// ended for safety; log in again.
	CodeRefreshReused Code = "refresh_reused"
	// CodeRefreshRevoked: this login was ended; log in again.
	CodeRefreshRevoked Code = "refresh_revoked"
	// CodeHookUnauthorized: a broker call without the right hook secret.
	CodeHookUnauthorized Code = "hook_unauthorized"
	// CodeServiceUnauthorized: an internal call without the right service token.
	CodeServiceUnauthorized Code = "service_unauthorized"
)

// Codes of 403 Forbidden: the caller is known and may not do this.
const (
	// CodeForbidden: not allowed, in a way no other code names.
	CodeForbidden Code = "forbidden"
	// CodeNotInMatch: only the players of the match may do this.
	CodeNotInMatch Code = "not_in_match"
)

// Codes of 404 Not Found.
const (
	// CodeNotFound: there is nothing at this path.
	CodeNotFound Code = "not_found"
	// CodeUnknownQueue: no queue has this name.
	CodeUnknownQueue Code = "unknown_queue"
	// CodeUnknownMatch: no match has this id, or it ended long ago.
	CodeUnknownMatch Code = "unknown_match"
	// CodeNoSession: an internal caller asked for a player who has no session
	// now. Players never see it: their own calls make one.
	CodeNoSession Code = "no_session"
)

// Codes of 409 Conflict: the request is fine, the present state is against it.
const (
	// CodeConflict: the present state is against it, in a way no other code
	// names.
	CodeConflict Code = "conflict"
	// CodeTooManyQueues: the player already waits in as many queues as allowed.
	CodeTooManyQueues Code = "too_many_queues"
	// CodeInMatch: the player is in a match, which must end or be left first.
	CodeInMatch Code = "in_match"
)

// Codes with a status of their own.
const (
	// CodeMethodNotAllowed (405): the path exists, the method does not.
	CodeMethodNotAllowed Code = "method_not_allowed"
	// CodeBodyTooLarge (413): the body is over the limit of this call.
	CodeBodyTooLarge Code = "body_too_large"
	// CodeUnsupportedMediaType (415): the body is not application/json.
	CodeUnsupportedMediaType Code = "unsupported_media_type"
	// CodeRateLimited (429): too many calls; wait retryAfterMs.
	CodeRateLimited Code = "rate_limited"
	// CodeInternal (500): our fault, and not known to pass by itself.
	CodeInternal Code = "internal"
	// CodeUnavailable (503): our fault, and passing; wait retryAfterMs.
	CodeUnavailable Code = "unavailable"
)

// meaning is what a code always comes with.
type meaning struct {
	code   Code
	status int
	title  string
}

// meanings is the one table of codes, by status.
func meanings() []meaning {
	return []meaning{
		{CodeBadRequest, http.StatusBadRequest, "Bad request"},
		{CodeInvalidJSON, http.StatusBadRequest, "Invalid JSON"},
		{CodeInvalidField, http.StatusBadRequest, "Invalid field"},
		{CodeTokenMissing, http.StatusUnauthorized, "Token missing"},
		{CodeTokenMalformed, http.StatusUnauthorized, "Token malformed"},
		{CodeTokenExpired, http.StatusUnauthorized, "Token expired"},
		{CodeTokenRevoked, http.StatusUnauthorized, "Token revoked"},
		{CodeRefreshInvalid, http.StatusUnauthorized, "Refresh token invalid"},
		{CodeRefreshExpired, http.StatusUnauthorized, "Refresh token expired"},
		{CodeRefreshReused, http.StatusUnauthorized, "Refresh token reused"},
		{CodeRefreshRevoked, http.StatusUnauthorized, "Refresh token revoked"},
		{CodeHookUnauthorized, http.StatusUnauthorized, "Hook secret missing or wrong"},
		{CodeServiceUnauthorized, http.StatusUnauthorized, "Service token missing or wrong"},
		{CodeForbidden, http.StatusForbidden, "Forbidden"},
		{CodeNotInMatch, http.StatusForbidden, "Not in this match"},
		{CodeNotFound, http.StatusNotFound, "Not found"},
		{CodeUnknownQueue, http.StatusNotFound, "Unknown queue"},
		{CodeUnknownMatch, http.StatusNotFound, "Unknown match"},
		{CodeNoSession, http.StatusNotFound, "No session"},
		{CodeMethodNotAllowed, http.StatusMethodNotAllowed, "Method not allowed"},
		{CodeConflict, http.StatusConflict, "Conflict"},
		{CodeTooManyQueues, http.StatusConflict, "Too many queues"},
		{CodeInMatch, http.StatusConflict, "In a match"},
		{CodeBodyTooLarge, http.StatusRequestEntityTooLarge, "Body too large"},
		{CodeUnsupportedMediaType, http.StatusUnsupportedMediaType, "Unsupported media type"},
		{CodeRateLimited, http.StatusTooManyRequests, "Too many requests"},
		{CodeInternal, http.StatusInternalServerError, "Internal error"},
		{CodeUnavailable, http.StatusServiceUnavailable, "Temporarily unavailable"},
	}
}

// meaningOf looks c up; ok is false for a code that is not in the table, which
// then means what CodeInternal means.
func meaningOf(c Code) (m meaning, ok bool) {
	for _, m := range meanings() {
		if m.code == c {
			return m, true
		}
	}
	return meaning{CodeInternal, http.StatusInternalServerError, "Internal error"}, false
}

// Codes returns the contract's list of codes, by status.
func Codes() []Code {
	table := meanings()
	codes := make([]Code, 0, len(table))
	for _, m := range table {
		codes = append(codes, m.code)
	}
	return codes
}

// Known reports whether c is in the contract's list.
func (c Code) Known() bool {
	_, ok := meaningOf(c)
	return ok
}

// Status returns the HTTP status that always comes with c; 500 for a code
// that is not in the list.
func (c Code) Status() int {
	m, _ := meaningOf(c)
	return m.status
}

// Title returns the short text that always comes with c; that of
// CodeInternal for a code that is not in the list.
func (c Code) Title() string {
	m, _ := meaningOf(c)
	return m.title
}
