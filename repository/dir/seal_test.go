package dir

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"filippo.io/age"

	"lockstep"
	"lockstep/repository"
	"lockstep/repository/repositorytest"
)

// identity makes a recipient, and a file with its identity.
func newIdentity(t *testing.T, hybrid bool) (recipient, file string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "key.txt")
	var secret string
	if hybrid {
		i, err := age.GenerateHybridIdentity()
		if err != nil {
			t.Fatal(err)
		}
		recipient, secret = i.Recipient().String(), i.String()
	} else {
		i, err := age.GenerateX25519Identity()
		if err != nil {
			t.Fatal(err)
		}
		recipient, secret = i.Recipient().String(), i.String()
	}
	if err := os.WriteFile(file, []byte("# made by a test\n"+secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return recipient, file
}

func encrypted(t *testing.T, r *Repository, file string, recipients ...string) *Repository {
	t.Helper()
	e, err := NewEncryption(recipients, file)
	if err != nil {
		t.Fatal(err)
	}
	return r.Encrypted(e)
}

func TestContractOfEncryption(t *testing.T) {
	t.Parallel()
	for name, hybrid := range map[string]bool{"X25519": false, "post-quantum": true} {
		recipient, file := newIdentity(t, hybrid)
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			repositorytest.Run(t, func(t *testing.T) repository.Repository { return encrypted(t, open(t), file, recipient) })
		})
	}
}

const night = lockstep.BackupID("shop_20261122T144241Z")

// secretly backs up one artifact, encrypted by one that has no identity.
func secretly(t *testing.T, r *Repository, id lockstep.BackupID, recipient string) lockstep.Backup {
	t.Helper()
	w := encrypted(t, &Repository{path: r.path, partials: map[string]bool{}}, "", recipient)
	data := repositorytest.Tar(t, repositorytest.Member{Name: "passwords/"}, repositorytest.Member{Name: "passwords/root", Content: "hunter2"})
	repositorytest.Begin(t, w, id)
	m := repositorytest.Manifest(id, repositorytest.Put(t, w, id, "db", data))
	repositorytest.Commit(t, w, m)
	return m
}

// TestWhoCanEncryptCannotRead: for a backup only recipients are needed. What can be listed
// without an identity tells no name of a file, and no content.
func TestWhoCanEncryptCannotRead(t *testing.T) {
	t.Parallel()
	recipient, file := newIdentity(t, false)
	r := open(t)
	m := secretly(t, r, night, recipient)
	list, err := r.List(t.Context(), "")
	if err != nil || len(list) != 1 || list[0].Data != m.Data || list[0].Artifacts[0].Digest != m.Artifacts[0].Digest {
		t.Fatalf("listed without an identity: %+v, %v", list, err)
	}
	names, err := os.ReadDir(filepath.Join(r.path, string(night)))
	if err != nil || len(names) != 3 {
		t.Errorf("%v, %v", names, err)
	}
	for _, n := range names {
		b, err := os.ReadFile(filepath.Join(r.path, string(night), n.Name()))
		if err != nil || bytes.Contains(b, []byte("passwords")) || bytes.Contains(b, []byte("hunter2")) {
			t.Errorf("%s tells a name or content, %v", n.Name(), err)
		}
	}
	_, openErr := r.Open(t.Context(), night, "db")
	_, listErr := r.Entries(t.Context(), night, "db")
	_, verifyErr := repository.Verify(t.Context(), r, night, m.Artifacts[0], nil)
	for what, err := range map[string]error{"open": openErr, "entries": listErr, "verify": verifyErr} {
		if lockstep.KindOf(err) != lockstep.KindRefused || repository.Damage(err) || !strings.Contains(lockstep.HintOf(err), "encrypt.identity_file") {
			t.Errorf("%s without an identity: %v, hint %q", what, err, lockstep.HintOf(err))
		}
	}
	if err := repositorytest.Reread(t.Context(), encrypted(t, r, file), night); err != nil {
		t.Errorf("with it: %v", err)
	}
}

// TestAWrongIdentity is not damage, and damage is not a wrong identity.
//
//fault:age-wrong-identity an encrypted backup is opened with another identity, or without its file | it says which file to look at; nothing is taken for damaged
func TestAWrongIdentity(t *testing.T) {
	t.Parallel()
	recipient, file := newIdentity(t, false)
	_, other := newIdentity(t, false)
	r := open(t)
	m := secretly(t, r, night, recipient)
	bad := filepath.Join(t.TempDir(), "bad")
	if err := os.WriteFile(bad, []byte("not an identity\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, is := range []string{other, bad, filepath.Join(t.TempDir(), "none")} {
		_, err := repository.Verify(t.Context(), encrypted(t, r, is), night, m.Artifacts[0], nil)
		if err == nil || repository.Damage(err) || !strings.Contains(err.Error(), is) || lockstep.HintOf(err) == "" {
			t.Errorf("with %s: %v, hint %q", is, err, lockstep.HintOf(err))
		}
	}
	encrypted(t, r, file)
	for _, name := range []string{"db" + sealedSuffix, "db" + listSuffix} {
		path := filepath.Join(r.path, string(night), name)
		was, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for at := range was {
			if at > 700 && at%97 != 0 {
				continue
			}
			b := bytes.Clone(was)
			b[at] ^= 1 << (at % 8)
			if err := os.WriteFile(path, b, 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := repository.Verify(t.Context(), r, night, m.Artifacts[0], nil); !repository.Damage(err) {
				t.Fatalf("a bit of byte %d of %s is flipped: %v", at, name, err)
			}
		}
		if err := errors.Join(os.WriteFile(path, was[:len(was)-1], 0o600)); err != nil {
			t.Fatal(err)
		}
		if _, err := repository.Verify(t.Context(), r, night, m.Artifacts[0], nil); !repository.Damage(err) {
			t.Errorf("%s is cut: %v", name, err)
		}
		if err := os.WriteFile(path, was, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := repositorytest.Reread(t.Context(), r, night); err != nil {
		t.Error(err)
	}
}

// TestEncryptedBesidePlain: backups of both kinds are in one folder, and copies go from one
// kind to the other with the same manifest.
func TestEncryptedBesidePlain(t *testing.T) {
	t.Parallel()
	recipient, file := newIdentity(t, false)
	r := open(t)
	id := repositorytest.Begin(t, r, night+"_2")
	plain := repositorytest.Manifest(id, repositorytest.Put(t, r, id, "db", repositorytest.Sample(t, "x")))
	repositorytest.Commit(t, r, plain)
	sealed := secretly(t, r, night, recipient)
	encrypted(t, r, file, recipient)
	to := map[lockstep.BackupID]*Repository{plain.ID: encrypted(t, open(t), file, recipient), sealed.ID: open(t)}
	for _, m := range []lockstep.Backup{plain, sealed} {
		err := repository.Copying{
			Manifest: m, To: to[m.ID], By: "copy", Read: new(atomic.Int64), Open: func(ctx context.Context, a lockstep.Artifact) (io.ReadCloser, error) {
				return repository.Verified(ctx, r, m.ID, a)
			},
		}.Do(t.Context())
		if err := errors.Join(err, repositorytest.Reread(t.Context(), r, m.ID), repositorytest.Reread(t.Context(), to[m.ID], m.ID)); err != nil {
			t.Error(err)
		}
		copied, err := to[m.ID].Get(t.Context(), m.ID)
		if err != nil || copied.Statement() != m.Statement() {
			t.Errorf("what is signed of the copy is\n%s\nnot\n%s\n%v", copied.Statement(), m.Statement(), err)
		}
	}
	if _, err := os.Stat(filepath.Join(to[plain.ID].path, string(plain.ID), "db"+sealedSuffix)); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(to[sealed.ID].path, string(sealed.ID), "db"+tarSuffix)); err != nil {
		t.Error(err)
	}
}

// TestACommitAfterAChangeOfEncryption: what is staged of both kinds is refused by its name,
// and what a commit that died left in the clear goes.
func TestACommitAfterAChangeOfEncryption(t *testing.T) {
	t.Parallel()
	recipient, file := newIdentity(t, false)
	r := open(t)
	id := repositorytest.Begin(t, r, night)
	one := repositorytest.Put(t, r, id, "db", repositorytest.Sample(t, "x"))
	encrypted(t, r, file, recipient)
	two := repositorytest.Put(t, r, id, "web", repositorytest.Sample(t, "y"))
	err := r.Commit(t.Context(), repositorytest.Manifest(id, one, two))
	if lockstep.KindOf(err) != lockstep.KindConflict || errors.Is(err, repository.ErrCorrupt) || !strings.Contains(err.Error(), "repository.encrypt") {
		t.Errorf("staged partly encrypted: %v", err)
	}
	id = repositorytest.Begin(t, r, night+"_2")
	only := repositorytest.Put(t, r, id, "db", repositorytest.Sample(t, "x"))
	left := filepath.Join(r.path, string(id), metadataFile)
	if err := os.WriteFile(left, []byte("passwords"), 0o600); err != nil {
		t.Fatal(err)
	}
	repositorytest.Commit(t, r, repositorytest.Manifest(id, only))
	if _, err := os.Stat(left); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a metadata file is beside what is encrypted: %v", err)
	}
	if is, err := r.IsEncrypted(t.Context(), id); !is || err != nil {
		t.Errorf("it is encrypted: %v, %v", is, err)
	}
}

// TestReadWithAgeAndTar: what is encrypted is a tar for whoever has age and the identity.
func TestReadWithAgeAndTar(t *testing.T) {
	t.Parallel()
	recipient, file := newIdentity(t, false)
	r := open(t)
	secretly(t, r, night, recipient)
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	identities, err := age.ParseIdentities(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(filepath.Join(r.path, string(night), "db.tar.age"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	in, err := age.Decrypt(f, identities...)
	if err != nil {
		t.Fatal(err)
	}
	members := tar.NewReader(in)
	for {
		h, err := members.Next()
		if err != nil {
			t.Fatalf("no passwords/root in it: %v", err)
		}
		if h.Name == "./passwords/root" {
			if b, err := io.ReadAll(members); err != nil || string(b) != "hunter2" {
				t.Errorf("%q, %v", b, err)
			}
			return
		}
	}
}

// TestEncryptionDiesAtAnyStep: whichever step of an encrypted backup is the last, it is
// there whole or not at all, and the next one works.
//
//fault:age-death the orchestrator dies at any step of an encrypted backup | it is there whole or not at all, and the next one works
func TestEncryptionDiesAtAnyStep(t *testing.T) {
	t.Parallel()
	recipient, file := newIdentity(t, false)
	died := errors.New("the process is dead")
	for n := 0; ; n++ {
		r := encrypted(t, open(t), file, recipient)
		left := n
		r.before = func(string) error {
			if left--; left < 0 {
				return died
			}
			return nil
		}
		err := try(t, r)
		r.before = nil
		list, listErr := r.List(t.Context(), "")
		if listErr != nil || len(list) > 1 || len(list) == 0 && err == nil {
			t.Fatalf("death at step %d: %d backups, %v", n, len(list), listErr)
		}
		for _, b := range list {
			if err := repositorytest.Reread(t.Context(), r, b.ID); err != nil {
				t.Fatalf("death at step %d: %v", n, err)
			}
		}
		if err := errors.Join(try(t, r)); err != nil {
			t.Fatalf("death at step %d: the next backup: %v", n, err)
		}
		if err == nil {
			return
		}
	}
}

// try backs up two artifacts, of which one is put twice.
func try(t *testing.T, r *Repository) error {
	t.Helper()
	id, err := r.Begin(t.Context(), night)
	if err != nil {
		return err
	}
	m := repositorytest.Manifest(id)
	for _, name := range []string{"a", "b", "b"} {
		c, err := r.Put(t.Context(), id, name, bytes.NewReader(repositorytest.Sample(t, name)))
		if err != nil {
			return err
		}
		if name == "b" && len(m.Artifacts) == 2 {
			m.Artifacts = m.Artifacts[:1]
		}
		m.Artifacts = append(m.Artifacts, lockstep.Artifact{Name: name, Bytes: c.Bytes, Entries: c.Entries, Digest: c.Digest})
	}
	return r.Commit(t.Context(), m)
}

// TestRecipientsThatAreNone are refused before anything is written.
func TestRecipientsThatAreNone(t *testing.T) {
	t.Parallel()
	x, _ := newIdentity(t, false)
	pq, _ := newIdentity(t, true)
	for _, bad := range [][]string{{"age1nonsense"}, {x, pq}, {"ssh-ed25519 AAAA"}} {
		if _, err := NewEncryption(bad, ""); lockstep.KindOf(err) != lockstep.KindInvalid || lockstep.HintOf(err) == "" {
			t.Errorf("%v: %v", bad, err)
		}
	}
}
