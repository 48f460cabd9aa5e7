package bbr

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lockstep"
	"lockstep/planner"
)

// blind sees nothing beside the events.
type blind struct{}

func (blind) placedSize(string) string                      { return "12K" }
func (blind) members(string) []string                       { return []string{"./a", "./b"} }
func (blind) printed(lockstep.StepID, int) (string, string) { return "out\n", "err\n" }

// tale makes a run's events and keeps the lines that they make.
type tale struct {
	t     *testing.T
	n     *narrator
	seq   uint64
	lines []string
}

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func newTale(t *testing.T, req lockstep.Request, debug bool) *tale {
	t.Helper()
	a := &tale{t: t, n: newNarrator("cf", false, debug, blind{})}
	a.tell(lockstep.RunOpened{Operation: req.Operation, Deployment: "cf", Policy: lockstep.BBRPolicy(), Request: req})
	a.tell(lockstep.Noted{Level: "debug", Phase: lockstep.PhasePlan})
	return a
}

func (a *tale) tell(d lockstep.EventData) {
	a.t.Helper()
	e := lockstep.Event{V: lockstep.EventVersion, Run: "r", Term: 1, Time: noon, Data: d}
	if _, progress := d.(lockstep.Progress); !progress {
		a.seq++
		e.Seq = a.seq
	}
	for _, l := range a.n.take(e) {
		a.lines = append(a.lines, l.level+" - "+l.text)
	}
}

// step tells of one try of a step.
func (a *tale) step(id string, attempt int, o lockstep.Outcome) {
	a.t.Helper()
	a.tell(lockstep.StepStarted{Step: lockstep.StepID(id), Attempt: attempt})
	f := lockstep.StepFinished{Step: lockstep.StepID(id), Attempt: attempt, Outcome: o}
	if strings.HasSuffix(id, "/collect") || strings.HasSuffix(id, "/verify") {
		f.Artifact = &lockstep.Artifact{Name: "a", Bytes: 10240}
	}
	a.tell(f)
}

func (a *tale) well(ids ...string) {
	a.t.Helper()
	for _, id := range ids {
		a.step(id, 1, lockstep.Exited(0))
	}
}

func (a *tale) end(want ...string) {
	a.t.Helper()
	a.tell(lockstep.RunEnded{Ending: lockstep.Ending{State: lockstep.RunSucceeded}})
	got := strings.Split(strings.ReplaceAll(strings.Join(a.lines, "\n"), "\n\n", "\n"), "\n")
	if got[len(got)-1] == "" {
		got = got[:len(got)-1]
	}
	if diff := cmp.Diff(want, got); diff != "" {
		a.t.Errorf("(-want +got):\n%s", diff)
	}
}

func someJob(name string, kinds ...lockstep.ScriptKind) lockstep.Job {
	j := lockstep.Job{Name: name}
	for _, k := range kinds {
		j.Scripts = append(j.Scripts, lockstep.Script{Kind: k, Path: "/var/vcap/jobs/" + name + "/bin/bbr/" + string(k)})
	}
	return j
}

func found() lockstep.Deployment {
	return lockstep.Deployment{Name: "cf", Key: "k", Locations: lockstep.DefaultLocations(), Instances: []lockstep.Instance{
		{Group: "db", ID: "x", Index: "0", Jobs: []lockstep.Job{someJob("pg", lockstep.ScriptKinds()...)}},
		{Group: "web", ID: "y", Index: "0", Jobs: []lockstep.Job{someJob("web", lockstep.ScriptPreBackupLock, lockstep.ScriptPostBackupUnlock)}},
	}}
}

func (a *tale) plan(p lockstep.Plan, err error) {
	a.t.Helper()
	if err != nil {
		a.t.Fatal(err)
	}
	a.tell(lockstep.RunPlanned{Plan: p, Found: found()})
}

func TestContract_3_1_LinesOfABackup(t *testing.T) {
	t.Parallel()
	a := newTale(t, lockstep.Request{Operation: lockstep.OperationBackup}, true)
	a.plan(planner.Backup(found(), lockstep.BBRPolicy(), planner.BackupOptions{ID: "cf_20261122T120000Z"}))
	a.well("db/x/check", "web/y/check", "repository/check", "repository/begin", "db/x/pg/pre-backup-lock", "web/y/web/pre-backup-lock", "db/x/pg/backup",
		"db/x/pg/post-backup-unlock", "web/y/web/post-backup-unlock")
	a.tell(lockstep.Progress{Step: "db/x/pg/collect", Total: 3004 << 10}) // before its step is known to have started
	a.tell(lockstep.StepStarted{Step: "db/x/pg/collect", Attempt: 1})
	for _, n := range []int64{60 << 10, 600 << 10, 610 << 10, 9000 << 10} {
		a.tell(lockstep.Progress{Step: "db/x/pg/collect", Bytes: n, Total: 3004 << 10})
	}
	a.tell(lockstep.StepFinished{Step: "db/x/pg/collect", Attempt: 1, Outcome: lockstep.Exited(0), Artifact: &lockstep.Artifact{Name: "db-0-pg"}})
	a.tell(lockstep.Progress{Step: "db/x/pg/collect", Bytes: 1, Total: 3004 << 10}) // late
	a.well("db/x/pg/verify", "repository/commit", "db/x/clean", "web/y/clean")
	a.end(
		"INFO - Looking for scripts",
		"INFO - Running pre-checks for backup of cf...",
		"INFO - Starting backup of cf...",
		"INFO - Running pre-backup-lock scripts...",
		"DEBUG - > /var/vcap/jobs/pg/bin/bbr/pre-backup-lock", "INFO - Locking pg on db/x for backup...",
		"DEBUG - stdout: out", "DEBUG - stderr: err", "INFO - Finished locking pg on db/x for backup.",
		"DEBUG - > /var/vcap/jobs/web/bin/bbr/pre-backup-lock", "INFO - Locking web on web/y for backup...",
		"DEBUG - stdout: out", "DEBUG - stderr: err", "INFO - Finished locking web on web/y for backup.",
		"INFO - Finished running pre-backup-lock scripts.",
		"INFO - Running backup scripts...",
		"DEBUG - > /var/vcap/jobs/pg/bin/bbr/backup", "INFO - Backing up pg on db/x...",
		"DEBUG - stdout: out", "DEBUG - stderr: err", "INFO - Finished backing up pg on db/x.",
		"INFO - Finished running backup scripts.",
		"INFO - Running post-backup-unlock scripts...",
		"DEBUG - > /var/vcap/jobs/pg/bin/bbr/post-backup-unlock", "INFO - Unlocking pg on db/x...",
		"DEBUG - stdout: out", "DEBUG - stderr: err", "INFO - Finished unlocking pg on db/x.",
		"DEBUG - > /var/vcap/jobs/web/bin/bbr/post-backup-unlock", "INFO - Unlocking web on web/y...",
		"DEBUG - stdout: out", "DEBUG - stderr: err", "INFO - Finished unlocking web on web/y.",
		"INFO - Finished running post-backup-unlock scripts.",
		"INFO - Copying backup -- 3.0M uncompressed -- for job pg on db/x...",
		"INFO - Copying backup for job pg on db/x -- 19% complete",
		"INFO - Copying backup for job pg on db/x -- 100% complete",
		"INFO - Finished copying backup -- for job pg on db/x...",
		"INFO - Starting validity checks -- for job pg on db/x...",
		"DEBUG - Calculating shasum for local file ./a", "DEBUG - Calculating shasum for local file ./b",
		"DEBUG - Calculating shasum for remote files on db/x", "DEBUG - Comparing shasums",
		"INFO - Finished validity checks -- for job pg on db/x...",
		"INFO - Backup created of cf on "+noon.Local().String(),
	)
}

func TestContract_3_1_LinesOfABackupThatFails(t *testing.T) {
	t.Parallel()
	a := newTale(t, lockstep.Request{Operation: lockstep.OperationBackup}, false)
	a.plan(planner.Backup(found(), lockstep.BBRPolicy(), planner.BackupOptions{ID: "cf_20261122T120000Z"}))
	a.well("db/x/check", "web/y/check", "repository/check", "repository/begin")
	a.tell(lockstep.StepStarted{Step: "db/x/pg/pre-backup-lock", Attempt: 1})
	a.tell(lockstep.StepStarted{Step: "web/y/web/pre-backup-lock", Attempt: 1})
	a.tell(lockstep.StepFinished{Step: "db/x/pg/pre-backup-lock", Attempt: 1, Outcome: lockstep.Exited(1)})
	a.tell(lockstep.StepFinished{Step: "web/y/web/pre-backup-lock", Attempt: 1, Outcome: lockstep.Exited(0)})
	a.step("db/x/pg/post-backup-unlock", 1, lockstep.Exited(1))
	a.well("web/y/web/post-backup-unlock")
	a.step("db/x/pg/post-backup-unlock", 2, lockstep.Exited(1))
	a.well("db/x/clean", "web/y/clean")
	a.end(
		"INFO - Looking for scripts",
		"INFO - Running pre-checks for backup of cf...",
		"INFO - Starting backup of cf...",
		"INFO - Running pre-backup-lock scripts...",
		"INFO - Locking pg on db/x for backup...", "INFO - Locking web on web/y for backup...",
		"ERROR - Error locking pg on db/x.", "INFO - Finished locking web on web/y for backup.",
		"INFO - Finished running pre-backup-lock scripts.",
		"INFO - Running post-backup-unlock scripts...",
		"INFO - Unlocking pg on db/x...", "WARN - Error unlocking pg on db/x. It is tried again.",
		"INFO - Unlocking web on web/y...", "INFO - Finished unlocking web on web/y.",
		"INFO - Unlocking pg on db/x...", "ERROR - Error unlocking pg on db/x.",
		"INFO - Finished running post-backup-unlock scripts.",
	)
}

func TestContract_3_6_LinesOfACleanup(t *testing.T) {
	t.Parallel()
	a := newTale(t, lockstep.Request{Operation: lockstep.OperationCleanup, ForRestore: true}, false)
	a.plan(planner.Cleanup(found(), lockstep.BBRPolicy(), planner.CleanupOptions{ForRestore: true}))
	a.well("db/x/pg/post-restore-unlock", "db/x/clean", "web/y/clean")
	a.end(
		"INFO - Looking for scripts",
		"INFO - Running post-restore-unlock scripts...",
		"INFO - Unlocking pg on db/x...", "INFO - Finished unlocking pg on db/x.",
		"INFO - Finished running post-restore-unlock scripts.",
	)
}

func TestContract_3_5_LinesOfARestore(t *testing.T) {
	t.Parallel()
	a := newTale(t, lockstep.Request{Operation: lockstep.OperationRestore, Proven: true}, false)
	backup := lockstep.Backup{ID: "b", Deployment: "cf", Data: lockstep.DataVerified, Artifacts: []lockstep.Artifact{
		{Slot: lockstep.Slot{Group: "db", Index: "0", Job: "pg"}, Name: "db-0-pg"},
	}}
	a.plan(planner.Restore(found(), lockstep.BBRPolicy(), planner.RestoreOptions{Backup: backup, Request: lockstep.Request{Proven: true}}))
	a.well("db/x/check", "web/y/check", "db/x/pg/place", "db/x/pg/pre-restore-lock", "db/x/pg/restore", "db/x/pg/post-restore-unlock", "db/x/clean", "web/y/clean")
	a.end(
		"INFO - Looking for scripts",
		"INFO - Copying backup -- 12K uncompressed -- for job pg on db/0...",
		"INFO - Finished copying backup for job pg on db/0.",
		"INFO - Running pre-restore-lock scripts...",
		"INFO - Locking pg on db/x for restore...", "INFO - Finished locking pg on db/x for restore.",
		"INFO - Finished running pre-restore-lock scripts.",
		"INFO - Running restore scripts...",
		"INFO - Restoring pg on db/x...", "INFO - Finished restoring pg on db/x.",
		"INFO - Finished running restore scripts.",
		"INFO - Completed restore of cf",
		"INFO - Running post-restore-unlock scripts...",
		"INFO - Unlocking pg on db/x...", "INFO - Finished unlocking pg on db/x.",
		"INFO - Finished running post-restore-unlock scripts.",
	)
}
