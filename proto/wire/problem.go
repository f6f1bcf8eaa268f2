package wire

// ProblemMediaType is the content type of every error answer.
const ProblemMediaType = "application/problem+json"

// problemTypePrefix makes a code into the URI that RFC 9457 asks for.
const problemTypePrefix = "urn:holdfast:problem:"

// Problem is an error answer: an RFC 9457 problem document with a stable code.
type Problem struct {
	// Type is a URI that names the kind of problem, one to one with Code.
	Type string `json:"type"`
	// Title is the same short text for every problem of this Code.
	Title string `json:"title"`
	// Status repeats the HTTP status.
	Status int `json:"status"`
	// Detail says what was wrong this time, for people.
	Detail string `json:"detail"`
	// Code is what programs decide by.
	Code Code `json:"code"`
	// Error equals Detail, for clients that know no other field.
	Error string `json:"error"`
	// RetryAfterMs is how many milliseconds to wait before trying again. Zero:
	// waiting does not help. The Retry-After header says the same in seconds,
	// rounded up.
	RetryAfterMs int64 `json:"retryAfterMs,omitempty"`
}

// NewProblem returns the problem document of code with this detail; without a
// detail the code's title stands in. A code that is not in the list becomes
// CodeInternal, so that nothing undocumented crosses the wire.
func NewProblem(code Code, detail string) Problem {
	if !code.Known() {
		code = CodeInternal
	}
	if detail == "" {
		detail = code.Title()
	}
	return Problem{
		Type:   problemTypePrefix + string(code),
		Title:  code.Title(),
		Status: code.Status(),
		Detail: detail,
		Code:   code,
		Error:  detail,
	}
}
