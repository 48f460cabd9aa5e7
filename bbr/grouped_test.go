package bbr

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lockstep"
	"lockstep/discover"
	mock "lockstep/internal/mockdirector"
	"lockstep/source"
	"lockstep/target"
	"lockstep/target/local"
)

// windows is a machine that knows nothing but its name.
type windows struct{}

func (windows) Run(_ context.Context, command string, s target.Streams) (target.Exit, error) {
	if command == "echo %OS%" {
		_, _ = io.WriteString(s.Stdout, "Windows_NT\r\n")
		return target.Exit{}, nil
	}
	return target.Exit{Code: 1}, nil
}

func (windows) RoundTrip() time.Duration { return 0 }
func (windows) Close() error             { return nil }

// lost is a machine that cannot be reached.
type lost struct{ windows }

func (lost) Run(context.Context, string, target.Streams) (target.Exit, error) {
	return target.Exit{}, errors.New("no route to host")
}

func groupOf(targets ...target.Target) *source.Resolved {
	res := &source.Resolved{Name: "cf", Locations: lockstep.Locations{Scripts: "jobs/{job}/bin/bbr", Artifacts: "store", Launcher: "run", Claim: "lib"}}
	for i, way := range targets {
		id := string(rune('a' + i))
		res.Instances = append(res.Instances, source.Instance{Group: "g", ID: id, Index: string(rune('0' + i)), Target: way})
	}
	return res
}

func ids(instances []source.Instance) string {
	var out []string
	for _, in := range instances {
		out = append(out, in.ID)
	}
	return strings.Join(out, " ")
}

func TestContract_2_1_WhichInstancesAreKept(t *testing.T) {
	t.Parallel()
	full, empty := t.TempDir(), t.TempDir()
	(&machine{t: t, dir: full}).script("redis", lockstep.ScriptBackup, "true")
	some, none := local.New(full), local.New(empty)
	for _, c := range []struct {
		name    string
		targets []target.Target
		kept    string
		warned  string
	}{
		{"all alike", []target.Target{some, some}, "a b", ""},
		{"windows", []target.Target{some, windows{}, some}, "a c", "skipping Windows instance g/b"},
		{"only windows", []target.Target{windows{}}, "", "skipping Windows instance g/a"},
		{"no jobs at all", []target.Target{none, none, none}, "a", ""},
		{"no jobs after the first", []target.Target{some, none, none}, "a b", ""},
		{"jobs after one without", []target.Target{none, some}, "a b", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var warned []string
			g := &grouped{version: "1.9.99", warn: func(s string) { warned = append(warned, s) }}
			kept, err := g.afterGroup(t.Context(), groupOf(c.targets...))
			if err != nil || ids(kept) != c.kept || strings.Join(warned, ";") != c.warned {
				t.Errorf("kept %q, warned %q, %v", ids(kept), warned, err)
			}
			d, _, err := g.discover(t.Context(), &source.Resolved{Name: "cf"}, discover.Options{})
			if err != nil || len(d.Instances) != len(kept) {
				t.Errorf("discovered %+v, %v", d.Instances, err)
			}
		})
	}
	g := &grouped{version: "1.9.99", warn: func(string) {}}
	if _, err := g.afterGroup(t.Context(), groupOf(some, lost{})); err == nil || !strings.Contains(err.Error(), "g/b") {
		t.Errorf("a lost machine: %v", err)
	}
}

func TestContract_2_5_BackupOneRestoreAll(t *testing.T) {
	t.Parallel()
	s, d := newDirectorSession(t)
	const group = "redis-dedicated-node"
	const text = "name: redis\ninstance_groups:\n- name: " + group + "\n  jobs:\n  - {name: redis, release: redis, properties: {bbr: {backup_one_restore_all: true}}}\n"
	m0, in0 := instance(t, group, "uuid-0", 0)
	m1, in1 := instance(t, group, "uuid-1", 1)
	m0.redis()
	m1.redis()
	m1.write("data", "dump of the other\n")
	d.Expect(mock.Deployment("cf", text, in0, in1), mock.Cleanup("cf", in0, in1))
	if b := s.deployment("cf", "backup"); b.code != 0 {
		t.Fatalf("exit %d", b.code)
	}
	folder := s.folders("cf_*")[0]
	const custom = "redis-redis-backup-one-restore-all"
	for _, tar := range []string{custom + ".tar", group + "-1-redis.tar"} {
		if _, err := os.Stat(filepath.Join(folder, tar)); err != nil {
			t.Error(err)
		}
	}
	metadata, _ := os.ReadFile(filepath.Join(folder, "metadata"))
	inOrder(t, string(metadata), "(?m)^instances:$", `(?m)^  index: "1"$`, "(?m)^custom_artifacts:$", "(?m)^- name: "+custom+"$", `(?m)^    \./backupdump1: `)
	m0.write("data", "lost")
	m1.write("data", "lost")
	d.Expect(mock.Deployment("cf", text, in0, in1), mock.Cleanup("cf", in0, in1))
	r := s.deployment("cf", "restore", "--artifact-path", folder)
	if r.code != 0 || m0.read("data") != "dump of redis\n" || m1.read("data") != "dump of redis\n" {
		t.Errorf("exit %d, %q, %q", r.code, m0.read("data"), m1.read("data"))
	}
	inOrder(t, r.out, `for job `+custom+` on `+group+`/\d\.\.\.`)
}
