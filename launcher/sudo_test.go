package launcher

import (
	"bytes"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lockstep"
)

// needSudo skips the test where there is no sudo without a password.
func needSudo(t *testing.T) {
	t.Helper()
	if err := exec.Command("sudo", "-n", "true").Run(); err != nil {
		t.Skipf("no sudo without a password here: %v", err)
	}
}

// TestThroughSudo runs the whole way with the real sudo, where there is one.
func TestThroughSudo(t *testing.T) {
	needSudo(t)
	shells(t, func(t *testing.T, sh string) {
		i := newInstance(t, sh)
		i.Client.cfg.Sudo = true
		i.claim("r1")
		for name, c := range map[string]struct{ text, out string }{
			"shebang": {"#!/bin/sh\nprintf '%s' \"$X\"; id -u\n", "it's $a \"b\"\nc 0\n"},
			"bare":    {"printf '%s' \"$X\"; id -u\n", "it's $a \"b\"\nc 0\n"},
			"empty":   {"", ""},
		} {
			s := step("r1", name, i.script(name, c.text), "X=it's $a \"b\"\nc ")
			i.start(s)
			st, o := i.wait(s)
			if !st.Outcome.OK() || o.stdout() != c.out {
				t.Errorf("%s: %+v %q %q", name, st, o.stdout(), o.err.String())
			}
		}
		s := step("r1", "killed", i.script("killed", "#!/bin/sh\necho $$ >"+i.dir+"/main\nsleep 300\n"))
		i.start(s)
		pid := i.pid("main")
		st, err := i.Kill(i.ctx(), s.StepRef, patience)
		if err != nil || st.Outcome.Kind == lockstep.OutcomeUnknown || st.Outcome.OK() || !gone(pid) {
			t.Errorf("kill: %+v, %v", st, err)
		}
		dir := filepath.Join(i.dir, "d")
		tree(t, dir)
		var archive bytes.Buffer
		if err := i.TarOut(i.ctx(), dir, 0, &archive); err != nil {
			t.Error(err)
		}
		if err := i.Place(i.ctx(), dir+"2", &archive, ignored); err != nil || len(i.list(dir+"2")) != len(i.list(dir)) {
			t.Error(err)
		}
		word, _ := encodeWord(dir)
		if err := i.dealOut(i.ctx(), &archive, "deal", word); err != nil {
			t.Error(err)
		}
		i.leavesNothing()
	})
}

// TestWhatSudoWouldShow: a script sees the same environment, limits, umask and
// signals as if sudo itself had run it by its path. The interpreter is a
// program that adds nothing of its own.
func TestWhatSudoWouldShow(t *testing.T) {
	needSudo(t)
	shells(t, func(t *testing.T, sh string) {
		i := newInstance(t, sh)
		i.Client.cfg.Sudo = true
		i.claim("r1")
		for name, end := range map[string]string{"environ": "\x00", "limits": "\n", "status": "\n"} {
			script := i.script(name, "#!/bin/cat /proc/self/"+name+"\n")
			s := step("r1", name, script, "BBR_X=a b")
			i.start(s)
			st, o := i.wait(s)
			plain, err := exec.Command("sudo", "-n", "BBR_X=a b", script).Output()
			if err != nil || !st.Outcome.OK() {
				t.Fatal(err, st.Outcome, o.err.String())
			}
			got, want := telling(o.stdout(), end), telling(string(plain), end)
			if len(want) < 6 || !slices.Equal(got, want) {
				t.Errorf("%s through the launcher:\n%s\nby sudo itself:\n%s", name, strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
		}
		i.leavesNothing()
	})
}

// telling are the sorted parts of text without what is ours, and without those
// lines of a process's status that differ between any two.
func telling(text, end string) []string {
	parts := strings.Split(text, end)
	slices.Sort(parts)
	return slices.DeleteFunc(parts, func(part string) bool {
		name, _, found := strings.Cut(part, ":\t")
		inherited := []string{"Uid", "Gid", "Groups", "Umask", "NoNewPrivs", "SigBlk", "SigIgn", "SigCgt", "CapInh", "CapPrm", "CapEff", "CapBnd"}
		return found && !slices.Contains(inherited, name) || strings.HasPrefix(part, "LOCKSTEP_STEP=") ||
			strings.HasPrefix(part, "_=") // zsh's own
	})
}
