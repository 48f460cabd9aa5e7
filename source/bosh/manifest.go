package bosh

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"lockstep/internal/oldyaml"
)

// facts are what a manifest says that matters to backups, by group, then job.
type facts struct {
	releases      map[string]map[string]string
	oneRestoreAll map[string]map[string]bool
}

// readManifest finds releases and backup_one_restore_all in a manifest of
// schema 2 (with instance_groups) or 1. What is not as it should be is left
// out: a job without a release is not an error. An error says that the whole is not
// YAML; the facts are empty then.
func readManifest(text string) (facts, error) {
	f := facts{releases: map[string]map[string]string{}, oneRestoreAll: map[string]map[string]bool{}}
	root, err := oldyaml.DecodeAny(strings.NewReader(text))
	if err != nil && !errors.Is(err, io.EOF) {
		return f, fmt.Errorf("read the manifest: %w", err)
	}
	if groups := field(root, "instance_groups"); groups != nil {
		for _, g := range list(groups) {
			for _, job := range list(field(g, "jobs")) {
				f.add(g, job, job)
			}
		}
		return f, nil
	}
	for _, g := range list(field(root, "jobs")) {
		for _, template := range list(field(g, "templates")) {
			f.add(g, template, g)
		}
	}
	return f, nil
}

// add adds a job of a group; owner is what holds its properties. The first of
// a name counts.
func (f facts) add(group, job, owner any) {
	g, ok := field(group, "name").(string)
	name, named := field(job, "name").(string)
	if !ok || !named {
		return
	}
	if f.releases[g] == nil {
		f.releases[g], f.oneRestoreAll[g] = map[string]string{}, map[string]bool{}
	}
	if _, again := f.oneRestoreAll[g][name]; again {
		return
	}
	if release, ok := field(job, "release").(string); ok {
		f.releases[g][name] = release
	}
	all, _ := field(field(field(owner, "properties"), "bbr"), "backup_one_restore_all").(bool)
	f.oneRestoreAll[g][name] = all
}

// field is a value of a mapping; nil where there is none.
func field(v any, key string) any {
	switch m := v.(type) {
	case map[string]any:
		return m[key]
	case map[any]any:
		return m[key]
	}
	return nil
}

// list is the items of a sequence; nil where there is none.
func list(v any) []any {
	items, _ := v.([]any)
	return items
}
