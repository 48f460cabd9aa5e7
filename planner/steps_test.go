package planner

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lockstep"
)

const onceForAll = `deployment shop
instance db/0
job pg custom=pg-all from=pg-all timeout=2h: pre-backup-lock backup post-backup-unlock restore
instance db/1
job pg from=pg-all: backup restore
job log may-be-empty: backup restore
`

func step(t *testing.T, plan lockstep.Plan, id lockstep.StepID) lockstep.Step {
	t.Helper()
	s, ok := plan.Step(id)
	if !ok {
		t.Fatalf("no step %s", id)
	}
	return s
}

// TestBackupSteps pins what the engine and the executor read of a step and
// what the texts of the golden files do not show.
func TestBackupSteps(t *testing.T) {
	t.Parallel()
	plan, err := Backup(parseDeployment(t, onceForAll), lockstep.LockstepPolicy(), BackupOptions{ID: "shop_1"})
	if err != nil {
		t.Fatal(err)
	}
	pg := lockstep.Slot{Group: "db", Index: "0", Job: "pg"}
	script := func(kind lockstep.ScriptKind) *lockstep.Script {
		return &lockstep.Script{Kind: kind, Path: "/var/vcap/jobs/pg/bin/bbr/" + string(kind), Digest: "d-pg-" + string(kind)}
	}
	base := func(id string, stage lockstep.Stage) lockstep.Step {
		return lockstep.Step{ID: lockstep.StepID("db/0/pg/" + id), Stage: stage, Wave: 1, Instance: "db/0", Slot: pg, Timeout: 2 * time.Hour}
	}
	lock, work, unlock := base("pre-backup-lock", lockstep.StageLock), base("backup", lockstep.StageWork), base("post-backup-unlock", lockstep.StageUnlock)
	lock.Script, work.Script, unlock.Script = script(lockstep.ScriptPreBackupLock), script(lockstep.ScriptBackup), script(lockstep.ScriptPostBackupUnlock)
	work.Artifact = "pg-all"
	work.Env = []string{"ARTIFACT_DIRECTORY=/var/vcap/store/bbr-backup/pg-all/", "BBR_ARTIFACT_DIRECTORY=/var/vcap/store/bbr-backup/pg-all/"}
	unlock.Of = lock.ID
	collect, verify := base("collect", lockstep.StageCollect), base("verify", lockstep.StageVerify)
	collect.Artifact, collect.Timeout, verify.Artifact, verify.Timeout, verify.Of = "pg-all", 24*time.Hour, "pg-all", 24*time.Hour, collect.ID
	commit := lockstep.Step{ID: "repository/commit", Stage: lockstep.StageCommit, Wave: 1, Timeout: 10 * time.Minute}
	for _, want := range []lockstep.Step{lock, work, unlock, collect, verify, commit} {
		if diff := cmp.Diff(want, step(t, plan, want.ID)); diff != "" {
			t.Error(diff)
		}
	}
	for id, empty := range map[lockstep.StepID]bool{"db/0/pg/collect": false, "db/1/pg/collect": true, "db/1/log/collect": true} {
		if s := step(t, plan, id); s.MayBeEmpty != empty {
			t.Errorf("%s may be empty: %v", id, s.MayBeEmpty)
		}
	}
	if plan.Backup != "shop_1" || len(plan.Instances) != 2 || plan.Instances[0].Jobs != nil || plan.Instances[0].Address == "" {
		t.Errorf("backup %s, instances %+v", plan.Backup, plan.Instances)
	}
	if env := step(t, plan, "db/1/pg/backup").Env; env[1] != "BBR_ARTIFACT_DIRECTORY=/var/vcap/store/bbr-backup/pg/" {
		t.Errorf("env %q", env)
	}
}

func TestRestoreSteps(t *testing.T) {
	t.Parallel()
	d := parseDeployment(t, onceForAll)
	b := backupOf(t, d, lockstep.LockstepPolicy())
	b.Key, b.Data = "", lockstep.DataUnproven // a foreign one
	plan, err := Restore(d, lockstep.LockstepPolicy(), RestoreOptions{Backup: b})
	if err != nil {
		t.Fatal(err)
	}
	if n := len(plan.Steps(lockstep.StageRead)); n != 2 {
		t.Errorf("%d reads", n)
	}
	for _, place := range []lockstep.StepID{"db/0/pg/place", "db/1/pg/place"} {
		if s := step(t, plan, place); s.Of != "repository/pg-all/read" || s.Artifact != "pg-all" {
			t.Errorf("%+v", s)
		}
	}
	b.Data = lockstep.DataVerified
	for i := range b.Artifacts {
		b.Artifacts[i].Digest = "sha256:00"
	}
	if again, err := Restore(d, lockstep.LockstepPolicy(), RestoreOptions{Backup: b}); err != nil || len(again.Steps(lockstep.StageRead)) != 1 {
		t.Errorf("what goes to several instances is not read once: %d, %v", len(again.Steps(lockstep.StageRead)), err)
	} else if s := step(t, again, "db/1/log/place"); s.Of != "" || s.Proven {
		t.Errorf("what can be proven on its way is read before: %+v", s)
	}
	proven, err := Restore(d, lockstep.LockstepPolicy(), RestoreOptions{Backup: b, Request: lockstep.Request{Proven: true}})
	if err != nil || len(proven.Steps(lockstep.StageRead)) != 0 || !step(t, proven, "db/1/pg/place").Proven {
		t.Errorf("what is proven is read again: %v", err)
	}
	second := step(t, plan, "db/1/pg/restore")
	if second.After != "db/0/pg/restore" || second.Env[1] != "BBR_ARTIFACT_DIRECTORY=/var/vcap/store/bbr-backup/pg-all/" {
		t.Errorf("%+v", second)
	}
	if a, ok := plan.Artifact(second.Slot); !ok || !a.Custom || a.Dir != "pg-all" {
		t.Errorf("%+v", a)
	}
}

// TestMalformed: what two discoveries in disagreement, or a bug, could give.
func TestMalformed(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		text    string
		cleanup lockstep.Kind // what a cleanup says
	}{
		"one id twice":    {"deployment s\ninstance a/0\njob j: backup\ninstance a/0 index=1", lockstep.KindInvalid},
		"one place twice": {"deployment s\ninstance a/x index=0\njob j: backup\ninstance a/y index=0", lockstep.KindInternal},
		"one job twice":   {"deployment s\ninstance a/0\njob j: backup\njob j: backup", lockstep.KindInvalid},
		"one kind twice":  {"deployment s\ninstance a/0\njob j: backup backup", lockstep.KindInvalid},
		"a name":          {"deployment s\ninstance a/0\njob -j: backup", lockstep.KindInvalid},
		"an index":        {"deployment s\ninstance a/x index=\njob j: backup", lockstep.KindInvalid},
	} {
		d := parseDeployment(t, test.text)
		if _, err := Backup(d, lockstep.LockstepPolicy(), BackupOptions{}); lockstep.KindOf(err) != lockstep.KindInvalid {
			t.Errorf("%s: backup: %v", name, err)
		}
		if _, err := Cleanup(d, lockstep.LockstepPolicy(), CleanupOptions{}); lockstep.KindOf(err) != test.cleanup || (err == nil) != (test.cleanup == "") {
			t.Errorf("%s: cleanup: %v", name, err)
		}
	}
}

// TestManyInstances: the graph is drawn between classes of members, so that a
// request between two jobs of thousands of instances is one edge.
func TestManyInstances(t *testing.T) {
	t.Parallel()
	text := "deployment s\n"
	for i := range 2000 {
		text += fmt.Sprintf("instance a/%d\njob x before=y: pre-backup-lock backup post-backup-unlock\njob y: pre-backup-lock post-backup-unlock\n", i)
	}
	d := parseDeployment(t, text)
	if n := len(classesOf(membersOf(d.Instances), backingUp.requests)); n != 2 {
		t.Fatalf("%d classes", n)
	}
	plan, err := Backup(d, lockstep.LockstepPolicy(), BackupOptions{})
	if err != nil || len(plan.Steps(lockstep.StageUnlock)) != 4000 {
		t.Fatal(err)
	}
	if first := plan.Instances[10].ID; first != "10" {
		t.Errorf("instance %s is the eleventh", first)
	}
}

func TestFolderTakenOnOneInstance(t *testing.T) {
	t.Parallel()
	d := parseDeployment(t, "deployment s\ninstance a/0\njob all: backup\njob pg custom=all: backup")
	if _, err := Backup(d, lockstep.BBRPolicy(), BackupOptions{}); lockstep.KindOf(err) != lockstep.KindRefused {
		t.Errorf("two jobs with one folder: %v", err)
	}
}
