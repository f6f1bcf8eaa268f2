package rules

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"
)

//go:embed default.yaml
var defaults []byte

// Default returns the rules of a deployment that brings none.
func Default() (Set, error) { return Parse(defaults) }

// Limits of what a file may ask for.
const (
	maxFile     = 1 << 20 // bytes
	maxQueues   = 1000
	maxPlayers  = 64
	maxRating   = 1_000_000
	maxTime     = 24 * time.Hour
	maxEqual    = 16
	maxAttrName = 64
)

// DefaultDuration is the MaxDuration of a queue that sets none.
const DefaultDuration = 2 * time.Hour

type file struct {
	Queues map[string]queueYAML `yaml:"queues"`
}

type queueYAML struct {
	Players     yaml.Node      `yaml:"players"` // a number, or {min, max}
	FillTime    string         `yaml:"fillTime"`
	Rating      *windowYAML    `yaml:"rating"`
	Attributes  attributesYAML `yaml:"attributes"`
	MaxDuration string         `yaml:"maxDuration"`
}

type windowYAML struct {
	Window int64  `yaml:"window"`
	Grow   int64  `yaml:"grow"`
	Every  string `yaml:"every"`
	Cap    int64  `yaml:"cap"`
}

type attributesYAML struct {
	Equal []string `yaml:"equal"`
}

// Parse reads a file of rules. Unknown fields are errors, and every error
// names the line.
func Parse(text []byte) (Set, error) {
	if len(text) > maxFile {
		return Set{}, fmt.Errorf("queues: the file is larger than %d bytes", maxFile)
	}
	var f file
	var doc yaml.Node
	if err := yaml.Load(text, &f, yaml.WithKnownFields()); err != nil {
		return Set{}, fmt.Errorf("queues: %w", err)
	}
	if err := yaml.NewDecoder(bytes.NewReader(text)).Decode(&doc); err != nil {
		return Set{}, fmt.Errorf("queues: %w", err)
	}
	if len(f.Queues) == 0 || len(f.Queues) > maxQueues {
		return Set{}, fmt.Errorf("queues: line 1: there must be 1 to %d queues", maxQueues)
	}
	set := Set{queues: make(map[string]Queue, len(f.Queues))}
	var problems []error
	for name, y := range f.Queues {
		q, err := y.queue(name)
		if err != nil {
			problems = append(problems, fmt.Errorf("queues: line %d: queue %q: %w", line(&doc, name, fieldOf(err)), name, err))
		}
		set.queues[name] = q
	}
	if len(problems) > 0 {
		return Set{}, errors.Join(problems...)
	}
	return set, nil
}

// fieldError is a problem with one field of a queue.
type fieldError struct{ field, text string }

func (e *fieldError) Error() string { return strings.TrimPrefix(e.field+": "+e.text, ": ") }

func wrong(field, format string, args ...any) error {
	return &fieldError{field, fmt.Sprintf(format, args...)}
}

func fieldOf(err error) string {
	if e, ok := errors.AsType[*fieldError](err); ok {
		return e.field
	}
	return ""
}

func (y queueYAML) queue(name string) (Queue, error) {
	q := Queue{Name: name, Equal: y.Attributes.Equal, MaxDuration: DefaultDuration}
	if !ValidName(name) {
		return q, wrong("", "a name is 1 to %d letters, digits, '-' and '_', with single ':' between them", maxName)
	}
	var err error
	if q.Min, q.Max, err = players(y.Players); err != nil {
		return q, err
	}
	if q.FillTime, err = duration("fillTime", y.FillTime, 0); err != nil {
		return q, err
	}
	if q.MaxDuration, err = duration("maxDuration", y.MaxDuration, DefaultDuration); err != nil {
		return q, err
	}
	switch {
	case q.MaxDuration < time.Second:
		return q, wrong("maxDuration", "must be at least 1s")
	case q.Min < q.Max && q.FillTime == 0:
		return q, wrong("players", "min below max needs a fillTime: how long to wait for more")
	case q.Min == q.Max && q.FillTime != 0:
		return q, wrong("fillTime", "means nothing where min equals max")
	case len(q.Equal) > maxEqual:
		return q, wrong("attributes", "more than %d names", maxEqual)
	}
	for _, attribute := range q.Equal {
		if attribute == "" || len(attribute) > maxAttrName {
			return q, wrong("attributes", "%q is not a name of 1 to %d bytes", attribute, maxAttrName)
		}
	}
	q.Rating, err = y.Rating.window(q)
	return q, err
}

func players(node yaml.Node) (least, most int, err error) {
	var both struct {
		Min int `yaml:"min"`
		Max int `yaml:"max"`
	}
	switch node.Kind {
	case yaml.ScalarNode:
		if err := node.Decode(&most); err != nil {
			return 0, 0, wrong("players", "is not a number")
		}
		least = most
	case yaml.MappingNode:
		for i := 0; i < len(node.Content); i += 2 {
			if key := node.Content[i].Value; key != "min" && key != "max" {
				return 0, 0, wrong("players", "unknown field %q", key)
			}
		}
		if err := node.Decode(&both); err != nil {
			return 0, 0, wrong("players", "min and max are numbers")
		}
		least, most = both.Min, both.Max
	default:
		return 0, 0, wrong("players", "is missing: a number, or {min, max}")
	}
	if least < 2 || most < least || most > maxPlayers {
		return 0, 0, wrong("players", "must be 2 to %d, and min no more than max", maxPlayers)
	}
	return least, most, nil
}

func duration(field, text string, fallback time.Duration) (time.Duration, error) {
	if text == "" {
		return fallback, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < time.Millisecond || d > maxTime {
		return 0, wrong(field, "%q is not a duration from 1ms to 24h, such as 15s", text)
	}
	return d, nil
}

func (y *windowYAML) window(q Queue) (*Window, error) {
	if y == nil {
		return nil, nil //nolint:nilnil // no window is a rule, too
	}
	every, err := duration("rating", y.Every, time.Second)
	switch {
	case err != nil:
		return nil, err
	case q.Max != 2:
		return nil, wrong("rating", "works for two players only")
	case y.Window < 0 || y.Grow < 0 || y.Cap < 0 || max(y.Window, y.Grow, y.Cap) > maxRating:
		return nil, wrong("rating", "window, grow and cap must be 0 to %d", maxRating)
	case y.Grow > 0 && y.Every == "":
		return nil, wrong("rating", "grow needs every: how long it takes to grow by that")
	case y.Grow > 0 && y.Cap < y.Window:
		return nil, wrong("rating", "cap must be at least window")
	}
	return &Window{Start: y.Window, Grow: y.Grow, Every: every, Cap: max(y.Cap, y.Window)}, nil
}

// line finds where a queue, or a field of it, is set.
func line(doc *yaml.Node, queue, field string) int {
	node := doc
	for node.Kind == yaml.DocumentNode && len(node.Content) > 0 {
		node = node.Content[0]
	}
	at := 1
	for _, key := range []string{"queues", queue, field} {
		found := false
		for i := 0; node != nil && node.Kind == yaml.MappingNode && i+1 < len(node.Content) && !found; i += 2 {
			if node.Content[i].Value == key {
				at, found = node.Content[i].Line, true
				node = node.Content[i+1]
			}
		}
		if !found {
			break
		}
		if node.Kind == yaml.AliasNode {
			node = node.Alias
		}
	}
	return at
}
