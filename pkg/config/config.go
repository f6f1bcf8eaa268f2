// Package config reads the settings of a service from the environment into one
// documented struct: HOLDFAST_ names, Go duration syntax, and for every secret
// a twin that ends in _FILE and names a file to read it from.
package config

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"

	"github.com/caarlos0/env/v11"

	"github.com/holdfast-games/holdfast/pkg/secret"
)

// Prefix begins the name of every variable.
const Prefix = "HOLDFAST_"

// Environ is a set of variables by full name.
type Environ map[string]string

// OS returns the environment of the process.
func OS() Environ {
	e := Environ{}
	for _, kv := range os.Environ() {
		k, v, _ := strings.Cut(kv, "=")
		e[k] = v
	}
	return e
}

// With returns a copy of e with more variables, named without the prefix.
func (e Environ) With(vars map[string]string) Environ {
	c := make(Environ, len(e)+len(vars))
	maps.Copy(c, e)
	for k, v := range vars {
		c[Prefix+k] = v
	}
	return c
}

// Parse fills a T from e. Fields carry `env:"NAME"`, `envDefault:"…"` and
// `doc:"…"`. Errors name the variable, never its value when it is a secret.
func Parse[T any](e Environ) (T, error) {
	var t T
	resolved, err := readFiles(reflect.TypeFor[T](), e)
	if err != nil {
		return t, err
	}
	err = env.ParseWithOptions(&t, env.Options{Prefix: Prefix, Environment: resolved})
	if err != nil {
		return t, fmt.Errorf("settings: %w", byVariable(reflect.TypeFor[T](), err))
	}
	return t, nil
}

// byVariable names the variable where the parser names the field.
func byVariable(t reflect.Type, err error) error {
	var all env.AggregateError
	if !errors.As(err, &all) {
		return err
	}
	mistakes := slices.Clone(all.Errors)
	for i, mistake := range mistakes {
		var parse env.ParseError
		if !errors.As(mistake, &parse) {
			continue
		}
		for _, f := range fields(t) {
			if f.goName == parse.Name {
				mistakes[i] = fmt.Errorf("%s%s: %w", Prefix, f.name, parse.Err)
			}
		}
	}
	return errors.Join(mistakes...)
}

// readFiles sets every secret that is given as a file.
func readFiles(t reflect.Type, e Environ) (Environ, error) {
	resolved := e.With(nil)
	for _, f := range fields(t) {
		name := Prefix + f.name
		path, ok := e[name+"_FILE"]
		if !f.secret || !ok || path == "" {
			continue
		}
		if e[name] != "" {
			return nil, fmt.Errorf("settings: both %s and %s_FILE are set", name, name)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("settings: %s_FILE: %w", name, err)
		}
		resolved[name] = strings.TrimRight(string(b), "\r\n")
	}
	return resolved, nil
}

type field struct {
	name, fallback, doc string
	goName              string
	secret              bool
}

// fields lists the settings of a struct and of the structs inside it.
func fields(t reflect.Type) []field {
	var all []field
	for f := range t.Fields() {
		name := f.Tag.Get("env")
		if name == "" && f.Type.Kind() == reflect.Struct {
			all = append(all, fields(f.Type)...)
			continue
		}
		if name == "" {
			continue
		}
		name, _, _ = strings.Cut(name, ",")
		all = append(all, field{
			name: name, fallback: f.Tag.Get("envDefault"), doc: f.Tag.Get("doc"), goName: f.Name,
			secret: f.Type == reflect.TypeFor[secret.Secret](),
		})
	}
	return all
}

// Table renders the settings of T as a Markdown table.
func Table[T any]() string {
	var b strings.Builder
	b.WriteString("| variable | default | meaning |\n|---|---|---|\n")
	for _, f := range fields(reflect.TypeFor[T]()) {
		fallback := ""
		if f.fallback != "" {
			fallback = "`" + f.fallback + "`"
		}
		doc := f.doc
		if f.secret {
			doc += " (secret; or `" + Prefix + f.name + "_FILE`)"
		}
		fmt.Fprintf(&b, "| `%s%s` | %s | %s |\n", Prefix, f.name, fallback, doc)
	}
	return b.String()
}

// Names lists the variables T reads, _FILE twins included.
func Names[T any]() []string {
	var names []string
	for _, f := range fields(reflect.TypeFor[T]()) {
		names = append(names, Prefix+f.name)
		if f.secret {
			names = append(names, Prefix+f.name+"_FILE")
		}
	}
	return names
}
