// Package readme holds generated parts of hand-written Markdown to what the
// code says. A part lies between two comments:
//
//	<!-- settings: generated, go test -run TestReadme -update -->
//	…
//	<!-- end of settings -->
package readme

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the generated parts of Markdown files again")

// Check fails the test unless the part of the file that marker names is
// content. Run with -update, it writes the part instead.
func Check(tb testing.TB, path, marker, content string) {
	tb.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		tb.Fatalf("read the document: %v", err)
	}
	wanted, err := replace(string(text), marker, content)
	switch {
	case err != nil:
		tb.Fatalf("%s: %v", path, err)
	case wanted == string(text):
	case !*update:
		tb.Fatalf("%s: the part %q is out of date; run go test -update here. It should be:\n%s", path, marker, content)
	default:
		write(tb, path, wanted)
	}
}

func write(tb testing.TB, path, text string) {
	tb.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		tb.Fatalf("write the document: %v", err)
	}
}

// replace returns text with content between the two lines that marker names.
func replace(text, marker, content string) (string, error) {
	begin, end := "<!-- "+marker+": generated, go test -run TestReadme -update -->\n", "<!-- end of "+marker+" -->"
	before, rest, found := strings.Cut(text, begin)
	if !found {
		return "", fmt.Errorf("there is no line %q", begin)
	}
	_, after, found := strings.Cut(rest, end)
	if !found {
		return "", fmt.Errorf("there is no line %q after %q", end, begin)
	}
	return before + begin + "\n" + strings.TrimRight(content, "\n") + "\n\n" + end + after, nil
}
