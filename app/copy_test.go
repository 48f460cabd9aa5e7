package app

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"lockstep"
	"lockstep/repository"
	"lockstep/repository/dir"
	"lockstep/repository/repositorytest"
)

// second gives the keeper another repository, for the name "offsite".
func (k *keeper) second() *dir.Repository {
	k.t.Helper()
	to, err := dir.At(filepath.Join(filepath.Dir(k.path), "offsite"))
	if err != nil {
		k.t.Fatal(err)
	}
	k.cfg.OtherRepository = func(name string) (repository.Repository, error) {
		if name == "itself" {
			return dir.At(k.path)
		}
		return to, nil
	}
	return to
}

// TestACopyIsTheSameBackup: its manifest proves the same there, and copying again
// reads nothing.
func TestACopyIsTheSameBackup(t *testing.T) {
	t.Parallel()
	k := newKeeper(t)
	id, to := k.commit("22", "a=one", "b=two"), k.second()
	read := &atomic.Int64{}
	var names []string
	rep, err := k.CopyBackup(t.Context(), id, "offsite", CopyProgress{Read: read, Begins: func(a lockstep.Artifact) { names = append(names, a.Name) }})
	if err != nil || rep.AlreadyThere || rep.Artifacts != 2 || rep.Bytes != read.Load() || rep.Bytes == 0 || strings.Join(names, " ") != "a b" {
		t.Fatalf("%+v, %d bytes read of %v, %v", rep, read.Load(), names, err)
	}
	there := New(Config{Journal: k.cfg.Journal, Repository: to, Policy: lockstep.LockstepPolicy(), Signer: k.key})
	b, err := there.Backup(t.Context(), "shop", Latest)
	if err != nil || b.ID != id || b.Proof.Signature != lockstep.SignatureGood || b.Proof.Journal != lockstep.JournalAgrees || b.Verified == nil {
		t.Errorf("the copy is %+v, %v", b, err)
	}
	again, err := k.CopyBackup(t.Context(), id, "offsite", CopyProgress{Read: read})
	if err != nil || !again.AlreadyThere || again.Bytes != 0 || read.Load() != rep.Bytes {
		t.Errorf("again: %+v, %d bytes read, %v", again, read.Load(), err)
	}
}

// TestWhatIsNotWhatItWasIsNotCopied: nor is a backup copied onto itself.
//
//fault:copy-damaged a backup is damaged or its manifest changed when it is copied | it is refused, or the copy fails; nothing is listed there
func TestWhatIsNotWhatItWasIsNotCopied(t *testing.T) {
	t.Parallel()
	k := newKeeper(t)
	rotten, known, changed := k.commit("20", "a=rotten"), k.commit("21", "a=known"), k.commit("22", "a=changed")
	to := k.second()
	if _, err := k.CopyBackup(t.Context(), known, "itself", CopyProgress{}); lockstep.KindOf(err) != lockstep.KindUsage {
		t.Errorf("onto itself: %v", err)
	}
	flip := func(b []byte) []byte { b[len(b)/3] ^= 1; return b }
	k.change(rotten, "a.tar", flip)
	if _, err := k.CopyBackup(t.Context(), rotten, "offsite", CopyProgress{}); !errors.Is(err, repository.ErrCorrupt) {
		t.Errorf("a rotten one: %v", err)
	}
	k.change(known, "a.tar", flip)
	if rep, err := k.Verify(t.Context(), known); err != nil || rep.OK {
		t.Fatal(rep, err)
	}
	k.change(known, "a.tar", flip) // it is whole again, but nobody has seen that
	if _, err := k.CopyBackup(t.Context(), known, "offsite", CopyProgress{}); lockstep.KindOf(err) != lockstep.KindRefused {
		t.Errorf("one that a verify found damaged: %v", err)
	}
	was, err := k.Backup(t.Context(), "shop", changed)
	if err != nil {
		t.Fatal(err)
	}
	was.Artifacts = slices.Clone(was.Artifacts)
	was.Artifacts[0].Digest = "sha256:of what was proven"
	if err := k.rememberBackup(t.Context(), was.Manifest()); err != nil {
		t.Fatal(err)
	}
	if got := k.data(changed); got == lockstep.DataVerified {
		t.Fatal("the change is not seen")
	}
	if _, err := k.CopyBackup(t.Context(), changed, "offsite", CopyProgress{}); lockstep.KindOf(err) != lockstep.KindRefused {
		t.Errorf("one whose manifest was changed: %v", err)
	}
	if list, err := to.List(t.Context(), ""); err != nil || len(list) != 0 {
		t.Errorf("listed there: %v, %v", list, err)
	}
}

// TestACopyThatDiedIsTidiedUp: by the next copy of the same orchestrator; what another
// one writes there is left alone.
//
//fault:copy-killed an orchestrator dies in the middle of a copy | nothing is listed there; its next copy removes what is left, and another orchestrator's is left alone
func TestACopyThatDiedIsTidiedUp(t *testing.T) {
	t.Parallel()
	k := newKeeper(t)
	id, to := k.commit("22", "a=one"), k.second()
	if _, err := k.CopyBackup(t.Context(), k.commit("21", "a=one"), "offsite", CopyProgress{}); err != nil {
		t.Fatal(err)
	}
	repositorytest.Begin(t, to, id)
	repositorytest.Put(t, to, id, "a", repositorytest.Tar(t))
	_, err := k.CopyBackup(t.Context(), id, "offsite", CopyProgress{})
	if lockstep.KindOf(err) != lockstep.KindConflict || !errors.Is(err, repository.ErrStaged) {
		t.Fatalf("what somebody else stages: %v", err)
	}
	if err := k.remember(t.Context(), recordCopying, to.Location(), copyingNow{id}); err != nil { // it was ours
		t.Fatal(err)
	}
	release, err := k.cfg.Journal.Own(t.Context(), lockstep.DeploymentKey("copies into "+to.Location()), "another process")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := k.CopyBackup(t.Context(), id, "offsite", CopyProgress{}); lockstep.KindOf(err) != lockstep.KindConflict || errors.Is(err, repository.ErrStaged) {
		t.Errorf("while our other process copies: %v", err)
	}
	release()
	for range 2 { // the second time it is there
		if _, err := k.CopyBackup(t.Context(), id, "offsite", CopyProgress{}); err != nil {
			t.Error(err)
		}
		if err := k.remember(t.Context(), recordCopying, to.Location(), copyingNow{id}); err != nil {
			t.Fatal(err)
		}
	}
	if err := repositorytest.Reread(t.Context(), to, id); err != nil {
		t.Error(err)
	}
}

// TestCopyNew: what is newer than the copies is copied, oldest first, so that nothing
// is left out where it stops; a backup that was forgotten there does not come back.
func TestCopyNew(t *testing.T) {
	t.Parallel()
	k := newKeeper(t)
	k.commit("20", "a=one")
	second := k.commit("21", "a=two")
	to := k.second()
	copied := func(want ...lockstep.BackupID) {
		t.Helper()
		reports, err := k.CopyNew(t.Context(), "shop", "offsite")
		var got []lockstep.BackupID
		for _, r := range reports {
			got = append(got, r.Backup)
		}
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("copied %q, %v; want %q", got, err, want)
		}
	}
	copied(second) // the newest, where there is none
	copied()
	third, damaged, fifth := k.commit("22", "a=three"), k.commit("23", "a=four"), k.commit("24", "a=five")
	k.change(damaged, "a.tar", func(b []byte) []byte { b[len(b)/3] ^= 1; return b })
	if _, err := k.Verify(t.Context(), damaged); err != nil {
		t.Fatal(err)
	}
	copied(third, fifth)
	if err := to.Delete(t.Context(), third); err != nil {
		t.Fatal(err)
	}
	copied()
	list, err := to.List(t.Context(), "shop")
	if err != nil || len(list) != 2 {
		t.Errorf("there are %d, %v", len(list), err)
	}
}

// TestNewerThan: what somebody else keeps there of a deployment of the same name does
// not count as a copy of ours.
func TestNewerThan(t *testing.T) {
	t.Parallel()
	of := func(key lockstep.DeploymentKey, day int) lockstep.Backup {
		at := time.Date(2026, 11, day, 0, 0, 0, 0, time.UTC)
		return lockstep.Backup{V: 1, ID: lockstep.NewBackupID("shop", at), Deployment: "shop", Key: key, StartedAt: at, Data: lockstep.DataVerified}
	}
	mine := []lockstep.Backup{of("ours", 22), of("ours", 21), of("ours", 20)}
	for name, test := range map[string]struct {
		others []lockstep.Backup
		want   []int
	}{
		"none are there":         {nil, []int{22}},
		"one of ours":            {[]lockstep.Backup{of("ours", 20)}, []int{21, 22}},
		"a newer one of another": {[]lockstep.Backup{of("theirs", 28)}, []int{22}},
		"both":                   {[]lockstep.Backup{of("theirs", 28), of("ours", 21)}, []int{22}},
		"all":                    {[]lockstep.Backup{of("ours", 22)}, nil},
	} {
		var got []int
		for _, b := range newerThan(mine, test.others) {
			got = append(got, b.StartedAt.Day())
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%s: %v, want %v", name, got, test.want)
		}
	}
}

// nameless is a repository for reading alone, made before there were identities.
type nameless struct{ *dir.Repository }

func (nameless) Identity(context.Context) (string, error) { return "", nil }
func (nameless) Identify(context.Context) (string, error) { return "", fs.ErrPermission }

// TestOutOfARepositoryWithoutIdentity: that neither it nor an empty destination has
// one does not make them one.
func TestOutOfARepositoryWithoutIdentity(t *testing.T) {
	t.Parallel()
	k := newKeeper(t)
	k.second()
	own, err := dir.At(k.path)
	if err != nil {
		t.Fatal(err)
	}
	a := New(Config{
		Journal: k.cfg.Journal, Repository: nameless{own}, OtherRepository: k.cfg.OtherRepository, Policy: lockstep.LockstepPolicy(), Signer: k.key,
	})
	if err := a.notItself(t.Context(), "", nameless{own}); lockstep.KindOf(err) != lockstep.KindUsage {
		t.Errorf("onto itself: %v", err)
	}
	to, err := k.cfg.OtherRepository("offsite")
	if err != nil {
		t.Fatal(err)
	}
	if err := a.notItself(t.Context(), "", to); err != nil {
		t.Errorf("into another one: %v", err)
	}
}

// TestAnotherDiskInPlaceOfTheCopies is refused, once they were used.
//
//fault:copies-not-mounted the disk of the copies is not mounted | nothing is copied into the empty folder; the message says how to accept it
func TestAnotherDiskInPlaceOfTheCopies(t *testing.T) {
	t.Parallel()
	k := newKeeper(t)
	id, to := k.commit("22", "a=one"), k.second()
	if _, err := k.CopyBackup(t.Context(), k.commit("21", "a=one"), "offsite", CopyProgress{}); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(to.Location(), to.Location()+".away"); err != nil {
		t.Fatal(err)
	}
	_, err := k.CopyBackup(t.Context(), id, "offsite", CopyProgress{})
	if !errors.Is(err, ErrRepositoryMissing) || !strings.Contains(lockstep.HintOf(err), "init --repository offsite") {
		t.Errorf("%v; hint %q", err, lockstep.HintOf(err))
	}
	if _, err := os.Stat(to.Location()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("something was made there: %v", err)
	}
}

// TestABackupIsNotSettledByAnotherRepository: whether it has committed can be seen
// only in the one that it went to.
//
//fault:settle-elsewhere a restore from the second copy finds a backup run whose orchestrator died | it is refused with the command that settles that run; then the run is settled by its own repository
func TestABackupIsNotSettledByAnotherRepository(t *testing.T) {
	t.Parallel()
	s := twoInstances(t)
	id, heir := deadBackup(t, s)
	heir.cfg.Elsewhere = "offsite"
	settled, err := heir.Settle(t.Context(), lockstep.SettleRequest{Deployment: "shop"})
	if len(settled) > 0 || lockstep.KindOf(err) != lockstep.KindConflict || !strings.Contains(lockstep.HintOf(err), "lockstep recover shop") {
		t.Errorf("settled %+v, %v", settled, err)
	}
	heir.cfg.Elsewhere = ""
	if settled, err := heir.Settle(t.Context(), lockstep.SettleRequest{Deployment: "shop"}); err != nil || len(settled) != 1 || settled[0].ID != id {
		t.Errorf("settled %+v, %v", settled, err)
	}
}
