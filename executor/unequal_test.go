package executor

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lockstep"
	"lockstep/repository"
)

// staging is a repository that can show what was put into it; with rot a bit
// of every file has turned since.
type staging struct {
	repository.Repository
	put lockstep.EntryList
	rot bool
}

func (s *staging) Put(ctx context.Context, id lockstep.BackupID, name string, tar io.Reader) (repository.Content, error) {
	content, err := s.Repository.Put(ctx, id, name, tar)
	s.put = slices.Clone(content.Entries)
	return content, err
}

func (s *staging) StagedEntries(context.Context, lockstep.BackupID, string) (lockstep.EntryList, error) {
	if s.rot {
		for i := range s.put {
			s.put[i].Sum[0] ^= 1
		}
	}
	return s.put, nil
}

// TestVerifySaysWhatIsWrong: it tells a file that something still writes to
// from a repository that has lost what it was given, and names the file.
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
				w.exec.inventories["db-0-pg"].entries = entriesOf(w, dir, "in the meantime")
			},
			[]string{"something still writes to it", `"data"`}, false,
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
func entriesOf(w *world, dir, text string) lockstep.EntryList {
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
