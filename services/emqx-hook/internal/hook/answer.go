package hook

import (
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/holdfast-games/holdfast/pkg/apperr"
)

// reception is what the broker should do with an event that met an error.
type reception int

const (
	fail   reception = iota // 500: the broker forgets it; somebody must look
	accept                  // 204: there is nothing to do about it
	reject                  // 400, 413, 415: no repetition can mend it
	again                   // 503, 429: the broker sends it again
)

// answer is what the broker is told about an error. A login and an access are
// denied whatever the kind; only who is to blame differs.
type answer struct {
	ours  bool // our fault: logged and counted
	event reception
}

// answers is the one table from the kind of an error to an answer for the
// broker. What is not in it is our fault.
func answers() map[apperr.Kind]answer {
	return map[apperr.Kind]answer{
		apperr.Internal:        {ours: true, event: fail},
		apperr.Invalid:         {event: reject},
		apperr.Unauthenticated: {event: accept},
		apperr.Forbidden:       {event: accept},
		apperr.NotFound:        {event: accept},
		apperr.Conflict:        {event: accept},
		apperr.TooLarge:        {event: reject},
		apperr.Unsupported:     {event: reject},
		apperr.RateLimited:     {ours: true, event: again},
		apperr.Unavailable:     {ours: true, event: again},
	}
}

func answerFor(err error) answer {
	a, ok := answers()[apperr.From(err).Kind]
	if !ok {
		return answer{ours: true, event: fail}
	}
	return a
}

// retryAfter is how long the broker is asked to wait where the error names no
// time itself.
const retryAfter = time.Second

// receive answers the webhook: 204, or the problem document of err, whose
// status tells the broker whether to send the event again.
func receive(c echo.Context, err error) error {
	if err == nil {
		return c.NoContent(http.StatusNoContent)
	}
	switch answerFor(err).event {
	case accept:
		return c.NoContent(http.StatusNoContent)
	case again:
		return apperr.From(err).After(max(apperr.From(err).RetryAfter, retryAfter))
	default:
		return err
	}
}
