package redisstore

import (
	"fmt"
	"strings"

	"github.com/holdfast-games/holdfast/pkg/outbox"
	"github.com/holdfast-games/holdfast/pkg/rediskit"
	"github.com/holdfast-games/holdfast/pkg/session"
)

// Spoil replaces text in one script, or in the prelude of all, of a store with
// a test clock. It fails unless the text is there exactly once.
func (s *Store) Spoil(settings session.Settings, script, old, replacement string) error {
	found := 0
	read := func(name string) string {
		source, err := sources.ReadFile("scripts/" + name + ".lua")
		if err != nil {
			return ""
		}
		text := string(source)
		if name == script {
			found = strings.Count(text, old)
			text = strings.Replace(text, old, replacement, 1)
		}
		return text
	}
	prelude := read("_prelude")
	for name, verb := range s.scripts.verbs() {
		parts := []string{givenTime, settingsTable(settings), outbox.Lua, prelude, read(name)}
		if name == "amnesty" || name == "beat" {
			parts = []string{givenTime, settingsTable(settings), read(name)}
		}
		*verb = rediskit.NewScript("session."+name, parts...)
	}
	if found != 1 {
		return fmt.Errorf("%s.lua has %q %d times", script, old, found)
	}
	return nil
}

func (a *scripts) verbs() map[string]**rediskit.Script {
	return map[string]**rediskit.Script{
		"ensure": &a.ensure, "begin": &a.begin, "connected": &a.connected, "disconnected": &a.disconnected, "lost": &a.lost,
		"due": &a.due, "amnesty": &a.amnesty, "beat": &a.beat, "reserve": &a.reserve, "confirm": &a.confirm, "note": &a.note,
		"release": &a.release, "repeat": &a.repeat, "end": &a.end, "announce": &a.announce, "get": &a.get,
	}
}
