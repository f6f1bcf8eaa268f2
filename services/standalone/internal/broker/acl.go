package broker

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// access is one thing a client wants to do.
type access struct {
	publish bool
	topic   string // topic name, or topic filter without its share group
	qos     byte
	retain  bool
}

// rule is one entry of the acl list that came with a login.
type rule struct {
	allow     bool
	publish   bool
	subscribe bool
	topics    []string // templates, possibly with the prefix "eq "
	qos       []byte
	retain    *bool // nil = both
}

// readRules reads an acl list. One bad rule spoils the list. Unknown fields are ignored.
func readRules(list []any) ([]rule, error) {
	rules := make([]rule, 0, len(list))
	for i, raw := range list {
		m, ok := raw.(map[string]any)
		if !ok {
			return nil, fmt.Errorf("acl rule %d is not an object", i)
		}
		r, err := readRule(m)
		if err != nil {
			return nil, fmt.Errorf("acl rule %d: %w", i, err)
		}
		rules = append(rules, r)
	}
	return rules, nil
}

func readRule(m map[string]any) (rule, error) {
	var r rule
	switch m["permission"] {
	case "allow":
		r.allow = true
	case "deny":
	default:
		return rule{}, fmt.Errorf("permission %v", m["permission"])
	}
	switch m["action"] {
	case "publish", "pub":
		r.publish = true
	case "subscribe", "sub":
		r.subscribe = true
	case "all":
		r.publish, r.subscribe = true, true
	default:
		return rule{}, fmt.Errorf("action %v", m["action"])
	}
	var err error
	if r.topics, err = readTopics(m); err != nil {
		return rule{}, err
	}
	if r.qos, err = readQoS(m); err != nil {
		return rule{}, err
	}
	r.retain, err = readRetain(m)
	return r, err
}

func readTopics(m map[string]any) ([]string, error) {
	if one, ok := m["topic"].(string); ok {
		return []string{one}, nil
	}
	many, ok := m["topics"].([]any)
	if !ok {
		return nil, fmt.Errorf("topic %v, topics %v", m["topic"], m["topics"])
	}
	topics := make([]string, 0, len(many))
	for _, t := range many {
		s, ok := t.(string)
		if !ok {
			return nil, fmt.Errorf("topics: %v is not a string", t)
		}
		topics = append(topics, s)
	}
	return topics, nil
}

func readQoS(m map[string]any) ([]byte, error) {
	raw, ok := m["qos"]
	if !ok {
		return []byte{0, 1, 2}, nil
	}
	var items []any
	switch v := raw.(type) {
	case []any:
		items = v
	case string:
		for part := range strings.SplitSeq(v, ",") {
			items = append(items, strings.TrimSpace(part))
		}
	default:
		items = []any{v}
	}
	var qos []byte
	for _, item := range items {
		text, _ := item.(string)
		if n, ok := item.(json.Number); ok {
			text = n.String()
		}
		n, err := strconv.ParseUint(text, 10, 8)
		if err != nil || n > 2 {
			return nil, fmt.Errorf("qos %v", raw)
		}
		qos = append(qos, byte(n))
	}
	return qos, nil
}

func readRetain(m map[string]any) (*bool, error) {
	raw, ok := m["retain"]
	if !ok {
		return nil, nil //nolint:nilnil // nil is the value for "both"
	}
	text := fmt.Sprint(raw)
	switch text {
	case "all":
		return nil, nil //nolint:nilnil // nil is the value for "both"
	case "true", "1":
		return new(true), nil
	case "false", "0":
		return new(false), nil
	default:
		return nil, fmt.Errorf("retain %v", raw)
	}
}

// verdict is what a list of rules says about an access.
type verdict int

const (
	noMatch verdict = iota
	denied
	allowed
)

// judge returns the verdict of the first rule that matches.
func judge(rules []rule, vars map[string]string, a access) verdict {
	for _, r := range rules {
		if !r.matches(vars, a) {
			continue
		}
		if r.allow {
			return allowed
		}
		return denied
	}
	return noMatch
}

func (r rule) matches(vars map[string]string, a access) bool {
	if a.publish && !r.publish || !a.publish && !r.subscribe || !slices.Contains(r.qos, a.qos) {
		return false
	}
	if a.publish && r.retain != nil && *r.retain != a.retain {
		return false
	}
	return slices.ContainsFunc(r.topics, func(t string) bool {
		filter, literal := strings.CutPrefix(t, "eq ")
		filter, ok := fill(filter, vars)
		if !ok {
			return false
		}
		return literal && filter == a.topic || !literal && covers(filter, a.topic)
	})
}

// fill replaces ${name} by its value. A value that is missing or could change the filter's meaning makes the rule
// match nothing; an unknown placeholder stays as it is.
func fill(template string, vars map[string]string) (string, bool) {
	var out strings.Builder
	for {
		before, rest, found := strings.Cut(template, "${")
		out.WriteString(before)
		if !found {
			return out.String(), true
		}
		name, after, closed := strings.Cut(rest, "}")
		if !closed {
			out.WriteString("${" + rest)
			return out.String(), true
		}
		template = after
		value, known := vars[name]
		switch {
		case !known && !isPlaceholder(name):
			out.WriteString("${" + name + "}")
		case !known || value == "" || strings.ContainsAny(value, "+#/"):
			return "", false
		default:
			out.WriteString(value)
		}
	}
}

func isPlaceholder(name string) bool {
	return name == "clientid" || name == "username" || strings.HasPrefix(name, "client_attrs.")
}

// covers compares a rule's filter with a requested topic or filter, level by level. As in EMQX a + in the rule takes
// any level, a requested # included: "room/+" admits a subscription to "room/#".
func covers(filter, requested string) bool {
	want := strings.Split(filter, "/")
	have := strings.Split(requested, "/")
	if strings.HasPrefix(requested, "$") && (want[0] == "+" || want[0] == "#") {
		return false
	}
	for i, w := range want {
		if w == "#" && i == len(want)-1 {
			return true
		}
		if i >= len(have) || w != "+" && w != have[i] {
			return false
		}
	}
	return len(have) == len(want)
}
