package executor

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lockstep"
	"lockstep/helper/helpertest"
	"lockstep/launcher"
)

// lentWorld is one in which the helper for this machine, or for another, may be lent.
func lentWorld(t *testing.T, change func(*lockstep.Policy), machine string) *world {
	t.Helper()
	w := newWorldOf(t, change, launcher.Config{RunDir: "run", StateDir: "lib", Programs: launcher.Programs{machine: helpertest.Packed(t)}})
	if _, err := w.repo.Begin(t.Context(), "shop_1"); err != nil {
		t.Fatal(err)
	}
	w.saved()
	write(t, filepath.Join(w.root, "store/pg/f"), strings.Repeat("x", 1<<20))
	return w
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// notes are the lines that were noted.
func (w *world) notes() (lines []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, f := range w.facts {
		if n, ok := f.(lockstep.Noted); ok {
			lines = append(lines, n.Level+" "+string(n.Instance)+" "+n.Message)
		}
	}
	return lines
}

// TestTheHelperIsLentWhereItIsWorthIt: once, for a large artifact, if the policy has it;
// and the journal says by what way an artifact came.
func TestTheHelperIsLentWhereItIsWorthIt(t *testing.T) {
	t.Parallel()
	here := helpertest.Machine(t)
	for name, c := range map[string]struct {
		machine string
		worth   int64
		refused bool
		lent    bool
		says    string
	}{
		"large":           {here, 1 << 20, false, true, "the helper reads"},
		"small":           {here, 16 << 20, false, false, ""},
		"refused":         {here, 1 << 20, true, false, ""},
		"another machine": {"vax", 1 << 20, false, false, "the shell reads and writes its artifacts: the instance has no helper: there is none for machines"},
	} {
		t.Run(name, func(t *testing.T) {
			w := lentWorld(t, func(p *lockstep.Policy) { p.NoHelper = c.refused }, c.machine)
			w.exec.worthLending = c.worth
			for range 2 {
				f := w.do(w.task(lockstep.StageCollect, nil))
				if !f.Outcome.OK() {
					t.Fatalf("%+v", f)
				}
				proof := w.task(lockstep.StageVerify, nil)
				proof.Artifact = f.Artifact
				if f = w.do(proof); !f.Outcome.OK() {
					t.Fatalf("%+v", f)
				}
			}
			if lent := w.exec.cfg.Clients["db/0"].Lent(); lent != c.lent {
				t.Errorf("lent: %v", lent)
			}
			notes := w.notes()
			if c.says == "" && len(notes) != 0 || c.says != "" && (len(notes) != 1 || !strings.HasPrefix(notes[0], "debug db/0 "+c.says)) {
				t.Errorf("%q", notes)
			}
		})
	}
}

// placed keeps what was collected, removes it from the instance, and places it there.
func (w *world) placed(t *testing.T, a *lockstep.Artifact) lockstep.StepFinished {
	t.Helper()
	manifest := lockstep.Backup{V: 1, ID: "shop_1", Deployment: "shop", Data: lockstep.DataVerified, Artifacts: []lockstep.Artifact{*a}}
	commit := w.task(lockstep.StageCommit, nil)
	commit.Manifest = &manifest
	if f := w.do(commit); !f.Outcome.OK() {
		t.Fatalf("%+v", f)
	}
	if err := os.RemoveAll(filepath.Join(w.root, "store/pg")); err != nil {
		t.Fatal(err)
	}
	place := w.task(lockstep.StagePlace, nil)
	place.Manifest, place.Artifact = &manifest, a
	return w.do(place)
}

// TestARestoreGoesOnWithoutItsHelper: it is gone when the first byte is to be placed;
// the artifact is sent again.
func TestARestoreGoesOnWithoutItsHelper(t *testing.T) {
	t.Parallel()
	w := lentWorld(t, nil, helpertest.Machine(t))
	w.exec.worthLending = 0
	f := w.do(w.task(lockstep.StageCollect, nil))
	if !f.Outcome.OK() {
		t.Fatalf("%+v", f)
	}
	files, _ := filepath.Glob(filepath.Join(w.root, "run/helper-*"))
	if len(files) != 1 {
		t.Fatalf("%q", files)
	}
	if err := os.Remove(files[0]); err != nil {
		t.Fatal(err)
	}
	if f := w.placed(t, f.Artifact); !f.Outcome.OK() {
		t.Fatalf("%+v", f)
	}
	if b, _ := os.ReadFile(filepath.Join(w.root, "store/pg/f")); len(b) != 1<<20 {
		t.Errorf("%d bytes", len(b))
	}
}
