package holdfast

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"strings"
)

const modulePath = "github.com/holdfast-games/holdfast"

// source is the repository as the rules see it: every text file, in the order
// of the paths.
type source struct {
	files   []textFile
	goFiles []goFile
}

type textFile struct{ path, text string }

// goFile is a parsed Go file. Folders and files are named from the root, with
// slashes; the root itself is ".".
type goFile struct {
	path, dir       string
	test, generated bool
	lines           int
	fset            *token.FileSet
	syntax          *ast.File
}

// load reads a tree. It passes over what git does not keep and over binaries.
func load(fsys fs.FS) (*source, error) {
	src := &source{}
	err := fs.WalkDir(fsys, ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (name == ".git" || name == "bin" || entry.Name() == "node_modules"):
			return fs.SkipDir
		case !entry.Type().IsRegular():
			return nil
		}
		data, err := fs.ReadFile(fsys, name)
		if err != nil || bytes.IndexByte(data, 0) >= 0 {
			return err
		}
		return src.add(name, string(data))
	})
	return src, err
}

func (s *source) add(name, text string) error {
	s.files = append(s.files, textFile{path: name, text: text})
	if path.Ext(name) != ".go" {
		return nil
	}
	fset := token.NewFileSet()
	syntax, err := parser.ParseFile(fset, name, text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return fmt.Errorf("parse: %w", err)
	}
	s.goFiles = append(s.goFiles, goFile{
		path: name, dir: path.Dir(name), test: strings.HasSuffix(name, "_test.go"),
		generated: ast.IsGenerated(syntax), lines: strings.Count(text, "\n"), fset: fset, syntax: syntax,
	})
	return nil
}

// file returns the text of a file, or false when there is none.
func (s *source) file(name string) (string, bool) {
	for _, f := range s.files {
		if f.path == name {
			return f.text, true
		}
	}
	return "", false
}

// complain starts a complaint with the place it is about.
func (f goFile) complain(at token.Pos, format string, args ...any) string {
	return fmt.Sprintf("%s:%d: %s", f.path, f.fset.Position(at).Line, fmt.Sprintf(format, args...))
}

// importName returns the name by which f refers to an import, or "" if f does
// not import it.
func (f goFile) importName(importPath string) string {
	for _, spec := range f.syntax.Imports {
		if strings.Trim(spec.Path.Value, `"`) != importPath {
			continue
		}
		if spec.Name != nil {
			return spec.Name.Name
		}
		return path.Base(importPath)
	}
	return ""
}

// calls returns every use of one of the package's functions.
func (f goFile) calls(importPath string, functions ...string) []*ast.SelectorExpr {
	local := f.importName(importPath)
	if local == "" {
		return nil
	}
	var found []*ast.SelectorExpr
	ast.Inspect(f.syntax, func(n ast.Node) bool {
		sel, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		if pkg, ok := sel.X.(*ast.Ident); ok && pkg.Name == local {
			for _, name := range functions {
				if sel.Sel.Name == name {
					found = append(found, sel)
				}
			}
		}
		return true
	})
	return found
}
