package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"strings"
)

// Compiling and linking is most of what a mutant costs. Those that change bodies of
// functions alone are compiled together, asleep: beside each function that a mutant
// changes stands its changed copy, which is called instead where the environment
// says so.

// awakeVariable is the name in the environment whose value is the number of the
// mutant that is awake.
const awakeVariable = "LOCKSTEP_MUTANT_AWAKE"

// awakeFile declares, in each package with mutants, which of them is awake.
const awakeFile = "package %s\n\nimport \"os\"\n\nvar lockstepMutantAwake = os.Getenv(\"" + awakeVariable + "\")\n"

// change is one function's body as a mutant has it.
type change struct {
	mutant int
	index  int    // of the function among the file's declarations
	body   string // with its braces
}

// changes are the functions that differ between two texts of one file. It is not ok
// where anything else differs, or a function that no copy can be called instead of.
func changes(mutant int, original, mutated string) (list []change, ok bool) {
	was, err := parse(original)
	if err != nil {
		return nil, false
	}
	is, err := parse(mutated)
	if err != nil || len(was.Decls) != len(is.Decls) {
		return nil, false
	}
	for i := range was.Decls {
		a, b := between(original, was.Decls[i].Pos(), was.Decls[i].End()), between(mutated, is.Decls[i].Pos(), is.Decls[i].End())
		if a == b {
			continue
		}
		f, isFunc := was.Decls[i].(*ast.FuncDecl)
		g, stays := is.Decls[i].(*ast.FuncDecl)
		if !isFunc || !stays || f.Body == nil || g.Body == nil || !canBeCalled(f) ||
			between(original, f.Pos(), f.Body.Pos()) != between(mutated, g.Pos(), g.Body.Pos()) {
			return nil, false
		}
		list = append(list, change{mutant, i, between(mutated, g.Body.Pos(), g.Body.End())})
	}
	return list, len(list) > 0
}

func parse(text string) (*ast.File, error) {
	return parser.ParseFile(token.NewFileSet(), "", text, parser.SkipObjectResolution)
}

// between is the text from one position to another: of a file that is alone in its
// set, positions count from 1.
func between(text string, from, to token.Pos) string { return text[from-1 : to-1] }

// canBeCalled: has the function a name for all that a copy of it must be given?
func canBeCalled(f *ast.FuncDecl) bool {
	if f.Name.Name == "init" || f.Name.Name == "main" || f.Name.Name == "_" || f.Type.TypeParams != nil {
		return false
	}
	if f.Recv != nil {
		if len(f.Recv.List) != 1 || !named(f.Recv.List[0]) {
			return false
		}
		t := f.Recv.List[0].Type
		if star, ok := t.(*ast.StarExpr); ok {
			t = star.X
		}
		if _, ok := t.(*ast.Ident); !ok {
			return false
		}
	}
	for _, p := range f.Type.Params.List {
		if !named(p) {
			return false
		}
	}
	return true
}

func named(f *ast.Field) bool {
	for _, n := range f.Names {
		if n.Name == "_" {
			return false
		}
	}
	return len(f.Names) > 0
}

// withAsleep is the file's text with the changed copies of its functions in it. Lines
// keep their numbers.
func withAsleep(original string, list []change) (string, error) {
	file, err := parse(original)
	if err != nil {
		return "", err
	}
	var copies strings.Builder
	calls := map[int]string{} // by declaration
	for _, c := range list {
		f := file.Decls[c.index].(*ast.FuncDecl)
		name := fmt.Sprintf("mutant%d_%s", c.mutant, f.Name.Name)
		calls[c.index] += fmt.Sprintf(" if lockstepMutantAwake == \"%d\" { %s };", c.mutant, call(f, name))
		fmt.Fprintf(&copies, "\n%s%s%s%s\n", between(original, f.Pos(), f.Name.Pos()), name, between(original, f.Name.End(), f.Body.Pos()), c.body)
	}
	var b strings.Builder
	done := token.Pos(1)
	for i, d := range file.Decls {
		if calls[i] == "" {
			continue
		}
		brace := d.(*ast.FuncDecl).Body.Lbrace + 1
		b.WriteString(between(original, done, brace))
		b.WriteString(calls[i])
		done = brace
	}
	b.WriteString(original[done-1:])
	b.WriteString(copies.String())
	return b.String(), nil
}

// call is the statement that calls a copy of f instead.
func call(f *ast.FuncDecl, name string) string {
	var args []string
	for _, p := range f.Type.Params.List {
		for _, n := range p.Names {
			args = append(args, n.Name)
		}
		if _, variadic := p.Type.(*ast.Ellipsis); variadic {
			args[len(args)-1] += "..."
		}
	}
	text := name + "(" + strings.Join(args, ", ") + ")"
	if f.Recv != nil {
		text = f.Recv.List[0].Names[0].Name + "." + text
	}
	if f.Type.Results != nil && len(f.Type.Results.List) > 0 {
		return "return " + text
	}
	return text + "; return"
}
