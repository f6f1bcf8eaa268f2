package holdfast

import (
	"path"
	"regexp"
	"slices"
	"strings"
)

// module is what the rules read of a go.mod.
type module struct {
	path     string            // of the file
	name     string            // the module path
	goLine   string            // the version of the language
	requires map[string]string // siblings and their versions
	replaces map[string]string // siblings and the folders that stand for them
}

func (m module) dir() string { return path.Dir(m.path) }

// isTool tells the modules that pin tools, which the workspace leaves out:
// their versions must not become those of the program.
func (m module) isTool() bool { return matches(`^tools(/|$)`, m.dir()) }

func moduleRule() rule {
	const root = "== go.mod\nmodule " + modulePath + "\n\ngo 1.26.0\n"
	const child = "== services/a/go.mod\nmodule " + modulePath + "/services/a\n\ngo 1.26.0\n\n" +
		"require " + modulePath + "/pkg v0.0.0\n\nreplace " + modulePath + "/pkg => ../../pkg\n"
	return rule{
		name:  "modules are alike",
		check: checkModules,
		good:  []string{root + child},
		bad: []breaker{
			{root + strings.Replace(child, "go 1.26.0", "go 1.25", 1), "go 1.25, and the root says 1.26.0"},
			{root + strings.Replace(child, "v0.0.0", "v0.1.0", 1), "at v0.1.0"},
			{root + strings.Replace(child, "=> ../../pkg", "=> ../pkg", 1), `by "../pkg"`},
			{root + strings.Replace(child, "replace", "// replace", 1), `by ""`},
			{root + strings.Replace(child, "services/a\n", "services/b\n", 1), "is not its folder"},
		},
	}
}

func checkModules(s *source) []string {
	all := modules(s)
	var complaints []string
	complain := func(m module, words ...string) {
		complaints = append(complaints, m.path+": "+strings.Join(words, ""))
	}
	for _, m := range all {
		if m.name != path.Join(modulePath, m.dir()) {
			complain(m, m.name, " is not its folder")
		}
		if want := all[0].goLine; m.goLine != want {
			complain(m, "go ", m.goLine, ", and the root says ", want)
		}
		for sibling, version := range m.requires {
			if version != "v0.0.0" {
				complain(m, "requires ", sibling, " at ", version, ": the siblings are always those of this commit, v0.0.0")
			}
			if got := m.replaces[sibling]; path.Join(modulePath, m.dir(), got) != sibling {
				complain(m, "replaces ", sibling, ` by "`, got, `", not by its folder: without it the module does not build alone`)
			}
		}
	}
	return complaints
}

func workspaceRule() rule {
	const work = "== go.work\ngo 1.26.0\n\nuse (\n\t.\n\t./pkg\n)\n"
	const root = "== go.mod\nmodule " + modulePath + "\n"
	const pkg = "== pkg/go.mod\nmodule " + modulePath + "/pkg\n"
	const tools = "== tools/lint/go.mod\nmodule " + modulePath + "/tools/lint\n"
	return rule{
		name:  "the workspace is complete",
		check: checkWorkspace,
		good:  []string{work + root + pkg + tools},
		bad: []breaker{
			{work + root + pkg + strings.ReplaceAll(pkg, "pkg", "proto"), "proto/go.mod: not in go.work"},
			{work + root + pkg + "== tools/go.mod\nmodule x\n" + strings.Replace(work, "./pkg", "./pkg\n\t./tools", 1), "tools/go.mod: in go.work"},
			{work + root, "uses ./pkg, which is not a module"},
		},
	}
}

func checkWorkspace(s *source) []string {
	text, ok := s.file("go.work")
	if !ok {
		return []string{"go.work: missing"}
	}
	var used, complaints []string
	for line := range strings.Lines(text) {
		if dir := strings.TrimSpace(line); dir == "." || strings.HasPrefix(dir, "./") {
			used = append(used, path.Clean(dir))
		}
	}
	for _, m := range modules(s) {
		switch isUsed := slices.Contains(used, m.dir()); {
		case isUsed && m.isTool():
			complaints = append(complaints, m.path+": in go.work: the versions of tools must not become ours")
		case !isUsed && !m.isTool():
			complaints = append(complaints, m.path+": not in go.work")
		}
		used = slices.DeleteFunc(used, func(dir string) bool { return dir == m.dir() })
	}
	for _, dir := range used {
		complaints = append(complaints, "go.work: uses ./"+dir+", which is not a module")
	}
	return complaints
}

// modules returns every module, the root first.
func modules(s *source) []module {
	var all []module
	for _, f := range s.files {
		if path.Base(f.path) == "go.mod" {
			all = append(all, parseModule(f))
		}
	}
	slices.SortFunc(all, func(a, b module) int { return strings.Compare(a.dir(), b.dir()) })
	return all
}

var (
	moduleLine  = regexp.MustCompile(`(?m)^module\s+(\S+)`)
	goLine      = regexp.MustCompile(`(?m)^go\s+(\S+)`)
	siblingLine = regexp.MustCompile(`(?m)^(?:require\s+|\t)(` + regexp.QuoteMeta(modulePath) + `\S*) (v\S+)`)
	replaceLine = regexp.MustCompile(`(?m)^(?:replace\s+|\t)(` + regexp.QuoteMeta(modulePath) + `\S*) => (\S+)`)
)

func parseModule(f textFile) module {
	m := module{path: f.path, requires: map[string]string{}, replaces: map[string]string{}}
	if found := moduleLine.FindStringSubmatch(f.text); found != nil {
		m.name = found[1]
	}
	if found := goLine.FindStringSubmatch(f.text); found != nil {
		m.goLine = found[1]
	}
	for _, found := range siblingLine.FindAllStringSubmatch(f.text, -1) {
		m.requires[found[1]] = found[2]
	}
	for _, found := range replaceLine.FindAllStringSubmatch(f.text, -1) {
		m.replaces[found[1]] = found[2]
	}
	return m
}
