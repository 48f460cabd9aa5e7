package launcher

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"lockstep"
)

// TestScriptsThatARunBrings lie under their digests, run like others, and go with
// the last run that has anything there.
func TestScriptsThatARunBrings(t *testing.T) {
	shells(t, func(t *testing.T, sh string) {
		i := newInstance(t, sh)
		defer i.Close()
		i.claim("r1")
		text := "#!/bin/sh\necho brought >" + i.dir + "/ran\n"
		sum := sha256.Sum256([]byte(text))
		digest := hex.EncodeToString(sum[:])
		for range 2 { // it may be repeated
			if err := i.PutScripts(i.ctx(), map[string]string{digest: text, "other": "#!/bin/sh\n"}); err != nil {
				t.Fatal(err)
			}
		}
		s := step("r1", "s", "var/lockstep/scripts/"+digest)
		s.Digest = digest
		i.start(s)
		if st, _ := i.wait(s); st.Outcome != lockstep.Exited(0) {
			t.Errorf("it ended with %+v", st)
		}
		if b, _ := os.ReadFile(filepath.Join(i.dir, "ran")); string(b) != "brought\n" {
			t.Errorf("it left %q", b)
		}
		folder := filepath.Join(i.dir, "var/lockstep/scripts")
		if info, err := os.Stat(filepath.Join(folder, digest)); err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("it is %v, %v", info, err)
		}
		// What is owed for all its tries keeps them.
		lock := step("r1", "lock-a", i.script("lock", "#!/bin/sh\n"))
		i.start(lock)
		i.wait(lock)
		unlock := Unlock{Wave: 1, Step: step("r1", "unlock-a", "var/lockstep/scripts/"+digest), LockRef: lock.StepRef, Timeout: time.Minute}
		if err := i.Arm(i.ctx(), Lease{Duration: time.Hour, Unlocks: []Unlock{unlock}}); err != nil {
			t.Fatal(err)
		}
		failing := step("r1", "unlock-a", i.script("unlock", "#!/bin/sh\nexit 1\n"))
		i.start(failing)
		i.wait(failing)
		if err := i.Release(i.ctx(), ReleaseDone, "unlock-a"); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(folder); err != nil {
			t.Errorf("what is still owed lost its scripts: %v", err)
		}
		i.claim("r2")
		if err := i.Release(i.ctx(), ReleaseAll); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(folder); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("they are still there: %v", err)
		}
	})
}

// TestScriptsOfADisplacedRun are not taken.
func TestScriptsOfADisplacedRun(t *testing.T) {
	t.Parallel()
	i := newInstance(t, "sh")
	defer i.Close()
	i.claim("r1")
	other := i.another("sh")
	defer other.Close()
	req := request("r2", 1)
	req.TakeOver = true
	if _, err := other.Claim(i.ctx(), req); err != nil {
		t.Fatal(err)
	}
	if err := i.PutScripts(i.ctx(), map[string]string{"x": "#!/bin/sh\n"}); !errors.Is(err, ErrFenced) {
		t.Errorf("got %v; want ErrFenced", err)
	}
}
