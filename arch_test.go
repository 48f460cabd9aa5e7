package lockstep_test

import (
	"go/build"
	"go/doc"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// rooms says which packages of ours each room may import. A room is named by
// its folder; "port/*" stands for every adapter of a port. What is not listed
// may not be imported; a folder that is not listed fails the test.
var rooms = map[string][]string{
	"": {}, // the vocabulary

	"planner":   {""},
	"retention": {""},
	"browse":    {""},
	"audit":     {""},

	"schedule": {""},

	"target":     {""},
	"source":     {"", "target", "target/sidecar"},
	"repository": {"", "spill"},
	"journal":    {""},
	"state":      {""},
	"notify":     {""},

	"spill": {""}, // docs/adr/0025

	"engine":   {"", "internal/faultpoint"},
	"launcher": {"", "target", "spill", "helper", "internal/faultpoint"},
	"helper/*": {}, // helpertest
	"helper":   {}, // what runs on an instance; docs/adr/0031
	"discover": {"", "target", "source", "internal/oldyaml"},
	"executor": {"", "target", "launcher", "repository", "spill", "internal/faultpoint"},

	"target/*":     {"", "target", "internal/*"},
	"source/*":     {"", "source", "target", "internal/*"},
	"repository/*": {"", "repository", "spill", "internal/*"},
	"journal/*":    {"", "journal", "journal/stored", "journal/heads", "internal/*"},
	// What all journals that are databases keep, and know of themselves outside.
	"journal/stored": {"", "journal", "internal/rowsum"},
	"journal/heads":  {""},
	"state/*":        {"", "state", "state/sqlstore", "internal/*"},
	// The state in tables, whichever database it is.
	"state/sqlstore": {"", "state"},
	"notify/*":       {"", "notify", "internal/*"},
	// The sources that open targets, and the targets whose exit statuses come in
	// band: the exceptions among adapters.
	"source/spec":    {"", "source", "target", "target/ssh", "target/local", "internal/*"},
	"source/bosh":    {"", "source", "target", "target/ssh", "internal/*"},
	"source/docker":  {"", "source", "target", "target/docker", "target/sidecar", "target/ssh", "internal/*"},
	"target/sidecar": {"target"},
	"target/docker":  {"", "target", "target/inband", "target/sidecar", "internal/*"},

	"source/kubernetes": {"", "source", "target", "target/kubernetes", "target/sidecar", "internal/*"},
	"target/kubernetes": {"", "target", "target/inband", "target/sidecar", "internal/*"},

	// The one adapter that is several rooms, in layers.
	"repository/restic":                 {"", "repository", "repository/restic/*", "spill", "internal/*"},
	"repository/restic/format":          {"", "repository"},
	"repository/restic/store":           {},
	"repository/restic/store/storetest": {"repository/restic/store"},
	"repository/restic/store/file":      {"", "repository", "repository/restic/store", "internal/*"},
	"repository/restic/store/s3":        {"", "repository", "repository/restic/store"},
	"repository/restic/vault":           {"", "repository", "repository/restic/format", "repository/restic/store", "internal/*"},

	"app": {"", "planner", "retention", "audit", "target", "source", "repository", "journal",
		"engine", "launcher", "discover", "executor", "internal/faultpoint"},

	// What an orchestrator has beside its runs; see docs/adr/0008.
	"access":     {"", "auditlog", "state"},
	"access/*":   {}, // accesstest
	"auditlog":   {""},
	"auditlog/*": {"", "auditlog", "internal/*"},
	// Who of several servers on one journal works through schedules and notices.
	"lead":      {"", "journal"},
	"scheduler": {"", "schedule", "retention", "state", "journal", "internal/faultpoint", "internal/units"},
	"outbox":    {"", "notify", "schedule", "state", "journal", "internal/faultpoint"},
	"telemetry": {"", "journal"},
	"fleet":     {"", "journal"}, // docs/adr/0038
	// All facts from one database to another.
	"move": {"", "journal", "journal/stored", "internal/pgdb"},

	"config":     {"", "access", "schedule", "spill", "internal/redact", "internal/pgdb"},
	"api":        {"", "access", "auditlog", "state"},
	"api/client": {"", "api", "internal/redact"},
	"ui":         {"", "access", "auditlog", "browse", "internal/*"},
	"server":     {"", "access", "auditlog", "api", "ui", "internal/faultpoint"},

	"show":   {"", "internal/*"},
	"show/*": {"", "planner"}, // showtest

	"serve": {"*"},
	"demo":  {"", "target", "show", "serve", "internal/*"},
	"cli":   {"", "access", "api", "browse", "config", "planner", "retention", "show", "serve", "demo", "internal/*"},
	"bbr":   {"*"},

	"cmd/*": {"cli", "bbr", "internal/*"},

	"cmd/lockstep-helper": {"helper"},

	"internal/*": {"internal/*"},
	"test/*":     {"*"},
}

// wires are the only files above the adapters, beside the room serve, that may
// import them.
var wires = []string{"bbr/wire.go"}

var adapterPorts = []string{"target/", "source/", "repository/", "journal/", "state/", "notify/", "auditlog/"}

func TestArchitecture(t *testing.T) {
	for _, dir := range packageDirs(t) {
		allowed, ok := roomOf(dir)
		if !ok {
			t.Errorf("folder %q is not a room of the architecture: add it to the table in arch_test.go and to ARCHITECTURE.md", dir)
			continue
		}
		for _, imp := range importsOf(t, dir) {
			if !mayImport(allowed, imp) {
				t.Errorf("%s must not import %s", name(dir), name(imp))
			}
		}
	}
}

func TestOnlyWiresImportAdapters(t *testing.T) {
	for _, dir := range []string{"cli", "demo", "show", "bbr", "app", "access", "scheduler", "outbox", "api", "ui", "server"} {
		files, _ := filepath.Glob(filepath.Join(dir, "*.go"))
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") || slices.Contains(wires, filepath.ToSlash(file)) {
				continue
			}
			f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
			if err != nil {
				t.Fatal(err)
			}
			for _, spec := range f.Imports {
				path, ours := strings.CutPrefix(strings.Trim(spec.Path.Value, `"`), "lockstep/")
				if ours && isAdapter(path) {
					t.Errorf("%s imports the adapter %s; only serve and %v may", file, path, wires)
				}
			}
		}
	}
}

// The vocabulary and the packages that decide are pure: they may not even
// reach for the means of doing anything.
func TestPureRoomsDoNoIO(t *testing.T) {
	for _, dir := range []string{"", "planner", "retention", "audit", "schedule"} {
		for _, imp := range allImports(t, dir) {
			switch imp {
			case "os", "net", "net/http", "os/exec", "syscall", "math/rand", "math/rand/v2", "log", "log/slog", "unsafe":
				t.Errorf("%s must not import %q: it is pure", name(dir), imp)
			}
			if strings.Contains(imp, ".") {
				t.Errorf("%s must not import %q: it is standard library only", name(dir), imp)
			}
		}
	}
}

func TestEveryPackageSaysWhatItIs(t *testing.T) {
	for _, dir := range packageDirs(t) {
		pkg, err := build.ImportDir(filepath.Join(".", dir), build.ImportComment)
		if err != nil {
			continue // test files only
		}
		if pkg.Name != "main" && !strings.HasPrefix(pkg.Doc, "Package "+pkg.Name+" ") {
			t.Errorf("%s has no package comment that begins with %q", name(dir), "Package "+pkg.Name)
		}
		if len(new(doc.Package).Synopsis(pkg.Doc)) < 20 {
			t.Errorf("%s: its package comment says nothing: %q", name(dir), pkg.Doc)
		}
	}
}

func packageDirs(t *testing.T) []string {
	t.Helper()
	var dirs []string
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		base := d.Name()
		if path != "." && (strings.HasPrefix(base, ".") || base == "testdata" || base == "docs" || base == "examples" || base == "bin") {
			return filepath.SkipDir
		}
		if files, _ := filepath.Glob(filepath.Join(path, "*.go")); len(files) > 0 {
			dirs = append(dirs, strings.TrimPrefix(filepath.ToSlash(path), "."))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return dirs
}

// roomOf finds what a folder may import: its own row, or that of its parent.
// A conformance suite ("targettest") is a room beside its port's adapters.
func roomOf(dir string) ([]string, bool) {
	if allowed, ok := rooms[dir]; ok {
		return allowed, true
	}
	parent, _, found := strings.Cut(dir, "/")
	allowed, ok := rooms[parent+"/*"]
	return allowed, found && ok
}

func mayImport(allowed []string, imp string) bool {
	for _, a := range allowed {
		if a == "*" || a == imp || strings.HasSuffix(a, "/*") && strings.HasPrefix(imp, strings.TrimSuffix(a, "*")) {
			return true
		}
	}
	return false
}

func isAdapter(path string) bool {
	return slices.ContainsFunc(adapterPorts, func(p string) bool { return strings.HasPrefix(path, p) })
}

// importsOf are the packages of ours that a folder's own files import, tests
// left out: tests may reach anywhere.
func importsOf(t *testing.T, dir string) []string {
	var own []string
	for _, imp := range allImports(t, dir) {
		if imp == "lockstep" {
			own = append(own, "")
		} else if path, ok := strings.CutPrefix(imp, "lockstep/"); ok {
			own = append(own, path)
		}
	}
	return own
}

func allImports(t *testing.T, dir string) []string {
	t.Helper()
	pkg, err := build.ImportDir(filepath.Join(".", dir), 0)
	if _, none := err.(*build.NoGoError); none {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	return pkg.Imports
}

func name(dir string) string {
	if dir == "" {
		return "the root package"
	}
	return dir
}
