package executor

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lockstep"
	"lockstep/repository"
	"lockstep/spill"
)

// staging is a repository that can show what was put into it; with rot a bit
// of every file has turned since.
type staging struct {
	repository.Repository
	tar bytes.Buffer
	rot bool
}

func (s *staging) Put(ctx context.Context, id lockstep.BackupID, name string, tar io.Reader) (repository.Content, error) {
	s.tar.Reset()
	return s.Repository.Put(ctx, id, name, io.TeeReader(tar, &s.tar))
}

func (s *staging) StagedEntries(ctx context.Context, _ lockstep.BackupID, _ string) (*spill.List, error) {
	list, _, err := repository.ReadTar(ctx, &s.tar)
	if err != nil || !s.rot {
		return list, err
	}
	rotten := spill.NewBuilder(ctx, spill.Shared())
	for e := range list.All() {
		e.Sum[0] ^= 1
		if err := rotten.Add(e); err != nil {
			return nil, err
		}
	}
	return rotten.List()
}

// TestVerifySaysWhatIsWrong: it tells a file that something still writes to
// from a repository that has lost what it was given, and names the file.
//
//fault:6 something writes to the artifact after its script has ended | the verify fails: `something still writes to it`, with the file
//fault:53 a file changes while it is read | the verify fails: `it changed while it was read`, with the file
//fault:45 the repository gives back other bytes than it was given | the verify fails: `content differs`, with the file
func TestVerifySaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		between func(w *world, dir string)
		says    []string
		rot     bool
	}{
		"written to all the time": {
			func(w *world, dir string) {
				// What was said was said of another moment than the next look.
				w.exec.inventories["db-0-pg"].keep(entriesOf(w, dir, "in the meantime"), nil)
			},
			[]string{"something still writes to it", `"data"`}, false,
		},
		"written to all the time, and large": {
			func(w *world, dir string) {
				inv := w.exec.inventories["db-0-pg"]
				inv.keep(entriesOf(w, dir, "in the meantime"), nil)
				inv.entries = nil
			},
			[]string{"something still writes to it", "too many entries"}, false,
		},
		"rotten, and large": {
			func(w *world, _ string) {
				w.exec.cfg.Repository.(*staging).rot = true
				w.exec.inventories["db-0-pg"].entries = nil
			},
			[]string{`"data": content differs`, repository.ErrCorrupt.Error()}, true,
		},
		"written to once": {
			func(w *world, dir string) {
				w.exec.inventories = map[string]*inventory{} // as after a recovery: it is taken anew
				put(w, dir, "after that")
			},
			[]string{"it changed while it was read", `"data"`}, false,
		},
		"rotten": {
			func(w *world, _ string) { w.exec.cfg.Repository.(*staging).rot = true },
			[]string{`"data": content differs`, repository.ErrCorrupt.Error()}, true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, nil)
			w.exec.cfg.Repository = &staging{Repository: w.repo}
			if _, err := w.repo.Begin(t.Context(), "shop_1"); err != nil {
				t.Fatal(err)
			}
			dir := filepath.Join(w.root, "store/pg")
			if err := os.MkdirAll(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			put(w, dir, "before")
			collected := w.do(w.task(lockstep.StageCollect, nil))
			if !collected.Outcome.OK() {
				t.Fatalf("collect: %+v", collected)
			}
			<-w.exec.inventories["db-0-pg"].done
			c.between(w, dir)
			proof := w.task(lockstep.StageVerify, nil)
			artifact := *collected.Artifact
			if c.rot {
				artifact.Digest = fmt.Sprintf("sha256:%064d", 0)
			}
			proof.Artifact = &artifact
			f := w.do(proof)
			for _, want := range c.says {
				if f.Outcome.OK() || !strings.Contains(f.Error, want) {
					t.Errorf("it says %q, want %q in it", f.Error, want)
				}
			}
			if strings.Contains(f.Error, repository.ErrCorrupt.Error()) != c.rot || f.Hint == "" {
				t.Errorf("it says %q, hint %q", f.Error, f.Hint)
			}
		})
	}
}

func put(w *world, dir, text string) {
	w.t.Helper()
	if err := os.WriteFile(filepath.Join(dir, "data"), []byte(text), 0o644); err != nil {
		w.t.Fatal(err)
	}
}

// entriesOf is what an instance would say while the file has that text.
func entriesOf(w *world, dir, text string) *spill.List {
	w.t.Helper()
	was, err := os.ReadFile(filepath.Join(dir, "data"))
	if err != nil {
		w.t.Fatal(err)
	}
	put(w, dir, text)
	list, err := takeInventory(w.t.Context(), w.exec.cfg.Clients["db/0"], dir)
	if err != nil {
		w.t.Fatal(err)
	}
	put(w, dir, string(was))
	return list
}

// TestALargeInventoryIsNotKept: what waits for the verify step is small, however
// many entries there are.
func TestALargeInventoryIsNotKept(t *testing.T) {
	t.Parallel()
	for n, kept := range map[int]bool{remembered: true, remembered + 1: false} {
		b := spill.NewBuilder(t.Context(), spill.Shared())
		for i := range n {
			if err := b.Add(lockstep.Entry{Path: fmt.Sprint(i), Type: lockstep.EntryFile}); err != nil {
				t.Fatal(err)
			}
		}
		list, err := b.List()
		if err != nil {
			t.Fatal(err)
		}
		digest := list.Digest()
		var inv inventory
		inv.keep(list, nil)
		if inv.digest != digest || (inv.entries != nil) != kept {
			t.Errorf("of %d entries: kept %t, digest %s", n, inv.entries != nil, inv.digest)
		}
	}
}

// TestManyEntriesAreTold: before anything is locked, by the last backup.
//
//fault:entries-many an artifact comes near the number of entries that one can have | `check` says so, by the last backup
func TestManyEntriesAreTold(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]int{0: 0, 800_000: 0, 800_001: 1, repository.MaxEntries: 1} {
		w := newWorld(t, nil)
		w.exec.cfg.Last = &lockstep.Backup{ID: "shop_0", Artifacts: []lockstep.Artifact{{Name: "db-0-pg", Entries: n}}}
		task := w.task(lockstep.StageCheck, nil)
		got := w.exec.manyEntries(task)
		if len(got) != want || want == 1 && !strings.Contains(got[0], "more than 1000000") {
			t.Errorf("of %d entries it says %q", n, got)
		}
		if task.Plan.Operation = lockstep.OperationRestore; len(w.exec.manyEntries(task)) > 0 {
			t.Error("a restore is warned")
		}
	}
}
