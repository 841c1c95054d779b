package boucan_test

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// longestFile is how many lines a file may have. Most have far fewer.
const longestFile = 500

// source is one parsed Go file of the project.
type source struct {
	path string // slash-separated, below the root
	text []byte
	set  *token.FileSet
	file *ast.File
}

// isTest is true for what only tests and the lab compile.
func (s source) isTest() bool {
	return strings.HasSuffix(s.path, "_test.go") || strings.HasPrefix(s.path, "lab/")
}

// TestTestsNeitherSkipNorSleep: within a bubble of testing/synctest a sleep is
// how the clock is moved, and takes no time. Everywhere else it is a guess.
func TestTestsNeitherSkipNorSleep(t *testing.T) {
	all := sources(t)
	bubbles := make(map[string]bool) // folders whose tests run in bubbles
	for _, s := range all {
		if s.imports("testing/synctest") {
			bubbles[path.Dir(s.path)] = true
		}
	}
	for _, s := range all {
		if !s.isTest() {
			continue
		}
		real := !bubbles[path.Dir(s.path)] || bytes.HasPrefix(s.text, []byte("//go:build lab"))
		s.calls(func(pos token.Position, on, name string) {
			switch {
			case name == "Skip" || name == "Skipf" || name == "SkipNow":
				t.Errorf("%s: a test that skips tells nothing: let it fail", pos)
			case real && on == "time" && name == "Sleep":
				t.Errorf("%s: wait for the condition, or run under synctest", pos)
			}
		})
	}
}

// TestContextComesFromTheCaller: only a program decides when things end. The
// one call that waits for nothing is slog's Enabled, which wants one all the same.
func TestContextComesFromTheCaller(t *testing.T) {
	for _, s := range sources(t) {
		if s.isTest() || strings.HasPrefix(s.path, "cmd/") || strings.HasPrefix(s.path, "bench/") {
			continue
		}
		asked := make(map[int]bool) // lines that ask a logger
		s.calls(func(pos token.Position, on, name string) {
			switch {
			case name == "Enabled":
				asked[pos.Line] = true
			case on == "context" && (name == "Background" || name == "TODO") && !asked[pos.Line]:
				t.Errorf("%s: take the caller's context", pos)
			}
		})
	}
}

func TestNothingRegistersItself(t *testing.T) {
	for _, s := range sources(t) {
		for _, d := range s.file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" {
				t.Errorf("%s: say it where the package is used", s.set.Position(f.Pos()))
			}
		}
	}
}

func TestFilesAreShort(t *testing.T) {
	for _, s := range sources(t) {
		if n := bytes.Count(s.text, []byte("\n")); n > longestFile {
			t.Errorf("%s has %d lines, more than %d: it holds more than one thing", s.path, n, longestFile)
		}
	}
}

// TestPackagesIntroduceThemselves: the package comment says what it owns.
func TestPackagesIntroduceThemselves(t *testing.T) {
	said, seen := make(map[string]bool), make(map[string]bool)
	for _, s := range sources(t) {
		if strings.HasSuffix(s.path, "_test.go") {
			continue
		}
		dir := path.Dir(s.path)
		seen[dir] = true
		said[dir] = said[dir] || s.file.Doc != nil
	}
	for dir := range seen {
		if !said[dir] {
			t.Errorf("%s has no package comment", dir)
		}
	}
}

// imports reports whether the file imports the package of that path.
func (s source) imports(name string) bool {
	return slices.ContainsFunc(s.file.Imports, func(i *ast.ImportSpec) bool { return i.Path.Value == strconv.Quote(name) })
}

// calls calls f for each call of the form on.name(…) in the file.
func (s source) calls(f func(pos token.Position, on, name string)) {
	ast.Inspect(s.file, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		if sel, ok := call.Fun.(*ast.SelectorExpr); ok {
			on := ""
			if id, ok := sel.X.(*ast.Ident); ok {
				on = id.Name
			}
			f(s.set.Position(call.Pos()), on, sel.Sel.Name)
		}
		return true
	})
}

// sources parses every Go file of the project.
func sources(t *testing.T) []source {
	t.Helper()
	var all []source
	err := filepath.WalkDir(".", func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			name := d.Name()
			if name == "node_modules" || name == "testdata" || len(name) > 1 && name[0] == '.' {
				return fs.SkipDir
			}
			return nil
		}
		if filepath.Ext(file) != ".go" {
			return nil
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		set := token.NewFileSet()
		parsed, err := parser.ParseFile(set, file, text, parser.ParseComments)
		if err != nil {
			return err
		}
		all = append(all, source{path: filepath.ToSlash(file), text: text, set: set, file: parsed})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}
