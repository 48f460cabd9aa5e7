package restic

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"lockstep"
	"lockstep/repository/repositorytest"
	"lockstep/repository/restic/format"
	"lockstep/repository/restic/store"
	"lockstep/repository/restic/store/file"
	"lockstep/repository/restic/store/storetest"
	"lockstep/repository/restic/vault"
)

const month = 30 * 24 * time.Hour

// keeping is a repository whose store keeps files for a month.
func keeping(t *testing.T) (*Repository, *storetest.Retaining) {
	t.Helper()
	f, err := file.At(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	s := storetest.NewRetaining(f, month)
	r := keepingAt(s)
	if _, err := r.Identify(t.Context()); err != nil {
		t.Fatal(err)
	}
	return r, s
}

func keepingAt(s store.Store) *Repository {
	return New(Options{Store: s, Password: func(context.Context) (string, error) { return "secret", nil }, KDF: quick})
}

// noise is content that nothing else has.
func noise(seed byte) string {
	b := make([]byte, 1<<20)
	_, _ = rand.NewChaCha8([32]byte{seed}).Read(b)
	return string(b)
}

func backupOf(t *testing.T, r *Repository, id lockstep.BackupID, contents ...string) lockstep.BackupID {
	t.Helper()
	var members []repositorytest.Member
	for i, c := range contents {
		members = append(members, repositorytest.Member{Name: string(rune('a' + i)), Content: c})
	}
	id = repositorytest.Begin(t, r, id)
	repositorytest.Commit(t, r, repositorytest.Manifest(id, repositorytest.Put(t, r, id, "x", repositorytest.Tar(t, members...))))
	return id
}

// TestAllThatABackupNeedsIsKept: whoever removes all that the store lets them has not
// removed a backup that is kept, also where an earlier one had stored its data.
//
//fault:object-lock-attack somebody with the bucket's credentials removes all that the service lets them | every backup whose time is not over is whole
func TestAllThatABackupNeedsIsKept(t *testing.T) {
	t.Parallel()
	r, s := keeping(t)
	day := 24 * time.Hour
	backupOf(t, r, shop, noise(1), noise(2))
	s.Wait(s.Now().Add(20 * day))
	id := backupOf(t, r, shop+"_2", noise(1), noise(3))
	s.Wait(s.Now().Add(29 * day))
	attack(t, s)
	again := keepingAt(s)
	if err := errors.Join(repositorytest.Reread(t.Context(), again, id), again.Check(t.Context())); err != nil {
		t.Error(err)
	}
	if list, err := again.List(t.Context(), ""); err != nil || len(list) != 1 || list[0].ID != id {
		t.Errorf("%d backups, %v: the first one's time is over", len(list), err)
	}
}

// attack removes all that a store lets go.
func attack(t *testing.T, s store.Store) {
	t.Helper()
	names := []string{"config"}
	for _, folder := range folders {
		files, err := s.List(t.Context(), folder)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			names = append(names, f.Name)
		}
	}
	for _, name := range names {
		var kept *store.RetainedError
		if err := s.Remove(t.Context(), name); err != nil && !errors.As(err, &kept) {
			t.Fatal(err)
		}
	}
}

var folders = []string{"keys", "data", "index", "snapshots", "locks", "lockstep"}

// TestWhatIsKeptIsNotForgotten: a backup is deleted only after its time, and who asks is
// told when that is.
//
//fault:object-lock-forget a backup is forgotten that object lock keeps | it stays, and the error says when it may be done
func TestWhatIsKeptIsNotForgotten(t *testing.T) {
	t.Parallel()
	r, s := keeping(t)
	id := backupOf(t, r, shop, noise(1))
	until := s.Now().Add(month)
	err := r.Delete(t.Context(), id)
	if day := until.UTC().Format(time.DateTime); lockstep.KindOf(err) != lockstep.KindRetained || !strings.Contains(lockstep.HintOf(err), day) {
		t.Errorf("deleting it before %s: %v, hint %q", day, err, lockstep.HintOf(err))
	}
	if err := repositorytest.Reread(t.Context(), r, id); err != nil {
		t.Error(err)
	}
	s.Wait(until)
	if err := r.Delete(t.Context(), id); err != nil {
		t.Errorf("after its time: %v", err)
	}
	if list, err := r.List(t.Context(), ""); err != nil || len(list) != 0 {
		t.Errorf("%d backups, %v", len(list), err)
	}
}

// TestAPruneLeavesWhatIsKept: it removes what it may, says what stays until when, and
// frees that afterwards.
//
//fault:object-lock-prune a prune meets packs that object lock keeps | it frees what it may, says what stays until when, and every backup stays whole
func TestAPruneLeavesWhatIsKept(t *testing.T) {
	t.Parallel()
	r, s := keeping(t)
	old := backupOf(t, r, shop, noise(1))
	begun := s.Now()
	s.Wait(begun.Add(20 * 24 * time.Hour))
	id := repositorytest.Begin(t, r, shop+"_9")
	repositorytest.Put(t, r, id, "x", repositorytest.Tar(t, repositorytest.Member{Name: "a", Content: noise(2)}))
	kept := backupOf(t, r, shop, noise(3))
	s.Wait(begun.Add(31 * 24 * time.Hour))
	if err := errors.Join(r.Delete(t.Context(), old), r.Discard(t.Context(), id)); err != nil {
		t.Fatal(err)
	}
	for _, until := range []time.Time{begun.Add(20*24*time.Hour + month), {}} {
		var told lockstep.Pruning
		p, err := r.Prune(t.Context(), func(p lockstep.Pruning) error { told = p; return nil })
		if told.Free != p.Free || told.RetainedBytes != p.RetainedBytes || !told.RetainedUntil.Equal(p.RetainedUntil) {
			t.Errorf("a prune says before it begins %+v, and after it %+v", told, p)
		}
		if err != nil || p.Free < 1<<20 || !p.RetainedUntil.Equal(until) || p.RetainedBytes < 1<<20 != until.IsZero() {
			t.Errorf("a prune says %+v, %v; what is kept stays until %s", p, err, until)
		}
		again := keepingAt(s)
		if err := errors.Join(repositorytest.Reread(t.Context(), again, kept), again.Check(t.Context())); err != nil {
			t.Error(err)
		}
		s.Wait(begun.Add(20*24*time.Hour + month))
	}
}

// TestLocksAreNotKept: whatever must be removable is.
func TestLocksAreNotKept(t *testing.T) {
	t.Parallel()
	r, s := keeping(t)
	id := backupOf(t, r, shop, noise(1))
	if err := r.RecordVerify(t.Context(), id, lockstep.Verification{OK: true}); err != nil {
		t.Fatal(err)
	}
	v, err := r.Vault(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	release, err := v.Use(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, folder := range []string{"locks", "lockstep"} {
		files, err := s.List(t.Context(), folder)
		if err != nil || len(files) == 0 {
			t.Fatalf("nothing is in %s, %v", folder, err)
		}
		for _, f := range files {
			if until, err := s.Retained(t.Context(), f.Name); err != nil || !until.IsZero() {
				t.Errorf("%s is kept until %s, %v", f.Name, until, err)
			}
		}
	}
	release()
	if _, err := r.Unlock(t.Context(), true); err != nil {
		t.Error(err)
	}
	if files, err := s.List(t.Context(), "locks"); err != nil || len(files) != 0 {
		t.Errorf("%d locks are left, %v", len(files), err)
	}
}

// TestAPasswordIsRemovedAtOnce: whoever comes through the listing cannot use it, however
// many backups are made, and what it was goes at its date.
//
//fault:object-lock-password a password is removed under object lock while backups are made | it opens nothing from then on, and no backup moves its date on
func TestAPasswordIsRemovedAtOnce(t *testing.T) {
	t.Parallel()
	_, s := keeping(t)
	purging := &purged{Retaining: s}
	r := keepingAt(purging)
	key, err := r.AddKey(t.Context(), "another")
	if err != nil {
		t.Fatal(err)
	}
	backupOf(t, r, shop, noise(1))
	if err := r.RemoveKey(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	other := New(Options{Store: s, Password: func(context.Context) (string, error) { return "another", nil }, KDF: quick})
	if _, err := other.Vault(t.Context()); !errors.Is(err, format.ErrWrongPassword) {
		t.Errorf("the removed one: %v", err)
	}
	backupOf(t, r, shop+"_2", noise(2))
	if until, err := s.Retained(t.Context(), "keys/"+key); err != nil || !until.IsZero() {
		t.Errorf("a backup keeps it anew, until %s, %v", until, err)
	}
	if _, err := r.Prune(t.Context(), yes); err != nil || !slices.Equal(purging.folders, folders) {
		t.Errorf("a prune frees hidden versions of %v, %v; hidden ones may be in %v", purging.folders, err, folders)
	}
}

// purged notes what is purged.
type purged struct {
	*storetest.Retaining
	folders []string
}

func (p *purged) Purge(_ context.Context, folder string) error {
	p.folders = append(p.folders, folder)
	return nil
}

// TestAKeyOfAMakingThatLost: of several that make a repository at once the others' keys go,
// though they are kept: else each backup would keep what opens nothing.
func TestAKeyOfAMakingThatLost(t *testing.T) {
	t.Parallel()
	_, s := keeping(t)
	if _, err := vault.Init(t.Context(), s, "other", quick); !errors.Is(err, store.ErrExists) {
		t.Fatal(err)
	}
	if keys, err := s.List(t.Context(), "keys"); err != nil || len(keys) != 1 {
		t.Errorf("%d keys are left, %v", len(keys), err)
	}
}

// TestWhatIsStoredIsKept: from when it is stored, also before its backup is committed.
func TestWhatIsStoredIsKept(t *testing.T) {
	t.Parallel()
	r, s := keeping(t)
	id := repositorytest.Begin(t, r, shop)
	repositorytest.Put(t, r, id, "x", repositorytest.Tar(t, repositorytest.Member{Name: "a", Content: noise(1)}))
	for _, folder := range []string{"keys", "data", "index"} {
		files, err := s.List(t.Context(), folder)
		if err != nil || len(files) == 0 {
			t.Fatalf("nothing is in %s, %v", folder, err)
		}
		for _, f := range files {
			if until, err := s.Retained(t.Context(), f.Name); err != nil || !until.Equal(s.Now().Add(month)) {
				t.Errorf("%s is kept until %s, %v", f.Name, until, err)
			}
		}
	}
}

// keepsAll is a store that keeps all that is saved, as a bucket does with a default
// retention.
type keepsAll struct{ *storetest.Retaining }

func (k keepsAll) Save(ctx context.Context, name string, data []byte) error {
	return k.SaveUntil(ctx, name, data, k.Now().Add(month))
}

// TestABucketThatKeepsAll: where a bucket keeps all by itself, locks and notes too, backups
// go on.
func TestABucketThatKeepsAll(t *testing.T) {
	t.Parallel()
	_, s := keeping(t)
	r := keepingAt(keepsAll{s})
	backupOf(t, r, shop, noise(1))
	if _, err := r.Prune(t.Context(), yes); err != nil {
		t.Fatal(err)
	}
	id := backupOf(t, r, shop+"_2", noise(1))
	if err := repositorytest.Reread(t.Context(), r, id); err != nil {
		t.Error(err)
	}
	for _, folder := range []string{"locks", "lockstep"} {
		if files, err := s.List(t.Context(), folder); err != nil || len(files) != 0 {
			t.Errorf("%d files are left in %s, %v", len(files), folder, err)
		}
	}
}
