package discover

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lockstep"
	"lockstep/source"
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

//fault:54 jobs and files with names that no shell likes | taken as they are, or refused by name
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

// TestPathsAreListedBeforeAllElseIsTold: whoever asks for them sees all scripts
// that were found, those of disabled jobs too, before any other note of the
// instance.
func TestPathsAreListedBeforeAllElseIsTold(t *testing.T) {
	t.Parallel()
	m := newMachine(t).script("a", "backup", "").script("a", "pre-backup-lock", "").
		script("off", "restore", "").script("off", "metadata", "#!/bin/sh\necho skip_bbr_scripts: true").
		script("mysql-backup", "backup", "").script("a", "other", "")
	_, notes, err := Discover(t.Context(), deployment(t, m, newMachine(t)), Options{Version: "1.9.0", Paths: true})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, n := range notes {
		got = append(got, n.Level+" "+n.Message)
	}
	wantEqual(t, "notes", []string{
		"debug Attempting to find scripts on g/0",
		"debug [find files] stdout: jobs/a/hooks/pre-backup-lock\njobs/a/hooks/backup\njobs/off/hooks/metadata\njobs/off/hooks/restore\n",
		"debug [find files] stderr: ",
		"info g/0/a/pre-backup-lock", "info g/0/a/backup",
		"debug Found disabled jobs on instance g/0 jobs: off",
		"debug Attempting to find scripts on g/1",
		"debug [find files] stdout: ", "debug [find files] stderr: ",
		"debug No files found for pattern 'jobs/*/hooks/*'",
	}, got)
}
