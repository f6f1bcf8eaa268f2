package holdfast

import (
	"fmt"
	"go/ast"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

var luaSections = []string{"KEYS", "ARGV", "Returns", "Clock", "Guarantee"}

var (
	luaSection  = regexp.MustCompile(`(?i)^(` + strings.Join(luaSections, "|") + `)\b:?`)
	luaArgument = regexp.MustCompile(`\b(KEYS|ARGV)\[(\d+)\]`)
	numbers     = regexp.MustCompile(`(\d+)(?:\s*(?:-|–|\.\.)\s*(\d+))?`)
)

func luaHeaderRule() rule {
	const header = "-- x: moves a thing.\n-- KEYS: 1 thing\n-- ARGV: 1 player, 2-4 facts\n-- Returns: 1\n-- Clock: Redis TIME\n-- Guarantee: once\n"
	return rule{
		name:  "scripts say what they promise",
		check: checkLuaHeaders,
		good: []string{
			"== a/x.lua\n" + header + "return KEYS[1] .. ARGV[3]\n",
			"== a/_prelude.lua\n-- Shared by every script.\nlocal x = KEYS[9]\n",
			"== a/append.lua\n-- Prelude for whoever appends.\nlocal x = 1\n",
			"== a/x.lua\n" + strings.Replace(header, "1 thing", "as in the prelude", 1) + "return KEYS[7]\n",
		},
		bad: []breaker{
			{"== a/x.lua\n" + strings.Replace(header, "Clock", "Watch", 1) + "return 1\n", "no line for Clock"},
			{"== a/x.lua\n" + header + "return ARGV[5]\n", "ARGV[5]"},
			{"== a/x.lua\n" + header + "return KEYS[2]\n", "KEYS[2]"},
			{"== a/_prelude.lua\nlocal x = 1\n", "no comment"},
		},
	}
}

func checkLuaHeaders(s *source) []string {
	var complaints []string
	for _, f := range s.files {
		if path.Ext(f.path) != ".lua" {
			continue
		}
		header, body := splitLua(f.text)
		prelude := strings.HasPrefix(path.Base(f.path), "_") || strings.HasPrefix(header, "Prelude")
		switch {
		case strings.TrimSpace(header) == "":
			complaints = append(complaints, f.path+": no comment says what it is for")
		case !prelude:
			complaints = append(complaints, checkLuaHeader(f.path, header, body)...)
		}
	}
	return complaints
}

func checkLuaHeader(name, header, body string) []string {
	var complaints []string
	sections := splitHeader(header)
	for _, section := range luaSections {
		if sections[section] == "" {
			complaints = append(complaints, name+": the header has no line for "+section)
		}
	}
	for _, use := range luaArgument.FindAllStringSubmatch(body, -1) {
		n, _ := strconv.Atoi(use[2])
		if text := sections[use[1]]; text != "" && !strings.Contains(text, "prelude") && !mentions(text, n) {
			complaints = append(complaints, fmt.Sprintf("%s: the header does not describe %s", name, use[0]))
		}
	}
	return complaints
}

// splitLua returns the comment a script starts with, without the dashes, and
// the rest without comments.
func splitLua(text string) (header, body string) {
	inHeader := true
	for line := range strings.Lines(text) {
		code, comment, commented := strings.Cut(line, "--")
		if inHeader = inHeader && commented && strings.TrimSpace(code) == ""; inHeader {
			header += strings.TrimSpace(comment) + "\n"
			continue
		}
		body += code + "\n"
	}
	return header, body
}

// splitHeader returns the text of each section, by the name in luaSections.
func splitHeader(header string) map[string]string {
	sections, current := map[string]string{}, ""
	for line := range strings.Lines(header) {
		if label := luaSection.FindStringSubmatch(line); label != nil {
			i := slices.IndexFunc(luaSections, func(s string) bool { return strings.EqualFold(s, label[1]) })
			current, line = luaSections[i], strings.TrimPrefix(line, label[0])
		}
		if current != "" {
			sections[current] += strings.TrimSpace(line)
		}
	}
	return sections
}

// mentions reports whether text names n or a range that holds it, as in "2-4".
func mentions(text string, n int) bool {
	return slices.ContainsFunc(numbers.FindAllStringSubmatch(text, -1), func(m []string) bool {
		from, _ := strconv.Atoi(m[1])
		to, err := strconv.Atoi(m[2])
		return n == from || err == nil && from <= n && n <= to
	})
}

// luaDialect is what the servers we run on do not share, and why.
var luaDialect = []struct{ pattern, why string }{
	{`\bcjson\b`, "miniredis and Redis disagree on bad input, empty tables and nulls: pass strings and integers"},
	{`\b(cmsgpack|struct|bit)\.`, "miniredis does not have it"},
	{`\bmath\.random\b|\bos\.(time|clock)\b`, "a script asks Redis for the time and the caller for everything else"},
	{`'H(P?EXPIRE|PEXPIREAT|EXPIREAT|SETEX|GETEX)'`, "fields have no life of their own before Redis 7.4"},
	{`'(ZRANGESTORE|ZINTERCARD|ZDIFF|BLMPOP|BITFIELD)'`, "miniredis does not have it"},
	{`\bredis\.setresp\b`, "miniredis does not have it"},
	{`'(KEYS|SCAN|FLUSHALL|FLUSHDB)'`, "a script touches the keys it was given"},
}

func luaDialectRule() rule {
	return rule{
		name: "scripts run everywhere",
		check: func(s *source) []string {
			var complaints []string
			for _, f := range s.files {
				if path.Ext(f.path) == ".lua" {
					complaints = append(complaints, checkLuaDialect(f)...)
				}
			}
			return complaints
		},
		good: []string{"== a/x.lua\n-- no cjson here\nlocal orbit = redis.call('HSET', KEYS[1], 'bit', 1)\n"},
		bad: []breaker{
			{"== a/x.lua\nreturn cjson.encode({})\n", "cjson"},
			{"== a/x.lua\nreturn redis.call('HPEXPIRE', KEYS[1], 1)\n", "'HPEXPIRE'"},
			{"== a/x.lua\nreturn redis.call(\"keys\", '*')\n", "'KEYS'"},
		},
	}
}

func checkLuaDialect(f textFile) []string {
	_, body := splitLua(f.text)
	var complaints []string
	for _, d := range luaDialect {
		text := body
		if strings.Contains(d.pattern, "'") { // a command: case and quotes do not matter
			text = strings.ToUpper(strings.ReplaceAll(body, `"`, "'"))
		}
		if found := regexp.MustCompile(d.pattern).FindString(text); found != "" {
			complaints = append(complaints, fmt.Sprintf("%s: %s: %s", f.path, found, d.why))
		}
	}
	return complaints
}

func keyCommentRule() rule {
	const keys = "== a/keys.go\npackage a\n\n// k is a key.\n// Type: hash. TTL: none. Readers: session.\nfunc k() string { return `hf:k` }\n"
	return rule{
		name:  "keys are described",
		check: checkKeyComments,
		good: []string{
			keys, "== a/keys.go\npackage a\n\nfunc signingKey() string { return `` }\n",
			"== a/parse.go\npackage a\n\nvar prefix = `hf:{`\n",
		},
		bad: []breaker{
			{strings.Replace(keys, "TTL: none. ", "", 1), `no "TTL:"`},
			{strings.Replace(keys, "`hf:k`", "shard.Key(1, `k`)", 1) + "func bare() string { return `hf:k` }\n", "no comment"},
			{strings.Replace(keys, "keys.go", "store.go", 1), "belongs in keys.go"},
			{"== a/store.go\npackage a\n\nfunc f() { get(ctx, `hf:meta`) }\n", "belongs in keys.go"},
		},
	}
}

func checkKeyComments(s *source) []string {
	return eachKey(s, func(f goFile, fn *ast.FuncDecl) []string {
		name := fn.Name.Name
		switch {
		case path.Base(f.path) != "keys.go":
			return []string{f.complain(fn.Pos(), "%s: what makes a key belongs in keys.go, where all keys of its owner are", name)}
		case fn.Doc == nil:
			return []string{f.complain(fn.Pos(), "%s: no comment says Type:, TTL: and Readers:", name)}
		}
		var complaints []string
		for _, word := range []string{"Type:", "TTL:", "Readers:"} {
			if !strings.Contains(fn.Doc.Text(), word) {
				complaints = append(complaints, f.complain(fn.Pos(), "%s: the comment has no %q", name, word))
			}
		}
		return complaints
	})
}

const keysPage = "docs/redis-keys.md"

func keyDocRule() rule {
	const keys = "== a/keys.go\npackage a\n\nfunc k(s int, p string) string { return shard.Key(s, `k:`+p+`:x`) }\n"
	const page = "== " + keysPage + "\n"
	return rule{
		name: "keys are in " + keysPage,
		check: func(s *source) []string {
			text, ok := s.file(keysPage)
			if !ok {
				return nil
			}
			return eachKey(s, func(f goFile, fn *ast.FuncDecl) []string {
				pattern := keyPattern(fn)
				if matches(pattern, text) {
					return nil
				}
				return []string{f.complain(fn.Pos(), "%s: %s has no key like %s", fn.Name.Name, keysPage, pattern)}
			})
		},
		good: []string{keys, keys + page + "| `hf:{NN}:k:<player>:x` | hash |\n"},
		bad: []breaker{
			{keys + page + "| `hf:{NN}:k:<player>:y` | hash |\n", "no key like"},
		},
	}
}

// keyPattern makes a pattern of what a key function returns: literals stand
// for themselves and everything else for some text. It is "" when there is no
// literal to look for.
func keyPattern(fn *ast.FuncDecl) string {
	pattern := ""
	ast.Inspect(fn.Body, func(n ast.Node) bool {
		if ret, ok := n.(*ast.ReturnStmt); ok && pattern == "" && len(ret.Results) > 0 {
			pattern = expressionPattern(ret.Results[0])
		}
		return true
	})
	if strings.ReplaceAll(pattern, someText, "") == "" {
		return ""
	}
	return pattern
}

const someText = "[^\\s`|]+"

func expressionPattern(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.BasicLit:
		literal, _ := strconv.Unquote(e.Value)
		return formatVerb.ReplaceAllLiteralString(regexp.QuoteMeta(literal), someText)
	case *ast.BinaryExpr:
		return expressionPattern(e.X) + expressionPattern(e.Y)
	case *ast.CallExpr:
		if sel, ok := e.Fun.(*ast.SelectorExpr); ok && sel.Sel.Name == "Key" && len(e.Args) == 2 {
			return `hf:\{[^}]+\}:` + expressionPattern(e.Args[1])
		}
		if sel, ok := e.Fun.(*ast.SelectorExpr); ok && sel.Sel.Name == "Sprintf" {
			return expressionPattern(e.Args[0])
		}
	}
	return someText
}

var formatVerb = regexp.MustCompile(`%[0-9]*[sdvq]`)

// eachKey visits the functions that make a key, those of suites left out:
// they look behind the store's back on purpose.
func eachKey(s *source, check func(goFile, *ast.FuncDecl) []string) []string {
	return eachFunction(s, func(f goFile, fn *ast.FuncDecl) []string {
		if f.test || matches(`^pkg/shard$|`+testPackage, f.dir) || fn.Body == nil || !makesKey(fn) {
			return nil
		}
		return check(f, fn)
	})
}

var wholeKey = regexp.MustCompile(`^hf:[a-z]`)

// makesKey reports whether the function calls shard.Key or spells a key out.
func makesKey(fn *ast.FuncDecl) bool {
	found := false
	ast.Inspect(fn.Body, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.BasicLit:
			literal, _ := strconv.Unquote(n.Value)
			found = found || wholeKey.MatchString(literal)
		case *ast.SelectorExpr:
			pkg, ok := n.X.(*ast.Ident)
			found = found || ok && pkg.Name == "shard" && n.Sel.Name == "Key"
		}
		return !found
	})
	return found
}
