package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// elsewhere are folders whose points no operation here comes to: backups are kept
// in a folder, not in a repository of restic's, and the journal is of one host.
var elsewhere = []string{"test", "repository/restic", "journal/postgres"}

// points are the names of all fault points in the code below root, in order.
func points(root string) ([]string, error) {
	var names []string
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && path != root && (strings.HasPrefix(d.Name(), ".") || isElsewhere(root, path)) {
			return filepath.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		found, err := pointsOf(path)
		names = append(names, found...)
		return err
	})
	slices.Sort(names)
	for i := 1; i < len(names); i++ {
		if names[i] == names[i-1] {
			return nil, fmt.Errorf("fault point %q is in the code twice", names[i])
		}
	}
	return names, err
}

func isElsewhere(root, path string) bool {
	below, err := filepath.Rel(root, path)
	return err == nil && slices.Contains(elsewhere, filepath.ToSlash(below))
}

func pointsOf(path string) ([]string, error) {
	f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	var names []string
	ast.Inspect(f, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		fn, ok := call.Fun.(*ast.SelectorExpr)
		if !ok || fn.Sel.Name != "Hit" {
			return true
		}
		if pkg, ok := fn.X.(*ast.Ident); !ok || pkg.Name != "faultpoint" {
			return true
		}
		lit, ok := call.Args[0].(*ast.BasicLit)
		if !ok {
			err = fmt.Errorf("%s: the name of a fault point is not a literal", path)
			return false
		}
		name, unquoted := strconv.Unquote(lit.Value)
		if unquoted != nil {
			err = unquoted
			return false
		}
		names = append(names, name)
		return true
	})
	return names, err
}
