package redisstore

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/holdfast-games/holdfast/pkg/rediskit"
	"github.com/holdfast-games/holdfast/services/matchmaking/internal/queue"
)

// reply is what answer() in the prelude returns.
type reply struct {
	outcome    queue.Outcome
	now, shift int64
	a, b       int64
	record     map[string]string
}

func parse(script string, values []any) (reply, error) {
	r := rediskit.Read(script, values)
	p := reply{outcome: queue.Outcome(r.String()), now: r.Int(), shift: r.Int(), a: r.Int(), b: r.Int()}
	fields := r.Rest()
	if err := r.Err(); err != nil {
		return reply{}, err
	}
	if len(fields)%2 != 0 {
		return reply{}, fmt.Errorf("script %s: a field without a value", script)
	}
	p.record = make(map[string]string, len(fields)/2)
	for i := 0; i < len(fields); i += 2 {
		p.record[fields[i]] = fields[i+1]
	}
	return p, nil
}

// numbers reads whole numbers out of a record and keeps the first problem.
type numbers struct {
	record map[string]string
	err    error
}

func (n *numbers) get(field string) int64 {
	v, err := rediskit.ParseInt(n.record[field])
	if err != nil && n.err == nil {
		n.err = fmt.Errorf("field %s: %w", field, err)
	}
	return v
}

func ticketFrom(queueName, id string, record map[string]string) (queue.Ticket, error) {
	n := numbers{record: record}
	t := queue.Ticket{
		ID: id, Queue: queueName, Player: record["player"], SID: record["sid"], State: queue.State(record["state"]),
		QueuedAt: n.get("queuedAt"), V: n.get("v"), ReachUntil: n.get("reachUntil"), ReachV: n.get("reachV"),
		After: n.get("after"), Rating: n.get("rating"), Match: record["match"], Leaving: record["leaving"],
	}
	for field, into := range map[string]any{"attributes": &t.Attributes, "latencies": &t.Latencies} {
		if text := record[field]; text != "" {
			if err := json.Unmarshal([]byte(text), into); err != nil && n.err == nil {
				n.err = fmt.Errorf("field %s: %w", field, err)
			}
		}
	}
	if n.err != nil {
		return queue.Ticket{}, fmt.Errorf("ticket %s of queue %s: %w", id, queueName, n.err)
	}
	return t, nil
}

// text renders what only matchers read; "" for nothing.
func text[M ~map[string]V, V any](m M) (string, error) {
	if len(m) == 0 {
		return "", nil
	}
	b, err := json.Marshal(m)
	if err != nil {
		return "", fmt.Errorf("encode a ticket: %w", err)
	}
	return string(b), nil
}

func matchFrom(id string, record map[string]string, now, shift int64) (queue.Match, error) {
	n := numbers{record: record}
	m := queue.Match{
		ID: id, Queue: record["queue"], State: queue.MatchState(record["state"]), V: n.get("v"), Reason: record["reason"],
		CreatedAt: n.get("createdAt"), FoundAt: n.get("foundAt"), EndsAt: n.get("endsAt"), Now: now,
	}
	if m.EndsAt != 0 {
		m.EndsAt += shift
	}
	for i := range n.get("n") {
		member, err := memberFrom(record[fmt.Sprintf("p:%d", i+1)])
		if err != nil && n.err == nil {
			n.err = err
		}
		m.Members = append(m.Members, member)
	}
	if n.err != nil {
		return queue.Match{}, fmt.Errorf("match %s: %w", id, n.err)
	}
	return m, nil
}

func memberFrom(value string) (queue.Member, error) {
	parts := strings.Split(value, " ")
	if len(parts) != 5 {
		return queue.Member{}, fmt.Errorf("member %q is malformed", value)
	}
	v, err := rediskit.ParseInt(parts[4])
	return queue.Member{Player: parts[0], SID: parts[1], Ticket: parts[2], Status: queue.Status(parts[3]), V: v}, err
}
