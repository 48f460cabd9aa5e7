package executor

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lockstep"
)

// TestUnfit: what says that nothing may be locked on an instance fails its check.
func TestUnfit(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.exec.cfg.Unfit = map[lockstep.InstanceID]error{"db/0": errors.New("nothing lasts there"), "db/1": nil}
	if f := w.do(w.task(lockstep.StageCheck, nil)); f.Outcome.OK() || f.Error != "nothing lasts there" {
		t.Errorf("got %+v", f)
	}
}

// TestBring: the check puts the scripts on the instance that are planned there, and
// no other; one that is not the one which was planned is not brought.
func TestBring(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	const text = "#!/bin/sh\nexit 0\n"
	sum := sha256.Sum256([]byte(text))
	digest := hex.EncodeToString(sum[:])
	planned := func(instance lockstep.InstanceID, digest string) lockstep.Step {
		return lockstep.Step{
			ID: lockstep.StepID(instance) + "/pg/backup", Instance: instance, Stage: lockstep.StageWork,
			Script: &lockstep.Script{Kind: lockstep.ScriptBackup, Path: w.plan.Locations.Pushed(digest), Digest: digest},
		}
	}
	w.plan.Waves = []lockstep.Wave{{Stage: lockstep.StageWork, Number: 1, Steps: []lockstep.Step{planned("db/0", digest), planned("db/1", "of another")}}}
	w.exec.cfg.Scripts = map[string]string{digest: text, "unplanned": text}
	if f := w.do(w.task(lockstep.StageCheck, nil)); !f.Outcome.OK() {
		t.Fatalf("got %+v", f)
	}
	there, err := filepath.Glob(filepath.Join(w.root, "lib/scripts/*"))
	if err != nil || len(there) != 1 || filepath.Base(there[0]) != digest {
		t.Errorf("there are %v, %v", there, err)
	}
	if b, err := os.ReadFile(filepath.Join(w.root, "lib/scripts", digest)); err != nil || string(b) != text {
		t.Errorf("there is %q, %v", b, err)
	}
	w.exec.cfg.Scripts = nil
	if f := w.do(w.task(lockstep.StageCheck, nil)); f.Outcome.OK() || !strings.Contains(f.Error, "not the configuration's any more") {
		t.Errorf("without its text: %+v", f)
	}
}
