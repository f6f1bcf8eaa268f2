package wire

// PlayerID is a player's id; it matches [A-Za-z0-9_-]{1,64}.
type PlayerID = string

// The answers that wire.yaml defines once for all services. Each one is a
// Problem; generated clients know it by these names.
type (
	// BadRequest is a Problem with status 400.
	BadRequest = Problem
	// Unauthorized is a Problem with status 401, about an access token.
	Unauthorized = Problem
	// BodyTooLarge is a Problem with status 413.
	BodyTooLarge = Problem
	// UnsupportedMediaType is a Problem with status 415.
	UnsupportedMediaType = Problem
	// TooManyRequests is a Problem with status 429.
	TooManyRequests = Problem
	// InternalError is a Problem with status 500.
	InternalError = Problem
	// Unavailable is a Problem with status 503.
	Unavailable = Problem
)
