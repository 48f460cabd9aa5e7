package discover

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lockstep"
	"lockstep/target"
	"lockstep/target/targettest"
)

// TestNoiseOfALoginShell: what it says on standard error harms nothing.
func TestNoiseOfALoginShell(t *testing.T) {
	t.Parallel()
	m := newMachine(t).script("a", "backup", "")
	r := deployment(t, m)
	r.Instances[0].Target = wrapped{r.Instances[0].Target, func(command string) string {
		return "echo welcome >&2; " + command
	}}
	d, _ := discover(t, r)
	wantEqual(t, "jobs", []string{"a:backup"}, jobs(d.Instances[0]))
}

// TestLoginsThatRunNoCommand: each is told by what it really says, with and
// without sudo, before anything is done.
//
//fault:login-start-files a start file of the login reads, prints, traps or starts another shell; nologin, csh, sftp only | `check` says so at once, with the first line of what came
func TestLoginsThatRunNoCommand(t *testing.T) {
	t.Parallel()
	for _, login := range targettest.Logins() {
		t.Run(login.Name, func(t *testing.T) {
			t.Parallel()
			r := deployment(t, newMachine(t).script("a", "backup", ""))
			r.Instances[0].Target = login.Through(r.Instances[0].Target)
			_, _, err := Discover(t.Context(), r, Options{})
			if err == nil || !strings.Contains(err.Error(), login.Says) || !strings.Contains(lockstep.HintOf(err), login.Hint) {
				t.Errorf("%v\nhint: %s", err, lockstep.HintOf(err))
			}
		})
	}
}

// wrapped is a target that changes each command.
type wrapped struct {
	target.Target
	change func(command string) string
}

func (w wrapped) Run(ctx context.Context, command string, s target.Streams) (target.Exit, error) {
	return w.Target.Run(ctx, w.change(command), s)
}

// failing is a target that cannot be reached.
type failing struct{ target.Target }

func (failing) Run(context.Context, string, target.Streams) (target.Exit, error) {
	return target.Exit{}, fmt.Errorf("dial 10.0.0.1:22: connection refused: %w", target.ErrNotStarted)
}

func TestErrorsOfSeveralInstancesAreInOrder(t *testing.T) {
	t.Parallel()
	good := newMachine(t).script("a", "backup", "")
	r := deployment(t, good, good, good, good)
	r.Instances[1].Target = failing{r.Instances[1].Target}
	r.Instances[1].Address = "10.0.0.1"
	r.Instances[3].Target = wrapped{r.Instances[3].Target, func(string) string { return "echo 'sudo: a password is required' >&2; exit 1" }}
	_, notes, err := Discover(t.Context(), r, Options{})
	want := `discover 2 of 4 instances: look for scripts on g/1: dial 10.0.0.1:22: connection refused: command was not started
look for scripts on g/3: the instance did not answer: exit 1: sudo: a password is required`
	wantEqual(t, "error", want, err.Error())
	wantEqual(t, "hint", `check that g/1 (10.0.0.1) is up and can be logged in to; a machine that is gone for good is taken out of the specification
on g/3: `+target.LoginHint("", "", target.Exit{Code: 1}), lockstep.HintOf(err))
	wantEqual(t, "notes of the others", []string{"g/0/a/backup", "g/2/a/backup"}, messages(notes, "info"))
	if !errors.Is(err, target.ErrNotStarted) {
		t.Error("the cause is not to be found in the error")
	}
}

func TestSudo(t *testing.T) {
	t.Parallel()
	m := newMachine(t).script("a", "backup", "")
	r := deployment(t, m)
	r.Instances[0].Sudo = true
	inner := r.Instances[0].Target
	fake := func(sudo string) target.Target {
		return wrapped{inner, func(command string) string { return "sudo() { " + sudo + "; }\n" + command }}
	}
	r.Instances[0].Target = fake(`[ "$1 $2 $3" = "-n -- sh" ] || exit 9; shift 2; "$@"`)
	d, _ := discover(t, r)
	wantEqual(t, "jobs", []string{"a:backup"}, jobs(d.Instances[0]))

	r.Instances[0].Target = fake(`echo "sudo: a password is required" >&2; return 1`)
	_, _, err := Discover(t.Context(), r, Options{})
	if hint := lockstep.HintOf(err); !strings.Contains(hint, "NOPASSWD") {
		t.Errorf("%v, hint %q", err, hint)
	}
	r.Instances[0].Target = fake(`echo "sh: 1: sudo: not found" >&2; return 127`)
	_, _, err = Discover(t.Context(), r, Options{})
	if hint := lockstep.HintOf(err); !strings.Contains(hint, "install sudo") {
		t.Errorf("%v, hint %q", err, hint)
	}
}

func TestRealSudo(t *testing.T) {
	t.Parallel()
	if err := exec.Command("sudo", "-n", "true").Run(); err != nil {
		t.Skip("no sudo without a password here")
	}
	m := newMachine(t).script("a", "backup", "")
	m.script("a", "metadata", `[ "$BBR_VERSION $(id -u)" = "1.9.0 0" ] || exit 1; echo may_be_empty: true`)
	r := deployment(t, m)
	r.Instances[0].Sudo = true
	d, _ := discover(t, r)
	if !d.Instances[0].Jobs[0].Metadata.MayBeEmpty {
		t.Error("the metadata script was not heard")
	}
}

func TestABrokenOffProbeIsAnError(t *testing.T) {
	t.Parallel()
	m := newMachine(t).script("a", "backup", "").script("a", "metadata", "")
	r := deployment(t, m)
	inner := r.Instances[0].Target
	for name, change := range map[string]func(string) string{
		"no space":      func(c string) string { return "export TMPDIR=/dev/null/x; " + c },
		"cut":           func(c string) string { return c + " | head -c 150" },
		"tool missing":  func(c string) string { return "PATH=" + filepath.Join(m.dir, "none") + " /bin/" + c },
		"killed midway": func(c string) string { return strings.Replace(c, "scripts=$(look", "kill -9 $$; scripts=$(look", 1) },
	} {
		r.Instances[0].Target = wrapped{inner, change}
		d, _, err := Discover(t.Context(), r, Options{})
		if err == nil || lockstep.HintOf(err) == "" {
			t.Errorf("%s: %v, %v", name, jobs(d.Instances[0]), err)
		}
	}
}

func TestWorldWritableScriptsAreWarnedOf(t *testing.T) {
	t.Parallel()
	m := newMachine(t).script("a", "backup", "").script("b", "backup", "").script("c", "backup", "").script("c", "note", "")
	for path, mode := range map[string]os.FileMode{"a/hooks/backup": 0o777, "b/hooks": 0o777, "c/hooks/note": 0o777} {
		if err := os.Chmod(filepath.Join(m.dir, "jobs", path), mode); err != nil {
			t.Fatal(err)
		}
	}
	d, notes := discover(t, deployment(t, m))
	want := []string{
		"every user of g/0 can change jobs/a/hooks/backup; chmod o-w it",
		"every user of g/0 can change jobs/b/hooks; chmod o-w it",
	}
	wantEqual(t, "warnings", want, messages(notes, "warn"))
	wantEqual(t, "warnings of the deployment", want, d.Warnings)
}

func TestDiscoverEndsWithItsContext(t *testing.T) {
	t.Parallel()
	m := newMachine(t).script("a", "metadata", "sleep 60")
	ctx, cancel := context.WithCancelCause(t.Context())
	stopped := errors.New("stopped by hand")
	r := deployment(t, m)
	r.Instances[0].Target = wrapped{r.Instances[0].Target, func(c string) string { cancel(stopped); return c }}
	if _, _, err := Discover(ctx, r, Options{}); !errors.Is(err, stopped) {
		t.Errorf("got %v", err)
	}
}

func TestASlowInstanceIsNamed(t *testing.T) {
	t.Parallel()
	good, slow := newMachine(t).script("a", "backup", ""), newMachine(t).script("a", "metadata", "sleep 60")
	_, _, err := Discover(t.Context(), deployment(t, good, slow), Options{Timeout: time.Second})
	if err == nil || !strings.Contains(err.Error(), "look for scripts on g/1: ") || !strings.Contains(err.Error(), "no answer within 1s") {
		t.Errorf("got %v", err)
	}
	if hint := lockstep.HintOf(err); !strings.Contains(hint, "g/1") {
		t.Errorf("hint %q", hint)
	}
}

func TestScriptsThatNobodyMayExecute(t *testing.T) {
	t.Parallel()
	m := newMachine(t).script("a", "backup", "").script("a", "restore", "").script("a", "note", "")
	for name, mode := range map[string]os.FileMode{"backup": 0o644, "restore": 0o701, "note": 0o600} {
		if err := os.Chmod(filepath.Join(m.dir, "jobs/a/hooks", name), mode); err != nil {
			t.Fatal(err)
		}
	}
	d, notes := discover(t, deployment(t, m))
	var idle []string
	for _, s := range d.Instances[0].Jobs[0].Scripts {
		if s.NotExecutable {
			idle = append(idle, string(s.Kind))
		}
	}
	wantEqual(t, "not executable", []string{"backup"}, idle)
	wantEqual(t, "warnings", []string(nil), messages(notes, "warn"))
}
