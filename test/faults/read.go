package main

import (
	"fmt"
	"go/ast"
	"go/build/constraint"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// Proof is one directive: a test that injects a fault.
type Proof struct {
	ID       string // a row's number, or a name
	Injected string
	Sees     string
	Test     string // of a testscript: its file's name
	File     string // with slashes, relative to the root
	Tag      string // the build tag that the test needs, or ""
}

var directive = regexp.MustCompile(`^(?://|# ?)fault:([a-z0-9]+(?:[-.][a-z0-9]+)*) (.+) \| (.+)$`)

// Proofs reads every directive below root.
func Proofs(root string) ([]Proof, error) {
	var all []Proof
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && path != root && strings.HasPrefix(d.Name(), ".") {
			return filepath.SkipDir
		}
		var found []Proof
		switch {
		case strings.HasSuffix(path, "_test.go") || d.Name() == "main.go":
			found, err = ofGo(path)
		case strings.HasSuffix(path, ".txtar"):
			found, err = ofScript(path)
		}
		rel, relErr := filepath.Rel(root, path)
		for i := range found {
			found[i].File = filepath.ToSlash(rel)
		}
		all = append(all, found...)
		if err != nil {
			return fmt.Errorf("read %s: %w", path, err)
		}
		return relErr
	})
	return all, err
}

// ofGo reads the directives of a file with tests, whatever its build tags.
func ofGo(path string) ([]Proof, error) {
	f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	used := map[*ast.CommentGroup]bool{}
	tag := tagOf(f)
	var found []Proof
	for _, decl := range f.Decls {
		fn, ok := decl.(*ast.FuncDecl)
		if !ok || fn.Doc == nil || fn.Recv != nil || !isTest(fn.Name.Name) {
			continue
		}
		used[fn.Doc] = true
		for _, c := range fn.Doc.List {
			p, ok, err := parse(c.Text)
			if err != nil {
				return nil, err
			}
			if ok {
				if p.Test, p.Tag = fn.Name.Name, tag; p.Test == "main" {
					p.Test = "make " + filepath.Base(filepath.Dir(path))
				}
				found = append(found, p)
			}
		}
	}
	for _, g := range f.Comments {
		for _, c := range g.List {
			if !used[g] && strings.HasPrefix(c.Text, "//fault:") {
				return nil, fmt.Errorf("%q is not in the doc comment of a test", c.Text)
			}
		}
	}
	return found, nil
}

// isTest: a test, or the main function of a program that tests.
func isTest(name string) bool {
	return strings.HasPrefix(name, "Test") || strings.HasPrefix(name, "Fuzz") || name == "main"
}

func tagOf(f *ast.File) string {
	for _, g := range f.Comments {
		for _, c := range g.List {
			if x, err := constraint.Parse(c.Text); err == nil && g.Pos() < f.Package {
				return x.String()
			}
		}
	}
	return ""
}

// ofScript reads the directives of a testscript.
func ofScript(path string) ([]Proof, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var found []Proof
	for line := range strings.Lines(string(text)) {
		p, ok, err := parse(strings.TrimSpace(line))
		if err != nil {
			return nil, err
		}
		if ok {
			p.Test = filepath.Base(path)
			found = append(found, p)
		}
	}
	return found, nil
}

// parse reads a line; ok is false where it is not a directive at all.
func parse(line string) (p Proof, ok bool, err error) {
	if !strings.HasPrefix(line, "//fault:") && !strings.HasPrefix(line, "# fault:") {
		return Proof{}, false, nil
	}
	m := directive.FindStringSubmatch(line)
	if m == nil {
		return Proof{}, false, fmt.Errorf("%q is not of the form fault:ID what is injected | what the user sees", line)
	}
	return Proof{ID: m[1], Injected: strings.TrimSpace(m[2]), Sees: strings.TrimSpace(m[3])}, true, nil
}
