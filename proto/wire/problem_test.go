package wire_test

import (
	"net/http"
	"slices"
	"testing"

	"github.com/holdfast-games/holdfast/proto/internal/wiretest"
	"github.com/holdfast-games/holdfast/proto/wire"
)

func TestEveryCodeHasAMeaning(t *testing.T) {
	t.Parallel()
	titles := map[string]wire.Code{}
	for _, text := range wiretest.Constants(t, "Code") {
		code := wire.Code(text)
		if !code.Known() || !slices.Contains(wire.Codes(), code) {
			t.Errorf("constant %q is not in the list", code)
			continue
		}
		if code.Status() < 400 || http.StatusText(code.Status()) == "" {
			t.Errorf("%q has status %d", code, code.Status())
		}
		if other, taken := titles[code.Title()]; taken || code.Title() == "" {
			t.Errorf("%q has the title %q, and so has %q", code, code.Title(), other)
		}
		titles[code.Title()] = code
	}
	if len(wire.Codes()) != len(titles) {
		t.Errorf("%d codes in the list, %d constants", len(wire.Codes()), len(titles))
	}
}

func TestNewProblem(t *testing.T) {
	t.Parallel()
	if got := wire.NewProblem(wire.CodeUnknownQueue, "no queue is called x"); got != (wire.Problem{
		Type: "urn:holdfast:problem:unknown_queue", Title: "Unknown queue", Status: 404,
		Detail: "no queue is called x", Code: wire.CodeUnknownQueue, Error: "no queue is called x",
	}) {
		t.Errorf("got %+v", got)
	}
	if got := wire.NewProblem(wire.CodeUnknownQueue, ""); got.Detail != "Unknown queue" || got.Error != got.Detail {
		t.Errorf("without a detail: %+v", got)
	}
	if got := wire.NewProblem("made_up", "x"); got.Code != wire.CodeInternal || got.Status != 500 {
		t.Errorf("an unlisted code crosses the wire: %+v", got)
	}
}

func TestUnlistedCodeMeansInternal(t *testing.T) {
	t.Parallel()
	for _, code := range []wire.Code{"", "made_up"} {
		if code.Known() || code.Status() != wire.CodeInternal.Status() || code.Title() != wire.CodeInternal.Title() {
			t.Errorf("%q: known %v, status %d, title %q", code, code.Known(), code.Status(), code.Title())
		}
	}
}
