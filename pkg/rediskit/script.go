package rediskit

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/holdfast-games/holdfast/pkg/apperr"
)

// Script is a Lua script with a name for errors and metrics.
type Script struct {
	name   string
	script *redis.Script
}

// NewScript joins the parts, a prelude and the script proper, to one script.
func NewScript(name string, parts ...string) *Script {
	return &Script{name: name, script: redis.NewScript(strings.Join(parts, "\n"))}
}

// Name returns the name given to NewScript.
func (s *Script) Name() string { return s.name }

// Run sends the script by its hash, or whole when the server does not have
// it: one round trip but for the first time. Any error is of kind
// Unavailable: scripts answer refusals as values.
func (s *Script) Run(ctx context.Context, c redis.UniversalClient, keys []string, args ...any) ([]any, error) {
	reply, err := s.script.Run(ctx, c, keys, args...).Slice()
	if err != nil {
		return nil, apperr.Away("script "+s.name, err)
	}
	return reply, nil
}

// Call is one run of a script in a batch.
type Call struct {
	Script *Script
	Keys   []string
	Args   []any
}

// Result is what one Call of a batch answered.
type Result struct {
	Reply []any
	Err   error
}

// RunBatch sends all calls in one round trip for each server involved. A
// pipeline sends hashes only, so a call whose script the server lacks is sent
// again whole. Results are in the order of the calls.
func RunBatch(ctx context.Context, c redis.UniversalClient, calls []Call) []Result {
	cmds := make([]*redis.Cmd, len(calls))
	pipe := c.Pipeline()
	for i, call := range calls {
		cmds[i] = call.Script.script.EvalSha(ctx, pipe, call.Keys, call.Args...)
	}
	_, _ = pipe.Exec(ctx) // every command carries its own error
	results := make([]Result, len(calls))
	for i, cmd := range cmds {
		reply, err := cmd.Slice()
		switch {
		case redis.HasErrorPrefix(err, "NOSCRIPT"):
			results[i].Reply, results[i].Err = calls[i].Script.Run(ctx, c, calls[i].Keys, calls[i].Args...)
		case err != nil:
			results[i].Err = apperr.Away("script "+calls[i].Script.name, err)
		default:
			results[i].Reply = reply
		}
	}
	return results
}

// Reply reads the flat array of strings and integers that scripts return.
type Reply struct {
	name   string
	values []any
	err    error
}

// Read starts reading a reply of the named script.
func Read(name string, values []any) *Reply { return &Reply{name: name, values: values} }

// String takes the next value as a string.
func (r *Reply) String() string {
	if r.err != nil {
		return ""
	}
	if len(r.values) == 0 {
		r.err = fmt.Errorf("script %s: the reply is too short", r.name)
		return ""
	}
	v := r.values[0]
	r.values = r.values[1:]
	switch v := v.(type) {
	case string:
		return v
	case int64:
		return fmt.Sprint(v)
	case nil:
		return ""
	default:
		r.err = fmt.Errorf("script %s: a %T in the reply", r.name, v)
		return ""
	}
}

// Int takes the next value as a whole number.
func (r *Reply) Int() int64 {
	s := r.String()
	if r.err != nil {
		return 0
	}
	n, err := ParseInt(s)
	if err != nil {
		r.err = fmt.Errorf("script %s: %w", r.name, err)
	}
	return n
}

// Rest takes all remaining values as strings.
func (r *Reply) Rest() []string {
	var rest []string
	for len(r.values) > 0 && r.err == nil {
		rest = append(rest, r.String())
	}
	return rest
}

// Err returns the first problem met while reading.
func (r *Reply) Err() error { return r.err }

// ParseInt parses the whole numbers scripts write, "" being 0.
func ParseInt(s string) (int64, error) {
	if s == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%q is not a whole number", s)
	}
	return n, nil
}
