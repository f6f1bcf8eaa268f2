package holdfast

import (
	"os"
	"strings"
	"testing"
	"testing/fstest"
)

// A rule is one thing that is true of every file here. It is a function from
// the source to complaints, so that it can be tried on a few lines of text.
type rule struct {
	name  string
	check func(*source) []string
	good  []string  // archives that the rule accepts
	bad   []breaker // archives that it refuses
}

// A breaker is an archive with one fault, and words of the complaint it earns.
type breaker struct{ archive, want string }

func rules() []rule {
	return []rule{
		importsRule(), packageCommentRule(), packageNameRule(), sleepRule(), clockRule(), globalsRule(), initRule(), exitRule(),
		fileSizeRule(), functionSizeRule(), luaHeaderRule(), luaDialectRule(), keyCommentRule(), keyDocRule(),
		moduleRule(), workspaceRule(), machineRule(),
	}
}

// TestHouse holds the repository to every rule.
func TestHouse(t *testing.T) {
	src, err := load(os.DirFS("."))
	if err != nil {
		t.Fatal(err)
	}
	if len(src.goFiles) == 0 {
		t.Fatal("no Go files found: the rules looked at nothing")
	}
	for _, r := range rules() {
		t.Run(r.name, func(t *testing.T) {
			for _, complaint := range r.check(src) {
				t.Error(complaint)
			}
		})
	}
}

// TestEveryRuleCanFail proves that each rule refuses what it is there for.
func TestEveryRuleCanFail(t *testing.T) {
	for _, r := range rules() {
		t.Run(r.name, func(t *testing.T) {
			if len(r.bad) == 0 {
				t.Error("nothing shows that this rule can fail")
			}
			for _, archive := range r.good {
				if got := r.check(unpack(t, archive)); len(got) != 0 {
					t.Errorf("refused\n%s\n%s", archive, strings.Join(got, "\n"))
				}
			}
			for _, b := range r.bad {
				got := r.check(unpack(t, b.archive))
				if len(got) != 1 || !strings.Contains(got[0], b.want) {
					t.Errorf("got %q, want one complaint with %q, of\n%s", got, b.want, b.archive)
				}
			}
		})
	}
}

// unpack reads an archive: each file starts with a line "== path".
func unpack(t *testing.T, archive string) *source {
	t.Helper()
	files, path := fstest.MapFS{}, ""
	for line := range strings.Lines(archive) {
		if name, ok := strings.CutPrefix(strings.TrimSpace(line), "== "); ok {
			path = name
			files[path] = &fstest.MapFile{}
			continue
		}
		if path != "" {
			files[path].Data = append(files[path].Data, line...)
		}
	}
	src, err := load(files)
	if err != nil {
		t.Fatal(err)
	}
	return src
}
