package app

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lockstep"
	"lockstep/auditlog"
	"lockstep/journal/mem"
	"lockstep/repository"
	"lockstep/repository/dir"
	"lockstep/repository/repositorytest"
)

// keeper is an App that keeps backups in a folder, signed, and contacts nobody.
type keeper struct {
	*App
	t    *testing.T
	path string
	repo *dir.Repository
	key  *auditlog.Key
}

func newKeeper(t *testing.T) *keeper {
	t.Helper()
	k := &keeper{t: t, path: filepath.Join(t.TempDir(), "backups")}
	var err error
	if k.key, err = auditlog.LoadKey(filepath.Join(t.TempDir(), "audit"), nil); err != nil {
		t.Fatal(err)
	}
	k.reopen(mem.New())
	return k
}

// reopen is another process on the same repository, with that journal.
func (k *keeper) reopen(j *mem.Journal) {
	var err error
	if k.repo, err = dir.At(k.path); err != nil {
		k.t.Fatal(err)
	}
	k.App = New(Config{Journal: j, Repository: k.repo, Policy: lockstep.LockstepPolicy(), Signer: k.key, Version: "test"})
}

// commit makes a backup as a commit step does, "2026-11-DAY".
func (k *keeper) commit(day string, artifacts ...string) lockstep.BackupID {
	k.t.Helper()
	id := lockstep.BackupID("shop_202611" + day + "T144241Z")
	if err := k.repositoryThere(k.t.Context(), true); err != nil {
		k.t.Fatal(err)
	}
	repositorytest.Begin(k.t, k.repo, id)
	var all []lockstep.Artifact
	for _, a := range artifacts {
		name, content, _ := strings.Cut(a, "=")
		all = append(all, repositorytest.Put(k.t, k.repo, id, name, repositorytest.Tar(k.t, repositorytest.Member{Name: ""}, repositorytest.Member{Name: "f", Content: content})))
	}
	m := repositorytest.Manifest(id, all...)
	m.StartedAt = m.StartedAt.AddDate(0, 0, int(day[0]-'0')*10+int(day[1]-'0')-22)
	m.FinishedAt = m.StartedAt
	r := &running{app: k.App, run: &lockstep.Run{}}
	if err := r.seal(k.t.Context(), &m); err != nil {
		k.t.Fatal(err)
	}
	repositorytest.Commit(k.t, k.repo, m)
	return id
}

func (k *keeper) data(id lockstep.BackupID) lockstep.DataState {
	k.t.Helper()
	b, err := k.Backup(k.t.Context(), "shop", id)
	if err != nil {
		k.t.Fatal(err)
	}
	list, err := k.Backups(k.t.Context(), "shop")
	if err != nil {
		k.t.Fatal(err)
	}
	i := slices.IndexFunc(list, func(x lockstep.Backup) bool { return x.ID == b.ID })
	if list[i].Data != b.Data {
		k.t.Errorf("%s is %s, and %s in the list", b.ID, b.Data, list[i].Data)
	}
	return b.Data
}

// change rewrites a file of a backup.
func (k *keeper) change(id lockstep.BackupID, file string, do func([]byte) []byte) {
	k.t.Helper()
	path := filepath.Join(k.path, string(id), file)
	b, err := os.ReadFile(path)
	if err != nil {
		k.t.Fatal(err)
	}
	if err := os.WriteFile(path, do(b), 0o600); err != nil {
		k.t.Fatal(err)
	}
}

// TestAFailedVerifyIsRemembered: by the repository for whoever comes next, and
// by the journal for when the repository forgets.
//
//fault:verify-forgotten a byte of a tar is flipped and verify finds it | the backup is damaged everywhere, is not the latest, and keeps no other from being kept
func TestAFailedVerifyIsRemembered(t *testing.T) {
	t.Parallel()
	k := newKeeper(t)
	old, id := k.commit("21", "a=old"), k.commit("22", "a=new")
	if b, err := k.Backup(t.Context(), "shop", Latest); err != nil || b.ID != id || len(b.Skipped) != 0 {
		t.Fatalf("latest is %s, %v", b.ID, err)
	}
	flip := func(b []byte) []byte { b[len(b)/3] ^= 1; return b }
	k.change(id, "a.tar", flip)
	if rep, err := k.Verify(t.Context(), id); err != nil || rep.OK || !rep.Damaged || rep.Data != lockstep.DataDamaged {
		t.Fatalf("verify: %+v, %v", rep, err)
	}
	check := func(when string) {
		t.Helper()
		if got := k.data(id); got != lockstep.DataDamaged {
			t.Errorf("%s: it is %s", when, got)
		}
		b, err := k.Backup(t.Context(), "shop", Latest)
		if err != nil || b.ID != old || len(b.Skipped) != 1 || b.Skipped[0].Backup != id || !strings.Contains(b.Skipped[0].Why, "verify of") {
			t.Errorf("%s: latest is %s, skipped %+v, %v", when, b.ID, b.Skipped, err)
		}
	}
	check("at once")
	j := k.cfg.Journal.(*mem.Journal)
	if err := os.Remove(filepath.Join(k.path, string(id), "lockstep-verify.json")); err != nil {
		t.Fatal(err)
	}
	check("without the repository's word")
	if _, err := k.Verify(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	k.reopen(mem.New())
	check("by another orchestrator")
	k.reopen(j)
	k.change(id, "a.tar", flip)
	if rep, err := k.Verify(t.Context(), id); err != nil || !rep.OK || rep.Data != lockstep.DataVerified {
		t.Errorf("verify of what was mended: %+v, %v", rep, err)
	}
	if got := k.data(id); got != lockstep.DataVerified {
		t.Errorf("mended, it is %s", got)
	}
}

// sharing is a repository whose backups share content.
type sharing struct {
	*dir.Repository
	asked []lockstep.BackupID
	err   error
}

func (s *sharing) FindDamage(_ context.Context, id lockstep.BackupID) error {
	s.asked = append(s.asked, id)
	return s.err
}

// TestAVerifyThatFoundDamageLooksForAllOfIt: the next backup must not share it. Where
// that fails, the verify says so, and keeps what it found.
func TestAVerifyThatFoundDamageLooksForAllOfIt(t *testing.T) {
	t.Parallel()
	k := newKeeper(t)
	id := k.commit("22", "a=new")
	s := &sharing{Repository: k.repo, err: errors.New("the disk is gone")}
	k.cfg.Repository = s
	if rep, err := k.Verify(t.Context(), id); err != nil || !rep.OK || len(s.asked) > 0 {
		t.Fatalf("%+v, %v; asked for %v", rep, err, s.asked)
	}
	k.change(id, "a.tar", func(b []byte) []byte { b[len(b)/3] ^= 1; return b })
	rep, err := k.Verify(t.Context(), id)
	if err != nil || rep.Data != lockstep.DataDamaged || !slices.Equal(s.asked, []lockstep.BackupID{id}) {
		t.Errorf("%+v, %v; asked for %v", rep, err, s.asked)
	}
	if len(rep.Notes) != 1 || !strings.Contains(rep.Notes[0], "the disk is gone") {
		t.Errorf("notes %q", rep.Notes)
	}
}

// TestWhatCannotBeReadIsNotDamaged: neither the report says so nor what is kept of it.
func TestWhatCannotBeReadIsNotDamaged(t *testing.T) {
	t.Parallel()
	k := newKeeper(t)
	id := k.commit("22", "a=new")
	k.cfg.Repository = &unreadable{k.repo, nil}
	rep, err := k.Verify(t.Context(), id)
	if err != nil || rep.OK || rep.Damaged || rep.Data != lockstep.DataVerified || len(rep.Problems) == 0 {
		t.Errorf("%+v, %v", rep, err)
	}
}

// TestABackupThatGoesWhileItIsRead: what was deleted is not damaged, and nobody is told
// that it is.
//
//fault:deleted-while-read rules delete a backup while it is verified or copied | it is not found; nothing is kept as damaged, and the other copies are made
func TestABackupThatGoesWhileItIsRead(t *testing.T) {
	t.Parallel()
	k := newKeeper(t)
	id := k.commit("22", "a=new")
	k.cfg.Repository = &unreadable{k.repo, func() {
		if err := k.repo.Delete(context.Background(), id); err != nil {
			t.Error(err)
		}
	}}
	if rep, err := k.Verify(t.Context(), id); lockstep.KindOf(err) != lockstep.KindNotFound {
		t.Errorf("%+v, %v", rep, err)
	}
	if r, ok, err := k.cfg.Journal.Record(t.Context(), recordVerify, string(id)); ok || err != nil {
		t.Errorf("kept is %s, %v", r.Data, err)
	}
	k.cfg.Repository = k.repo
	old, next := k.commit("23", "a=old"), k.commit("24", "a=next")
	to := k.second()
	k.cfg.Repository = &unreadable{k.repo, func() {
		if err := k.repo.Delete(context.Background(), next); err != nil {
			t.Error(err)
		}
	}}
	if rep, err := k.CopyBackup(t.Context(), next, "offsite", CopyProgress{}); lockstep.KindOf(err) != lockstep.KindNotFound {
		t.Errorf("copied %+v, %v", rep, err)
	}
	next = k.commit("25", "a=next")
	if done, err := k.CopyNew(t.Context(), "shop", "offsite"); err != nil || len(done) != 0 {
		t.Errorf("copied %+v, %v", done, err)
	}
	if list, err := to.List(t.Context(), ""); err != nil || len(list) != 0 {
		t.Errorf("%+v, %v; %s is not to be copied", list, err, old)
	}
}

// unreadable is a repository whose artifacts cannot be opened.
type unreadable struct {
	*dir.Repository
	before func() // if set, it is called when one is opened
}

func (u *unreadable) Open(context.Context, lockstep.BackupID, string) (io.ReadCloser, error) {
	if u.before != nil {
		u.before()
	}
	return nil, errors.New("no identity opens it")
}

// forge replaces an artifact by another, with all digests that somebody who can
// write to the repository can compute.
func (k *keeper) forge(id lockstep.BackupID, sign func(*lockstep.Backup)) {
	k.t.Helper()
	b, err := k.repo.Get(k.t.Context(), id)
	if err != nil {
		k.t.Fatal(err)
	}
	if err := k.repo.Delete(k.t.Context(), id); err != nil {
		k.t.Fatal(err)
	}
	repositorytest.Begin(k.t, k.repo, id)
	for i, a := range b.Artifacts {
		forged := repositorytest.Put(k.t, k.repo, id, a.Name, repositorytest.Tar(k.t, repositorytest.Member{Name: ""}, repositorytest.Member{Name: "f", Content: "evil"}))
		b.Artifacts[i].Digest, b.Artifacts[i].Bytes = forged.Digest, forged.Bytes
	}
	sign(&b)
	repositorytest.Commit(k.t, k.repo, b)
}

// TestATamperedBackupIsFound: a change with all digests recomputed is found by
// the journal that knows the backup, by the signature where none does, and is
// told as unproven where the signature was taken away, too.
//
//fault:tampered-backup somebody replaces a tar and recomputes all digests | damaged: not the one that the journal saw, or that was signed; its restore is refused
func TestATamperedBackupIsFound(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		forget bool // another orchestrator, which has the public key alone
		sign   func(*lockstep.Backup)
		data   lockstep.DataState
		signed lockstep.SignatureState
	}{
		"the journal knows":                 {false, func(*lockstep.Backup) {}, lockstep.DataDamaged, lockstep.SignatureBad},
		"the journal knows, unsigned":       {false, func(b *lockstep.Backup) { b.Signature = "" }, lockstep.DataDamaged, lockstep.SignatureNone},
		"only the signature":                {true, func(*lockstep.Backup) {}, lockstep.DataDamaged, lockstep.SignatureBad},
		"neither":                           {true, func(b *lockstep.Backup) { b.Signature = "" }, lockstep.DataVerified, lockstep.SignatureNone},
		"signed by somebody who is unknown": {true, foreignSign, lockstep.DataVerified, lockstep.SignatureUnknown},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newKeeper(t)
			id := k.commit("22", "a=good")
			if rep, err := k.Verify(t.Context(), id); err != nil || !rep.OK || rep.Proof.Signature != lockstep.SignatureGood || rep.Proof.Journal != lockstep.JournalAgrees {
				t.Fatalf("verify: %+v, %v", rep.Proof, err)
			}
			k.forge(id, test.sign)
			if test.forget {
				k.reopen(mem.New())
			}
			if got := k.data(id); got != test.data {
				t.Errorf("it is %s, want %s", got, test.data)
			}
			rep, err := k.Verify(t.Context(), id)
			if err != nil || rep.Proof.Signature != test.signed || rep.OK != (test.data == lockstep.DataVerified) {
				t.Errorf("verify: %+v, %+v, %v", rep, rep.Proof, err)
			}
			r := &running{app: k.App, run: &lockstep.Run{}}
			r.run.Opened.Request = lockstep.Request{Operation: lockstep.OperationRestore, Deployment: "shop", Backup: id, AllowIncomplete: true}
			if test.data == lockstep.DataDamaged {
				if _, err := r.expected(t.Context()); lockstep.KindOf(err) != lockstep.KindRefused {
					t.Errorf("restore: %v, want it refused", err)
				}
			}
		})
	}
}

func foreignSign(b *lockstep.Backup) {
	folder, err := os.MkdirTemp("", "key-")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(folder)
	key, err := auditlog.LoadKey(folder, nil)
	if err == nil {
		b.Signature, err = key.Sign(b.Statement())
	}
	if err != nil {
		panic(err)
	}
}

// TestAnotherOrchestratorTrustsTheKeyThatItIsGiven: the public key is enough.
func TestAnotherOrchestratorTrustsTheKeyThatItIsGiven(t *testing.T) {
	t.Parallel()
	k := newKeeper(t)
	id := k.commit("22", "a=good")
	for _, trusted := range [][]string{nil, {k.key.Public()}} {
		key, err := auditlog.LoadKey(filepath.Join(t.TempDir(), "audit"), trusted)
		if err != nil {
			t.Fatal(err)
		}
		other := *k
		other.key = key
		other.reopen(mem.New())
		want := lockstep.SignatureUnknown
		if trusted != nil {
			want = lockstep.SignatureGood
		}
		if b, err := other.Backup(t.Context(), "", id); err != nil || b.Proof.Signature != want || b.Proof.Journal != lockstep.JournalSilent {
			t.Errorf("trusting %q: %+v, %v", trusted, b.Proof, err)
		}
	}
}

// TestASuspectBackupIsNotTheLatest, and one whose change was accepted is.
func TestASuspectBackupIsNotTheLatest(t *testing.T) {
	t.Parallel()
	k := newKeeper(t)
	good := k.commit("21", "a=x", "b=y")
	id := k.commit("22", "a=x")
	b, err := k.Backup(t.Context(), "shop", Latest)
	if err != nil || b.ID != good || len(b.Skipped) != 1 || b.Skipped[0].Backup != id || b.Skipped[0].Data != lockstep.DataSuspect || !strings.Contains(b.Skipped[0].Why, "db/0/b") {
		t.Errorf("latest is %s, skipped %+v, %v", b.ID, b.Skipped, err)
	}
}

// TestATruncatedManifestIsTold where the latest backup is an older one.
//
//fault:manifest-truncated the newest manifest is cut off | the latest backup is an older one, and says which it skipped and why
func TestATruncatedManifestIsTold(t *testing.T) {
	t.Parallel()
	k := newKeeper(t)
	old, id := k.commit("21", "a=old"), k.commit("22", "a=new")
	k.change(id, "lockstep.json", func(b []byte) []byte { return b[:len(b)/2] })
	b, err := k.Backup(t.Context(), "shop", Latest)
	if err != nil || b.ID != old || len(b.Skipped) != 1 || b.Skipped[0].Backup != id || b.Skipped[0].Data != lockstep.DataDamaged {
		t.Errorf("latest is %s, skipped %+v, %v", b.ID, b.Skipped, err)
	}
}

// TestARepositoryThatVanishedIsNotAnEmptyOne, nor is another one at its place.
//
//fault:repository-missing the disk of the repository is not mounted | every command refuses it and names the command that says it is meant
func TestARepositoryThatVanishedIsNotAnEmptyOne(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	k := newKeeper(t)
	if list, err := k.Backups(ctx, ""); err != nil || len(list) != 0 {
		t.Fatalf("before its first use: %v, %v", list, err)
	}
	if _, err := os.Stat(k.path); err == nil {
		t.Error("a listing made the folder")
	}
	id := k.commit("22", "a=x")
	away := k.path + ".away"
	move := func(from, to string) {
		t.Helper()
		if err := os.Rename(from, to); err != nil {
			t.Fatal(err)
		}
	}
	refused := func(what, hint string) {
		t.Helper()
		_, listing := k.Backups(ctx, "shop")
		_, latest := k.Backup(ctx, "shop", Latest)
		_, verify := k.Verify(ctx, id)
		_, open := k.OpenArtifact(ctx, id, "a")
		for _, err := range []error{listing, latest, verify, open, k.Forget(ctx, id), k.repositoryThere(ctx, true)} {
			if !errors.Is(err, ErrRepositoryMissing) || !strings.Contains(lockstep.HintOf(err), hint) {
				t.Errorf("%s: %v, hint %q", what, err, lockstep.HintOf(err))
			}
		}
		if s, err := k.RepositoryStatus(ctx); err != nil || !s.Missing || s.Problem == "" {
			t.Errorf("%s: status %+v, %v", what, s, err)
		}
	}
	move(k.path, away)
	refused("not there", "lockstep repository init")
	if _, err := os.Stat(k.path); err == nil {
		t.Error("what was refused made the folder")
	}
	if err := os.Mkdir(k.path, 0o700); err != nil {
		t.Fatal(err)
	}
	refused("empty", "lockstep repository init")
	if _, err := k.AcceptRepository(ctx, false); lockstep.KindOf(err) != lockstep.KindNotFound {
		t.Errorf("accept where there is none: %v", err)
	}
	other, err := dir.At(k.path)
	if err == nil {
		_, err = other.Identify(ctx)
	}
	if err != nil {
		t.Fatal(err)
	}
	refused("another one", "lockstep repository accept")
	if s, err := k.AcceptRepository(ctx, false); err != nil || s.Missing || s.Identity != s.Expected {
		t.Errorf("accepted: %+v, %v", s, err)
	}
	if _, err := k.Backups(ctx, ""); err != nil {
		t.Error(err)
	}
	move(k.path, k.path+".other")
	move(away, k.path)
	refused("the first again", "lockstep repository accept")
}

// TestAnOldRepositoryGetsAnIdentity at its first use, if it holds backups; an
// empty one where the journal tells of backups is one that vanished.
func TestAnOldRepositoryGetsAnIdentity(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	k := newKeeper(t)
	id := k.commit("22", "a=x")
	identity := filepath.Join(k.path, "lockstep-repository.json")
	if err := os.Remove(identity); err != nil {
		t.Fatal(err)
	}
	k.reopen(mem.New())
	if got := k.data(id); got != lockstep.DataVerified {
		t.Errorf("it is %s", got)
	}
	first, err := os.ReadFile(identity)
	if err != nil {
		t.Fatal(err)
	}
	k.reopen(mem.New()) // a new orchestrator takes it as it is
	if _, err := k.Backups(ctx, ""); err != nil {
		t.Error(err)
	}
	if again, err := os.ReadFile(identity); err != nil || !bytes.Equal(first, again) {
		t.Errorf("the identity changed to %s, %v", again, err)
	}
	var place repository.Identified = k.repo
	if is, err := place.Identity(context.Background()); err != nil || !strings.Contains(string(first), is) {
		t.Errorf("identity %q, %v", is, err)
	}
}
