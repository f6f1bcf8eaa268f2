package redisstore

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/holdfast-games/holdfast/pkg/rediskit"
	"github.com/holdfast-games/holdfast/pkg/session"
)

// parse reads what answer() in the prelude returns.
func parse(script, player string, values []any) (session.Result, string, error) {
	r := rediskit.Read(script, values)
	res := session.Result{Outcome: session.Outcome(r.String())}
	res.Record = session.Record{Player: player, Now: r.Int(), Shift: r.Int()}
	extra := r.String()
	fields := r.Rest()
	if err := r.Err(); err != nil {
		return session.Result{}, "", err
	}
	if len(fields)%2 != 0 {
		return session.Result{}, "", fmt.Errorf("script %s: a field without a value", script)
	}
	for i := 0; i < len(fields); i += 2 {
		if err := setField(&res.Record, fields[i], fields[i+1]); err != nil {
			return session.Result{}, "", fmt.Errorf("session record of %s, field %s: %w", player, fields[i], err)
		}
	}
	sortRecord(&res.Record)
	return res, extra, nil
}

func sortRecord(r *session.Record) {
	slices.SortFunc(r.Connections, func(a, b session.Connection) int {
		return cmp.Or(cmp.Compare(a.ID.Epoch(), b.ID.Epoch()), cmp.Compare(a.ID, b.ID))
	})
	slices.SortFunc(r.Places, func(a, b session.Place) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Slot, b.Slot))
	})
}

func setField(r *session.Record, field, value string) error {
	if n := numberField(r, field); n != nil {
		v, err := rediskit.ParseInt(value)
		*n = v
		if field == "deadline" {
			*n += r.Shift
		}
		return err
	}
	switch field {
	case "sid":
		r.SID = value
	case "presence":
		r.Presence = session.Presence(value)
	case "reason":
		r.Reason = value
	case "name":
		r.Name = value
	case "provider":
		r.Provider = value
	case "profile":
		r.Durable = value == "durable"
	case "healed":
		r.Healed = value == "1"
	default:
		return setEntry(r, field, value)
	}
	return nil
}

func numberField(r *session.Record, field string) *int64 {
	switch field {
	case "v":
		return &r.V
	case "prev":
		return &r.Prev
	case "epoch":
		return &r.Epoch
	case "since":
		return &r.Since
	case "deadline":
		return &r.Deadline
	case "seen":
		return &r.Seen
	case "read":
		return &r.Read
	case "reach":
		return &r.Reach
	default:
		return nil
	}
}

// setEntry reads a connection ("c:<id>") or a place ("p:<kind>:<slot>").
// Fields of a newer version are left alone.
func setEntry(r *session.Record, field, value string) error {
	if id, ok := strings.CutPrefix(field, "c:"); ok {
		parts := strings.SplitN(value, " ", 3)
		if len(parts) != 3 {
			return fmt.Errorf("connection %q is malformed", value)
		}
		lease, err := rediskit.ParseInt(parts[0])
		r.Connections = append(r.Connections, session.Connection{
			ID: session.ConnectionID(id), Lease: lease, Full: parts[1] == "1", Node: parts[2],
		})
		return err
	}
	if rest, ok := strings.CutPrefix(field, "p:"); ok {
		return setPlace(r, rest, value)
	}
	return nil
}

func setPlace(r *session.Record, field, value string) error {
	kind, slot, _ := strings.Cut(field, ":")
	parts := strings.SplitN(value, " ", 4)
	if len(parts) != 4 {
		return fmt.Errorf("place %q is malformed", value)
	}
	v, err := rediskit.ParseInt(parts[1])
	if err != nil {
		return err
	}
	notAfter, err := rediskit.ParseInt(parts[2])
	r.Places = append(r.Places, session.Place{
		Kind: session.Kind(kind), Slot: slot, ID: parts[0], V: v, NotAfter: notAfter, Copy: parts[3],
	})
	return err
}
