package planner

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"lockstep"
)

var update = flag.Bool("update", false, "rewrite the plans in testdata")

// TestGolden plans each file of testdata. Its sections: "deployment"; for a
// restore "backup", the deployment that was backed up, and "silent", instances at
// which nobody answers; "request", one setting per line (see ask); and "plan", the
// text that is expected, or the error.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) < 20 {
		t.Fatalf("%d golden files, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			golden(t, file)
		})
	}
}

func golden(t *testing.T, file string) {
	ar, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	got := planText(t, ar)
	i := slices.IndexFunc(ar.Files, func(f txtar.File) bool { return f.Name == "plan" })
	if *update {
		if i >= 0 {
			ar.Files = slices.Delete(ar.Files, i, i+1)
		}
		ar.Files = append(ar.Files, txtar.File{Name: "plan", Data: []byte(got)})
		if err := os.WriteFile(file, txtar.Format(ar), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if i < 0 {
		t.Fatal("no plan section: run with -update and read what it wrote")
	}
	if diff := cmp.Diff(string(ar.Files[i].Data), got); diff != "" {
		t.Error(diff)
	}
}

// part is the text of a section, "" if there is none.
func part(ar *txtar.Archive, name string) string {
	for _, f := range ar.Files {
		if f.Name == name {
			return string(f.Data)
		}
	}
	return ""
}

// asked is what the request section of a golden file says.
type asked struct {
	op     string
	policy lockstep.Policy
	req    lockstep.Request
	alter  func(*lockstep.Backup)
	silent []lockstep.Instance
}

func planText(t *testing.T, ar *txtar.Archive) string {
	d := parseDeployment(t, part(ar, "deployment"))
	q := ask(t, part(ar, "request"))
	q.silent = parseDeployment(t, part(ar, "silent")).Instances
	plan, err := q.plan(t, d, part(ar, "backup"))
	if err != nil {
		text := "error: " + err.Error() + "\nkind: " + string(lockstep.KindOf(err)) + "\n"
		if hint := lockstep.HintOf(err); hint != "" {
			text += "hint: " + hint + "\n"
		}
		return text
	}
	return Text(plan)
}

func (q asked) plan(t *testing.T, d lockstep.Deployment, backup string) (lockstep.Plan, error) {
	switch q.op {
	case "backup":
		return Backup(d, q.policy, BackupOptions{ID: "shop_20261122T144241Z"})
	case "check":
		return Check(d, q.policy)
	case "cleanup":
		return Cleanup(d, q.policy, CleanupOptions{ForRestore: q.req.ForRestore})
	case "restore":
		b := backupOf(t, parseDeployment(t, backup), q.policy)
		q.alter(&b)
		return Restore(d, q.policy, RestoreOptions{Backup: b, Request: q.req, Silent: q.silent})
	}
	t.Fatalf("operation %q", q.op)
	return lockstep.Plan{}, nil
}

// backupOf is the manifest of a good backup of that deployment.
func backupOf(t testing.TB, d lockstep.Deployment, p lockstep.Policy) lockstep.Backup {
	plan, err := Backup(d, p, BackupOptions{ID: "shop_20261122T144241Z"})
	if err != nil {
		t.Fatal(err)
	}
	b := lockstep.Backup{
		V: 1, ID: plan.Backup, Deployment: d.Name, Key: d.Key, Data: lockstep.DataVerified,
		Instances: d.Instances, PlanDigest: plan.Digest(),
	}
	for _, a := range plan.Artifacts {
		b.Artifacts = append(b.Artifacts, lockstep.Artifact{Slot: a.Slot, Instance: a.Instance, Name: a.Name, Custom: a.Custom, Entries: 1})
	}
	return b
}

// ask reads a request section.
func ask(t *testing.T, text string) asked {
	q := asked{op: "backup", policy: lockstep.LockstepPolicy(), alter: func(*lockstep.Backup) {}}
	for _, line := range strings.Split(text, "\n") {
		key, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch key {
		case "":
		case "backup", "restore", "check", "cleanup":
			q.op = key
		case "for-restore":
			q.req.ForRestore = true
		case "bbr":
			q.policy = lockstep.BBRPolicy()
		case "lock-free":
			q.policy.LockFree = true
		case "rename-collisions":
			q.policy.RenameCollisions = true
		case "job":
			q.req.Jobs = append(q.req.Jobs, value)
		case "instance":
			q.req.Instances = append(q.req.Instances, lockstep.InstanceID(value))
		case "from":
			q.req.From = value
		case "map":
			from, to, _ := strings.Cut(value, "=")
			if q.req.Map == nil {
				q.req.Map = map[string]string{}
			}
			q.req.Map[from] = to
		case "allow-incomplete":
			q.req.AllowIncomplete = true
		case "data", "lacks", "reason":
			q.alter = altered(q.alter, key, value)
		default:
			t.Fatalf("request: %q", line)
		}
	}
	return q
}

// altered makes a backup worse, after what was altered before.
func altered(before func(*lockstep.Backup), key, value string) func(*lockstep.Backup) {
	return func(b *lockstep.Backup) {
		before(b)
		switch key {
		case "data":
			b.Data = lockstep.DataState(value)
		case "reason":
			b.Reasons = append(b.Reasons, value)
		case "lacks":
			i := slices.IndexFunc(b.Artifacts, func(a lockstep.Artifact) bool { return a.Name == value })
			b.Missing = append(b.Missing, b.Artifacts[i].Slot)
			b.Artifacts = slices.Delete(b.Artifacts, i, i+1)
		}
	}
}
