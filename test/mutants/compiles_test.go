package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestCompiles: every mutant compiles. Whoever renames what one uses is told at once:
// the old text stands as it stood, and the new one names what there no longer is.
func TestCompiles(t *testing.T) {
	t.Chdir("../..")
	byDir, err := listPackages()
	if err != nil {
		t.Fatal(err)
	}
	checked := 0
	for _, m := range all() {
		if filepath.Ext(m.File) != ".go" {
			continue
		}
		p := byDir[filepath.Dir(m.File)]
		if p == nil {
			t.Fatalf("%s: no package lies in %s", m.Name, filepath.Dir(m.File))
		}
		if err := p.compile(m); err != nil {
			t.Errorf("%s: it does not compile: %v", m.Name, err)
		}
		checked++
	}
	if checked < 100 {
		t.Errorf("%d mutants were compiled, of %d", checked, len(all()))
	}
	unknown := mutant{File: "access/authorizer.go", Old: "return FirstOf(", New: "return NoSuchThing("}
	if err := byDir["access"].compile(unknown); err == nil {
		t.Error("a mutant that names what there is not compiles")
	}
}

// listedPackage is one package of the module as `go list` tells of it.
type listedPackage struct {
	ImportPath, Dir, Export string
	GoFiles                 []string
	ImportMap               map[string]string

	set     *token.FileSet
	files   map[string]*ast.File
	imports types.Importer
}

// listPackages are the module's packages by their folders below the working folder.
func listPackages() (byDir map[string]*listedPackage, err error) {
	root, err := os.Getwd()
	if err != nil {
		return nil, err
	}
	out, err := exec.Command("go", "list", "-export", "-deps", "-json=ImportPath,Dir,Export,GoFiles,ImportMap", "./...").Output()
	if err != nil {
		return nil, fmt.Errorf("list the module's packages: %w", err)
	}
	exports := map[string]string{}
	byDir = map[string]*listedPackage{}
	set := token.NewFileSet()
	imports := importer.ForCompiler(set, "gc", func(path string) (io.ReadCloser, error) {
		if exports[path] == "" {
			return nil, fmt.Errorf("nothing is known of package %s", path)
		}
		return os.Open(exports[path])
	})
	for list := json.NewDecoder(bytes.NewReader(out)); ; {
		p := &listedPackage{set: set, files: map[string]*ast.File{}, imports: imports}
		if err := list.Decode(p); errors.Is(err, io.EOF) {
			return byDir, nil
		} else if err != nil {
			return nil, fmt.Errorf("read what go list told: %w", err)
		}
		exports[p.ImportPath] = p.Export
		if dir, err := filepath.Rel(root, p.Dir); err == nil && !strings.HasPrefix(dir, "..") {
			byDir[dir] = p
		}
	}
}

// compile checks the package's types with the mutant in it.
func (p *listedPackage) compile(m mutant) error {
	text, err := os.ReadFile(m.File)
	if err != nil {
		return err
	}
	mutated, err := parser.ParseFile(p.set, m.File, strings.Replace(string(text), m.Old, m.New, 1), parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	files := []*ast.File{mutated}
	for _, name := range p.GoFiles {
		if name == filepath.Base(m.File) {
			continue
		}
		f, err := p.parsed(name)
		if err != nil {
			return err
		}
		files = append(files, f)
	}
	_, err = (&types.Config{Importer: mapped{p.ImportMap, p.imports}}).Check(p.ImportPath, p.set, files, nil)
	return err
}

// parsed is a file as it stands, read once.
func (p *listedPackage) parsed(name string) (f *ast.File, err error) {
	if p.files[name] == nil {
		p.files[name], err = parser.ParseFile(p.set, filepath.Join(p.Dir, name), nil, parser.SkipObjectResolution)
	}
	return p.files[name], err
}

// mapped imports what the standard library has vendored under the names that it has there.
type mapped struct {
	names map[string]string
	types.Importer
}

func (m mapped) Import(path string) (*types.Package, error) {
	if name := m.names[path]; name != "" {
		path = name
	}
	return m.Importer.Import(path)
}
