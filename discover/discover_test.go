package discover

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lockstep"
	"lockstep/source"
	"lockstep/target"
	"lockstep/target/local"
)

// machine is an instance that is a folder of this machine, with a real shell.
type machine struct {
	t   *testing.T
	dir string
}

func newMachine(t *testing.T) machine {
	t.Helper()
	return machine{t, t.TempDir()}
}

// script writes jobs/JOB/hooks/NAME.
func (m machine) script(job, name, text string) machine {
	m.t.Helper()
	path := filepath.Join(m.dir, "jobs", job, "hooks", name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		m.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		m.t.Fatal(err)
	}
	return m
}

// deployment is made of machines, as group "g" with ids 0, 1, 2 …
func deployment(t *testing.T, machines ...machine) *source.Resolved {
	t.Helper()
	r := &source.Resolved{Name: "shop", Key: "k", Locations: lockstep.DefaultLocations()}
	r.Locations.Scripts = "jobs/{job}/hooks"
	for i, m := range machines {
		way := local.New(m.dir)
		t.Cleanup(func() { _ = way.Close() })
		id := fmt.Sprint(i)
		r.Instances = append(r.Instances, source.Instance{Group: "g", ID: id, Index: id, Bootstrap: i == 0, Target: way})
	}
	return r
}

func discover(t *testing.T, r *source.Resolved) (lockstep.Deployment, []lockstep.Noted) {
	t.Helper()
	d, notes, err := Discover(t.Context(), r, Options{Version: "1.9.0"})
	if err != nil {
		t.Fatalf("%v\nhint: %s", err, lockstep.HintOf(err))
	}
	return d, notes
}

// jobs are the jobs of an instance as JOB:KIND,KIND.
func jobs(in lockstep.Instance) []string {
	var out []string
	for _, j := range in.Jobs {
		var kinds []string
		for _, s := range j.Scripts {
			kinds = append(kinds, string(s.Kind))
		}
		out = append(out, j.Name+":"+strings.Join(kinds, ","))
	}
	return out
}

func messages(notes []lockstep.Noted, level string) []string {
	var out []string
	for _, n := range notes {
		if n.Level == level {
			out = append(out, n.Message)
		}
	}
	return out
}

func wantEqual(t *testing.T, what string, want, got any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func TestFindsScriptsOfTheSevenKindsOnly(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.script("redis", "backup", "echo b").script("redis", "restore", "").script("redis", "pre-backup-lock", "x")
	m.script("redis", "README", "").script("redis", "backup.old", "").script("redis", "deeper/backup", "")
	m.script("web", "post-backup-unlock", "").script("web", "metadata", "#!/bin/sh\n:")
	m.script(".hidden", "backup", "").script("mysql-backup", "metadata", "exit 1").script("mysql-restore", "backup", "")
	m.script("linked", "note", "")
	if err := os.Symlink("../../redis/hooks/backup", filepath.Join(m.dir, "jobs/linked/hooks/backup")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(m.dir, "jobs/linked/hooks/restore"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("redis", filepath.Join(m.dir, "jobs/alias")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(m.dir, "jobs/file"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	d, notes := discover(t, deployment(t, m))
	wantEqual(t, "jobs", []string{
		"alias:pre-backup-lock,backup,restore", "redis:pre-backup-lock,backup,restore", "web:metadata,post-backup-unlock",
	}, jobs(d.Instances[0]))
	wantEqual(t, "notes", []string{
		"g/0/alias/pre-backup-lock", "g/0/alias/backup", "g/0/alias/restore",
		"g/0/redis/pre-backup-lock", "g/0/redis/backup", "g/0/redis/restore",
		"g/0/web/metadata", "g/0/web/post-backup-unlock",
	}, messages(notes, "info"))
	again, _ := discover(t, deployment(t, m))
	wantEqual(t, "second discovery", d, again)
}

func TestDigestIsThatOfTheContent(t *testing.T) {
	t.Parallel()
	m := newMachine(t).script("a", "backup", "abc").script("a", "restore", "")
	d, _ := discover(t, deployment(t, m))
	wantEqual(t, "scripts", []lockstep.Script{
		{Kind: "backup", Path: "jobs/a/hooks/backup", Digest: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
		{Kind: "restore", Path: "jobs/a/hooks/restore", Digest: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
	}, d.Instances[0].Jobs[0].Scripts)
}

func TestMissingFoldersHaveNoScripts(t *testing.T) {
	t.Parallel()
	nothing, empty, other := newMachine(t), newMachine(t), newMachine(t)
	if err := os.MkdirAll(filepath.Join(empty.dir, "jobs/x"), 0o755); err != nil {
		t.Fatal(err)
	}
	other.script("a", "backup", "")
	d, _ := discover(t, deployment(t, nothing, empty, other))
	for i, want := range []int{0, 0, 1} {
		if got := len(d.Instances[i].Jobs); got != want {
			t.Errorf("instance %d has %d jobs, want %d", i, got, want)
		}
	}
}

func TestAFolderThatCannotBeListedIsAnError(t *testing.T) {
	t.Parallel()
	m := newMachine(t).script("a", "backup", "")
	loop := filepath.Join(m.dir, "jobs", "loop")
	if err := os.Symlink("loop", loop); err != nil {
		t.Fatal(err)
	}
	_, _, err := Discover(t.Context(), deployment(t, m), Options{})
	if err == nil || !strings.Contains(err.Error(), "look for scripts on g/0") || lockstep.HintOf(err) == "" {
		t.Errorf("got %v, hint %q", err, lockstep.HintOf(err))
	}
}

func TestLocationsOfManyShapes(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	base := filepath.Join(m.dir, "my [jobs]*'s")
	for _, dir := range []string{"app-redis-hooks/x", "app-web-hooks/x", "redis/x", "app-.y-hooks/x"} {
		if err := os.MkdirAll(filepath.Join(base, dir), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(base, dir, "backup"), nil, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(base, "redis", "backup"), nil, 0o755); err != nil {
		t.Fatal(err)
	}
	for location, want := range map[string][]string{
		base + "/app-{job}-hooks/x":        {"redis:backup", "web:backup"},
		base + "/{job}/x/":                 {"app-.y-hooks:backup", "app-redis-hooks:backup", "app-web-hooks:backup", "redis:backup"},
		base + "/{job}":                    {"redis:backup"},
		"my [jobs]*'s/./app-{job}-hooks/x": {"redis:backup", "web:backup"},
	} {
		r := deployment(t, m)
		r.Locations.Scripts = location
		d, _ := discover(t, r)
		wantEqual(t, location, want, jobs(d.Instances[0]))
		for _, j := range d.Instances[0].Jobs {
			path := j.Scripts[0].Path
			if !filepath.IsAbs(path) {
				path = filepath.Join(m.dir, path)
			}
			if _, err := os.Stat(path); err != nil {
				t.Errorf("%s: %v", location, err)
			}
		}
	}
}

func TestNastyNames(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"a b", "a\nb", "a'b", "a\\b", "$(touch x)", "ä", "\xff", "a\"b", "*"} {
		m := newMachine(t).script(name, "metadata", "touch ran").script("good", "backup", "")
		_, _, err := Discover(t.Context(), deployment(t, m), Options{})
		if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("look for scripts on g/0: job %q", name)) {
			t.Errorf("job %q: %v", name, err)
		}
		if !strings.Contains(lockstep.HintOf(err), "rename the folder") {
			t.Errorf("job %q: hint %q", name, lockstep.HintOf(err))
		}
		for _, file := range []string{"ran", "x"} {
			if _, err := os.Stat(filepath.Join(m.dir, file)); err == nil {
				t.Errorf("job %q made %s", name, file)
			}
		}
	}
	// Without scripts such a folder is nobody's business.
	m := newMachine(t).script("a\nb c", "note", "").script("good", "backup", "")
	d, _ := discover(t, deployment(t, m))
	wantEqual(t, "jobs", []string{"good:backup"}, jobs(d.Instances[0]))
}

func TestNoiseOfALoginShell(t *testing.T) {
	t.Parallel()
	m := newMachine(t).script("a", "backup", "")
	r := deployment(t, m)
	r.Instances[0].Target = wrapped{r.Instances[0].Target, func(command string) string {
		return "echo welcome; printf 'end\\0'; echo oh >&2; " + command
	}}
	d, _ := discover(t, r)
	wantEqual(t, "jobs", []string{"a:backup"}, jobs(d.Instances[0]))
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
	r.Sudo = false
	_, notes, err := Discover(t.Context(), r, Options{})
	want := `discover 2 of 4 instances: look for scripts on g/1: dial 10.0.0.1:22: connection refused: command was not started
look for scripts on g/3: the instance did not answer: exit 1: sudo: a password is required`
	wantEqual(t, "error", want, err.Error())
	wantEqual(t, "hint", `check that g/1 (10.0.0.1) is up and can be logged in to; a machine that is gone for good is taken out of the specification
log in to g/3 by hand and try: sh -c 'echo ok'`, lockstep.HintOf(err))
	wantEqual(t, "notes of the others", []string{"g/0/a/backup", "g/2/a/backup"}, messages(notes, "info"))
	if !errors.Is(err, target.ErrNotStarted) {
		t.Error("the cause is not to be found in the error")
	}
}

func TestSudo(t *testing.T) {
	t.Parallel()
	m := newMachine(t).script("a", "backup", "")
	r := deployment(t, m)
	r.Sudo = true
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

func TestABrokenOffProbeIsAnError(t *testing.T) {
	t.Parallel()
	m := newMachine(t).script("a", "backup", "")
	r := deployment(t, m)
	inner := r.Instances[0].Target
	for name, change := range map[string]func(string) string{
		"no space":      func(c string) string { return "export TMPDIR=/dev/null/x; " + c },
		"cut":           func(c string) string { return c + " | head -c 150" },
		"tool missing":  func(c string) string { return "PATH=" + filepath.Join(m.dir, "none") + " /bin/" + c },
		"killed midway": func(c string) string { return strings.Replace(c, "LC_ALL=C find -H", "kill -9 $$; find -H", 1) },
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

func TestManyInstancesAtOnceWithinTheLimit(t *testing.T) {
	t.Parallel()
	const instances, limit = 200, 8
	m := newMachine(t).script("a", "backup", "").script("a", "metadata", "echo may_be_empty: true")
	r := deployment(t, m)
	gate := &gauge{Target: r.Instances[0].Target}
	one := r.Instances[0]
	r.Instances = nil
	for i := range instances {
		one.ID, one.Index, one.Target = fmt.Sprint(i), fmt.Sprint(i), gate
		r.Instances = append(r.Instances, one)
	}
	d, notes, err := Discover(t.Context(), r, Options{Version: "1.9.0", Limit: limit})
	if err != nil {
		t.Fatal(err)
	}
	for i, in := range d.Instances {
		if in.ID != fmt.Sprint(i) || len(in.Jobs) != 1 || !in.Jobs[0].Metadata.MayBeEmpty {
			t.Fatalf("instance %d is %+v", i, in)
		}
	}
	if got := gate.most.Load(); got > limit {
		t.Errorf("%d probes at once, want at most %d", got, limit)
	}
	if gate.runs.Load() != instances {
		t.Errorf("%d commands for %d instances, want one each", gate.runs.Load(), instances)
	}
	if len(notes) != 2*instances {
		t.Errorf("%d notes", len(notes))
	}
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
