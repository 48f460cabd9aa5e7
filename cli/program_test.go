package cli

import (
	"encoding/json"
	"strings"
	"testing"

	"lockstep"
	"lockstep/internal/golden"
)

func (r result) String() string {
	return strings.Join([]string{"-- stdout --", r.stdout + "-- stderr --", r.stderr + "-- exit --", exitStatus(r.code).Error(), ""}, "\n")
}

func TestBackupInPlainLines(t *testing.T) {
	t.Parallel()
	golden.Check(t, "golden/backup.txt", runWith(t, newFake(), nil, "backup", "shop").String())
}

func TestBackupWhoseLockFails(t *testing.T) {
	t.Parallel()
	f := newFake()
	f.play.Fates["db/0/postgres/pre-backup-lock"] = lockstep.StepFinished{
		Outcome: lockstep.Exited(3), Error: "exit 3", Hint: "see the job's log on db/0",
	}
	f.output = []lockstep.StepOutput{
		{Attempt: 1, Stream: "stdout", Head: []byte("noise\n")},
		{Attempt: 1, Stream: "stderr", Head: []byte("cannot freeze\x1b[2J\nno space left\n")},
	}
	golden.Check(t, "golden/backup_lock_fails.txt", runWith(t, f, nil, "backup", "shop").String())
}

func TestBackupWhoseUnlockFailsOnce(t *testing.T) {
	t.Parallel()
	f := newFake()
	f.play.Fates["web/0/web/post-backup-unlock"] = lockstep.StepFinished{Outcome: lockstep.Exited(1)}
	r := runWith(t, f, nil, "backup", "shop")
	if r.code != lockstep.ExitUnlock {
		t.Errorf("exit code %d, want %d", r.code, lockstep.ExitUnlock)
	}
	golden.Check(t, "golden/backup_unlock_fails_once.txt", r.String())
}

func TestRestoreInPlainLines(t *testing.T) {
	t.Parallel()
	f := newFake()
	golden.Check(t, "golden/restore.txt", runWith(t, f, nil, "restore", "shop", "latest", "--yes").String())
}

func TestJSONOfARun(t *testing.T) {
	t.Parallel()
	r := runWith(t, newFake(), nil, "backup", "shop", "-o", "json")
	var rep lockstep.RunReport
	if err := json.Unmarshal([]byte(r.stdout), &rep); err != nil {
		t.Fatalf("%v in %s", err, r.stdout)
	}
	if rep.State != lockstep.RunSucceeded || *rep.Data != lockstep.DataVerified || len(rep.Artifacts) != 2 || rep.LockWindow == nil {
		t.Errorf("got %+v", rep)
	}
	golden.Check(t, "golden/backup.json", r.stdout)
}

func TestPlanText(t *testing.T) {
	t.Parallel()
	golden.Check(t, "golden/plan.txt", runWith(t, newFake(), nil, "plan", "shop").String())
}

func TestLogsAsJSON(t *testing.T) {
	t.Parallel()
	r := runWith(t, newFake(), nil, "backup", "shop", "--log-format", "json")
	for l := range strings.Lines(r.stderr) {
		var fields map[string]any
		if err := json.Unmarshal([]byte(l), &fields); err != nil {
			t.Fatalf("%v in line %s", err, l)
		}
		if fields["run_id"] != "0198c0de-0001" || fields["deployment"] != "shop" {
			t.Errorf("line without its run: %s", l)
		}
	}
	if !strings.Contains(r.stderr, `"lock_window_seconds":`) {
		t.Errorf("no lock window in %s", r.stderr)
	}
}
