package main

import "testing"

// TestTexts: a guard that was changed has its mutants changed with it, and one
// need not wait for `make mutants` to be told.
func TestTexts(t *testing.T) {
	t.Chdir("../..")
	for _, m := range all() {
		if _, err := m.overlay(t.TempDir()); err != nil {
			t.Errorf("%s: %v", m.Name, err)
		}
	}
}

// TestKillers: what is known of tests is of mutants that there are, each with a
// name of its own.
func TestKillers(t *testing.T) {
	names := map[string]bool{}
	for _, m := range all() {
		if names[m.Name] {
			t.Errorf("two are %q", m.Name)
		}
		names[m.Name] = true
	}
	for name := range killers {
		if !names[name] {
			t.Errorf("%s: no mutant is %q", killersFile, name)
		}
	}
}
