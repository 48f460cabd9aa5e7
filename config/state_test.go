package config

import (
	"strings"
	"testing"
)

const small = "state_dir: s\nrepository: {dir: b}\ndeployments: {}\n"

// TestState: a database by the file, by the environment, or both; never a password.
func TestState(t *testing.T) {
	for name, c := range map[string]struct {
		text, env string
		want      *Postgres
	}{
		"none": {"", "", nil},
		"file": {"state: {postgres: {url: \"postgres://u@h/d\", password_file: p, synchronous_standby: true}}\n", "",
			&Postgres{URL: "postgres://u@h/d", PasswordFile: "/etc/x/p", SynchronousStandby: true}},
		"environment": {"", "host=h dbname=d", &Postgres{URL: "host=h dbname=d"}},
		"both": {"state: {postgres: {url: \"postgres://u@h/d\", password_file: p}}\n", "postgres://u@other/d",
			&Postgres{URL: "postgres://u@other/d", PasswordFile: "/etc/x/p"}},
		"environment and the rest": {"state: {postgres: {synchronous_standby: true}}\n", "postgres://u@other/d", &Postgres{URL: "postgres://u@other/d", SynchronousStandby: true}},
	} {
		c1, err := Parse("/etc/x/x.yaml", []byte(c.text+small), environment("HOME", "/h", databaseURL, c.env))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := c1.State.Postgres; (got == nil) != (c.want == nil) || got != nil && *got != *c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
		again, err := Parse("/etc/x/x.yaml", []byte(Show(c1)), environment("HOME", "/h"))
		if err != nil || (again.State.Postgres == nil) != (c.want == nil) || c.want != nil && *again.State.Postgres != *c.want {
			t.Errorf("%s: shown and read again: %v", name, err)
		}
	}
	for _, bad := range []struct{ text, env string }{
		{"state: {postgres: {url: \"postgres://u:hunter2@h/d\"}}\n", ""}, {"", "postgres://u:hunter2@h/d"}, {"state: {postgres: {password_file: p}}\n", ""}, {"state: {}\n", ""},
	} {
		_, err := Parse("/etc/x/x.yaml", []byte(bad.text+small), environment("HOME", "/h", databaseURL, bad.env))
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q, %q: %v", bad.text, bad.env, err)
		}
	}
}
