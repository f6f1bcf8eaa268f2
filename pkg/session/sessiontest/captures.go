package sessiontest

import (
	"embed"
	"strconv"
	"strings"
	"testing"

	"github.com/holdfast-games/holdfast/pkg/session"
)

// races are webhook streams of a real EMQX 5.8.9 while 200 clients took over
// from each other, dropped and raced (60 of them are kept), in the order of
// arrival. A line is "<player> <epoch> <connected_at> <peername> <what>"; what
// is "connected", the reason of a disconnect, or "listed": the broker's own
// list at the end.
//
//go:embed testdata/races-*.txt
var races embed.FS

type capture struct {
	events []capturedEvent
	truth  map[string][]session.ConnectionID
}

type capturedEvent struct {
	player string
	id     session.ConnectionID
	reason string // "" = connected
}

func captures(tb testing.TB) []capture {
	tb.Helper()
	var all []capture
	for _, name := range []string{"races-21.txt", "races-22.txt", "races-23.txt"} {
		text, err := races.ReadFile("testdata/" + name)
		if err != nil {
			tb.Fatalf("read the capture: %v", err)
		}
		all = append(all, parseCapture(tb, string(text)))
	}
	return all
}

func parseCapture(tb testing.TB, text string) capture {
	tb.Helper()
	c := capture{truth: map[string][]session.ConnectionID{}}
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) != 5 {
			tb.Fatalf("malformed line of a capture: %q", line)
		}
		epoch, epochErr := strconv.ParseInt(words[1], 10, 64)
		at, atErr := strconv.ParseInt(words[2], 10, 64)
		if epochErr != nil || atErr != nil {
			tb.Fatalf("malformed line of a capture: %q", line)
		}
		e := capturedEvent{player: words[0], id: session.NewConnectionID(epoch, at, words[3]), reason: words[4]}
		switch e.reason {
		case "listed":
			c.truth[e.player] = append(c.truth[e.player], e.id)
			continue
		case "connected":
			e.reason = ""
		}
		if c.truth[e.player] == nil {
			c.truth[e.player] = []session.ConnectionID{}
		}
		c.events = append(c.events, e)
	}
	return c
}
