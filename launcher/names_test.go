package launcher

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"lockstep/target"
)

// prefix begins every name of the launcher's own.
const prefix = "lks_"

// ordinary are the names without the prefix that the launcher sets; the head of
// 10-wire.sh says how scripts see them all the same.
var ordinary = map[string]bool{
	"LC_ALL": true, "PWD": true, "OLDPWD": true, "SHLVL": true, "SUDO_COMMAND": true,
	"LOCKSTEP_STEP": true, "LOCKSTEP_INTO": true, "IFS": true, "POSIXLY_CORRECT": true,
}

var (
	assigned = regexp.MustCompile(`(?m)(?:^|[\s;({!&|])([A-Za-z_][A-Za-z0-9_]*)=`)
	expanded = regexp.MustCompile(`\$\{?#?([A-Za-z_][A-Za-z0-9_]*)`)
	looped   = regexp.MustCompile(`\bfor ([A-Za-z_][A-Za-z0-9_]*)(?: in\b|;)`)
	readInto = regexp.MustCompile(`\bread (?:-r )?([A-Za-z_][A-Za-z0-9_ ]*)`)
	exported = regexp.MustCompile(`\b(?:export|unset|readonly|getopts \S+) ([A-Za-z_][A-Za-z0-9_ ]*)`)
	function = regexp.MustCompile(`(?m)^([A-Za-z_][A-Za-z0-9_]*)\(\)`)
	notNames = regexp.MustCompile(`\b(?:bs|count|if|of|iflag|skip|status)=|\s# .*`) // words of dd, remarks
)

// namesOf are the names of variables and functions in shell text.
func namesOf(text string) []string {
	found := make(map[string]bool)
	text = notNames.ReplaceAllString(text, "")
	for _, form := range []*regexp.Regexp{assigned, expanded, looped, readInto, exported, function} {
		for _, m := range form.FindAllStringSubmatch(text, -1) {
			for _, name := range strings.Fields(m[1]) {
				found[name] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// TestNamesAreOurs: no name that a login may export is used by the launcher for
// something else.
//
//fault:login-names a login exports names that the launcher uses, `RUN` or `path` | the scripts see them byte for byte
func TestNamesAreOurs(t *testing.T) {
	t.Parallel()
	for what, text := range map[string]string{"launcher": text(), "bootstrap": bootstrap} {
		names := namesOf(text)
		if len(names) < 6 || what == "launcher" && len(names) < 150 {
			t.Errorf("%s: only %d names found: %v", what, len(names), names)
		}
		for _, name := range names {
			if !strings.HasPrefix(name, prefix) && !ordinary[name] {
				t.Errorf("%s: %q may be exported by a login: give it the prefix %s", what, name, prefix)
			}
		}
	}
}

// putAway are the names that tools do not see.
func putAway(t *testing.T) []string {
	_, list, _ := strings.Cut(text(), "lks_AWAY='")
	list, _, _ = strings.Cut(list, "'")
	names := strings.Fields(list)
	if len(names) < 10 {
		t.Fatalf("they are %q", names)
	}
	return names
}

// login is a target whose login does something before each command.
type login struct {
	target.Target
	does string // shell text
}

func (l login) Run(ctx context.Context, command string, streams target.Streams) (target.Exit, error) {
	return l.Target.Run(ctx, l.does+command, streams)
}

// environ is the environment that a script sees which prints its own, without
// what every shell on the way changes, what is ours, and those names.
func environ(text string, without ...string) []string {
	vars := strings.Split(text, "\x00")
	vars = slices.DeleteFunc(vars[:len(vars)-1], func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		return slices.Contains([]string{"_", "PWD", "OLDPWD", "SHLVL", "LOCKSTEP_STEP"}, name) || slices.Contains(without, name)
	})
	slices.Sort(vars)
	return vars
}

// TestEnvironmentOfALogin: a script sees byte for byte what the login exports,
// under every name that the launcher uses or ever used, and under those that
// mean something to shells and tools.
func TestEnvironmentOfALogin(t *testing.T) {
	shells(t, func(t *testing.T, sh string) {
		i := newInstance(t, sh)
		names := map[string]bool{"W": true, "D": true, "ID": true, "id": true, "_x": true}
		for _, name := range putAway(t) {
			names[name] = name != "POSIXLY_CORRECT" // bash changes its value
		}
		for _, name := range namesOf(text() + bootstrap) {
			name = strings.TrimPrefix(name, prefix)
			for _, n := range []string{name, strings.ToUpper(name), strings.ToLower(name)} {
				names[n] = !ordinary[n] && n != "_" && n != "PATH"
			}
		}
		var exports strings.Builder
		for name, use := range names {
			if use {
				fmt.Fprintf(&exports, "export %s=%s; ", name, target.Quote("its own "+name+" 'x' %n\n\\"))
			}
		}
		exports.WriteString("export LC_ALL=C.UTF-8 POSIXLY_CORRECT=y; ")
		does := login{i.target, exports.String()}
		i.Client.target = does
		i.claim("r1")
		path := i.script("environ", "#!/bin/cat /proc/self/environ\n")
		s := step("r1", "a", path, "BBR_X=a b")
		i.start(s)
		st, o := i.wait(s)
		var plain bytes.Buffer
		if _, err := does.Run(i.ctx(), "BBR_X='a b' exec "+path, target.Streams{Stdout: &plain}); err != nil || !st.Outcome.OK() {
			t.Fatal(err, st.Outcome, o.err.String())
		}
		var its []string // zsh makes and changes these
		if isZsh(sh) {
			its = []string{"CDPATH", "LOGNAME"}
		}
		got, want := environ(o.stdout(), its...), environ(plain.String(), its...)
		if len(want) < 200 {
			t.Fatalf("only %d variables", len(want))
		}
		for _, v := range want {
			if !slices.Contains(got, v) {
				t.Errorf("a script does not see %q", v)
			}
		}
		for _, v := range got {
			if !slices.Contains(want, v) {
				t.Errorf("a script sees %q", v)
			}
		}
		i.leavesNothing()
	})
}
