package restic

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"lockstep"
	"lockstep/repository/repositorytest"
	"lockstep/repository/restic/store"
	"lockstep/repository/restic/store/file"
	"lockstep/repository/restic/store/storetest"
)

// lacking is a store in which a file goes before it can be kept anew, as when somebody
// removes a password meanwhile.
type lacking struct {
	*storetest.Retaining
	name string
}

func (l *lacking) Retain(ctx context.Context, name string, until time.Time) error {
	if name == l.name {
		return store.ErrNotFound
	}
	return l.Retaining.Retain(ctx, name, until)
}

// TestAPasswordThatGoesDuringACommit: the backup is as good without it. The key that the
// repository is opened with must be there.
func TestAPasswordThatGoesDuringACommit(t *testing.T) {
	t.Parallel()
	r, s := keeping(t)
	own, err := s.List(t.Context(), "keys")
	if err != nil || len(own) != 1 {
		t.Fatal(own, err)
	}
	key, err := r.AddKey(t.Context(), "another")
	if err != nil {
		t.Fatal(err)
	}
	backupOf(t, keepingAt(&lacking{s, "keys/" + key}), shop, noise(1))
	for name, want := range map[string]error{"keys/" + key: nil, own[0].Name: store.ErrNotFound} {
		if err := backup(t, keepingAt(&lacking{s, name}), shop+"_2"); !errors.Is(err, want) {
			t.Errorf("%s goes: %v, want %v", name, err, want)
		}
	}
}

// TestADamagedSnapshotThatIsKept: it is deleted at once, or no prune would work until its
// date.
//
//fault:object-lock-damaged a snapshot that object lock keeps cannot be read | it can be deleted at once, and prunes work again
func TestADamagedSnapshotThatIsKept(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	f, err := file.At(folder)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	s := storetest.NewRetaining(f, month)
	if _, err := keepingAt(s).Identify(t.Context()); err != nil {
		t.Fatal(err)
	}
	backupOf(t, keepingAt(s), shop, noise(1))
	before, err := s.List(t.Context(), "snapshots")
	if err != nil {
		t.Fatal(err)
	}
	backupOf(t, keepingAt(s), shop+"_2", noise(2))
	after, err := s.List(t.Context(), "snapshots")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range after {
		if !slices.Contains(before, f) {
			path := filepath.Join(folder, filepath.FromSlash(f.Name))
			if err := errors.Join(os.Chmod(path, 0o600), os.WriteFile(path, make([]byte, f.Size), 0o600)); err != nil {
				t.Fatal(err)
			}
			r := keepingAt(s)
			if _, err := r.Prune(t.Context(), yes); err == nil {
				t.Error("a prune does not refuse")
			}
			if err := r.Delete(t.Context(), lockstep.BackupID("snapshot-"+filepath.Base(f.Name))); err != nil {
				t.Error(err)
			}
			if _, err := r.Prune(t.Context(), yes); err != nil {
				t.Error(err)
			}
			return
		}
	}
	t.Fatal("no snapshot is new")
}

// late is a store that says of nothing that it is kept until it is to be removed.
type late struct{ *storetest.Retaining }

func (l late) Retained(context.Context, string) (time.Time, error) { return time.Time{}, nil }

// TestAPruneCountsWhatIsGone: what turns out to be kept when it is to be removed was not
// freed.
func TestAPruneCountsWhatIsGone(t *testing.T) {
	t.Parallel()
	_, s := keeping(t)
	r := keepingAt(late{s})
	id := repositorytest.Begin(t, r, shop+"_9")
	repositorytest.Put(t, r, id, "x", repositorytest.Tar(t, repositorytest.Member{Name: "a", Content: noise(2)}))
	kept := backupOf(t, r, shop, noise(3))
	if err := r.Discard(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	p, err := r.Prune(t.Context(), yes)
	if err != nil || p.Free != 0 || p.Removed != 0 || p.Retained == 0 || p.RetainedBytes < 1<<20 || p.RetainedUntil.IsZero() {
		t.Errorf("%+v, %v", p, err)
	}
	if err := repositorytest.Reread(t.Context(), r, kept); err != nil {
		t.Error(err)
	}
}

// held is a store with a legal hold on all packs.
type held struct{ *storetest.Retaining }

func (h held) Retained(context.Context, string) (time.Time, error) { return store.Held, nil }

// TestAPruneUnderALegalHold names no date.
func TestAPruneUnderALegalHold(t *testing.T) {
	t.Parallel()
	_, s := keeping(t)
	r := keepingAt(held{s})
	id := repositorytest.Begin(t, r, shop)
	repositorytest.Put(t, r, id, "x", repositorytest.Tar(t, repositorytest.Member{Name: "a", Content: noise(2)}))
	if err := r.Discard(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if p, err := r.Prune(t.Context(), yes); err != nil || p.Retained == 0 || !p.RetainedUntil.IsZero() {
		t.Errorf("%+v, %v", p, err)
	}
}
