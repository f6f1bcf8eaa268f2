package readme

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const (
	begin    = "<!-- x: generated, go test -run TestReadme -update -->\n"
	end      = "<!-- end of x -->"
	document = "# A\n\n" + begin + "\nold\n\n" + end + "\n\nEnd.\n"
)

// judge returns how Check ended the test, "" when it did not.
func judge(t *testing.T, path, marker, content string) string {
	t.Helper()
	v := &verdict{TB: t}
	func() {
		defer func() {
			if r := recover(); r != nil && r != any(v) {
				panic(r)
			}
		}()
		Check(v, path, marker, content)
	}()
	return v.failed
}

type verdict struct {
	testing.TB
	failed string
}

func (v *verdict) Helper() {}

func (v *verdict) Fatalf(format string, args ...any) {
	v.failed = fmt.Sprintf(format, args...)
	panic(v)
}

func newDocument(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "README.md")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func setUpdate(t *testing.T, on bool) {
	t.Helper()
	before := *update
	*update = on
	t.Cleanup(func() { *update = before })
}

func TestCheckComparesThePart(t *testing.T) {
	setUpdate(t, false)
	path := newDocument(t, document)
	if got := judge(t, path, "x", "old\n"); got != "" {
		t.Errorf("the part is as it should be: %s", got)
	}
	if got := judge(t, path, "x", "new\n"); !strings.Contains(got, "new") || !strings.Contains(got, "-update") {
		t.Errorf("an outdated part: %q, want what it should be and how to write it", got)
	}
	if after, err := os.ReadFile(path); err != nil || string(after) != document {
		t.Errorf("the document was changed: %q, %v", after, err)
	}
}

func TestUpdateWritesThePartAndNothingElse(t *testing.T) {
	setUpdate(t, true)
	path := newDocument(t, document)
	if got := judge(t, path, "x", "| new |\n| one |\n"); got != "" {
		t.Fatal(got)
	}
	after, err := os.ReadFile(path)
	if want := strings.Replace(document, "old", "| new |\n| one |", 1); err != nil || string(after) != want {
		t.Errorf("%q, %v; want %q", after, err, want)
	}
}

func TestCheckNeedsBothMarks(t *testing.T) {
	for _, text := range []string{
		"", begin + "\nold\n", "\nold\n\n" + end, end + "\nold\n" + begin, strings.ReplaceAll(document, "x", "y"),
	} {
		if got := judge(t, newDocument(t, text), "x", "old"); got == "" {
			t.Errorf("%q passed", text)
		}
	}
	if got := judge(t, filepath.Join(t.TempDir(), "none.md"), "x", "old"); got == "" {
		t.Error("a missing document passed")
	}
}
