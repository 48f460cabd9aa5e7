//go:build restictest

package restic

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"lockstep"
	"lockstep/repository"
	"lockstep/repository/repositorytest"
	"lockstep/repository/restic"
	"lockstep/repository/restic/store/file"
	"lockstep/spill"
)

const password = "a secret of both"

// site is a repository that both programs use.
type site struct {
	t    testing.TB
	path string
	ours *restic.Repository
}

func newSite(t testing.TB) *site {
	t.Helper()
	s := &site{t: t, path: filepath.Join(t.TempDir(), "repo")}
	store, err := file.At(s.path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	s.ours = restic.New(restic.Options{Store: store, Password: func(context.Context) (string, error) { return password, nil }})
	return s
}

// made is a site whose repository we made.
func made(t testing.TB) *site {
	t.Helper()
	s := newSite(t)
	if _, err := s.ours.Identify(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

// run runs stock restic and gives what it says, and whether it ended well.
func (s *site) run(args ...string) (string, error) {
	c := exec.CommandContext(s.t.Context(), "restic", args...)
	c.Env = s.environment()
	out, err := c.CombinedOutput()
	return string(out), err
}

// environment says where the repository is, and has a cache of its own.
func (s *site) environment() []string {
	return append(os.Environ(), "RESTIC_REPOSITORY="+s.path, "RESTIC_PASSWORD="+password, "RESTIC_CACHE_DIR="+filepath.Join(s.t.TempDir(), "cache"))
}

// stock runs stock restic, which must end well.
func (s *site) stock(args ...string) string {
	s.t.Helper()
	out, err := s.run(args...)
	if err != nil {
		s.t.Fatalf("restic %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// clean is what stock restic must find: no error and nothing to remark.
func (s *site) clean() {
	s.t.Helper()
	if out := s.stock("check", "--read-data"); !strings.Contains(out, "no errors were found") || strings.Contains(out, "additional files") {
		s.t.Errorf("restic check says:\n%s", out)
	}
}

// tree makes a folder with everything that an artifact can have.
func tree(t *testing.T) string {
	t.Helper()
	script := `set -e
umask 022
head -c 9000000 /dev/urandom > big; seq 1 600000 > numbers; : > empty; mkdir -p a/b/c hollow
echo one > 'a/with blank'; echo two > "$(printf 'a/\377\376raw')"; echo three > "$(printf 'a/new\nline')"; echo four > 'a/quote"s\n'
ln -s ../big a/link; ln -s "$(printf 'to/\377nowhere')" a/rawlink; ln big a/b/samefile; ln numbers zz
chmod 4755 a/with*; chmod 1777 hollow; chmod 0600 numbers; chown 1234:5678 a/b empty
truncate -s 40M sparse; printf x | dd of=sparse bs=1 seek=20000000 conv=notrunc 2>/dev/null
for i in $(seq 1 300); do echo "$i" > "a/b/c/$i"; done
touch -h -d '2001-02-03 04:05:06.789' a/link numbers a/b; touch -d 1969-12-31T00:00:00Z empty
mkdir a-b a.b; echo x > a-b/x; echo y > a.b/y
`
	dir := t.TempDir()
	c := exec.CommandContext(t.Context(), "sh", "-c", script)
	c.Dir = dir
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return dir
}

// tarOf is a folder as an instance sends it.
func tarOf(t *testing.T, dir string, args ...string) []byte {
	t.Helper()
	c := exec.CommandContext(t.Context(), "tar", append(args, "-C", dir, "--format=pax", "-c", ".")...)
	out, err := c.Output()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// backup puts and commits artifacts.
func (s *site) backup(id lockstep.BackupID, artifacts map[string][]byte) lockstep.Backup {
	s.t.Helper()
	id = repositorytest.Begin(s.t, s.ours, id)
	var list []lockstep.Artifact
	for name, data := range artifacts {
		list = append(list, repositorytest.Put(s.t, s.ours, id, name, data))
	}
	m := repositorytest.Manifest(id, list...)
	repositorytest.Commit(s.t, s.ours, m)
	return m
}

// whole says that a backup gives back what was put.
func (s *site) whole(m lockstep.Backup, artifacts map[string][]byte) {
	s.t.Helper()
	for _, a := range m.Artifacts {
		got, err := repositorytest.Bytes(s.t.Context(), s.ours, m.ID, a.Name)
		if err != nil || !bytes.Equal(got, artifacts[a.Name]) {
			s.t.Errorf("artifact %s of %s is not what was put: %v", a.Name, m.ID, err)
		}
		if _, err := repository.Verify(s.t.Context(), s.ours, m.ID, a, nil); err != nil {
			s.t.Error(err)
		}
	}
}

// snapshot is the stock program's name for a backup.
func (s *site) snapshot(id lockstep.BackupID) string {
	s.t.Helper()
	out := s.stock("snapshots", "--tag", "id:"+string(id), "--json")
	_, rest, ok := strings.Cut(out, `"short_id":"`)
	if !ok || len(rest) < 8 {
		s.t.Fatalf("no snapshot of %s in %s", id, out)
	}
	return rest[:8]
}

// TestStockRestoresWhatWeWrote: the stock program finds nothing wrong, and what
// it restores and dumps is what the instance had, to the entry.
func TestStockRestoresWhatWeWrote(t *testing.T) {
	t.Parallel()
	s, dir := made(t), tree(t)
	artifacts := map[string][]byte{"db-0-postgres": tarOf(t, dir), "db-1-postgres": tarOf(t, dir, "--sparse"), "none": repositorytest.Tar(t)}
	m := s.backup("shop_20261122T144241Z", artifacts)
	s.clean()
	s.whole(m, artifacts)
	out := t.TempDir()
	s.stock("restore", s.snapshot(m.ID), "--target", out, "--verify")
	for _, a := range m.Artifacts {
		if a.Name == "none" {
			continue // it holds no folder at all, the restored one is a folder
		}
		want, err := s.ours.Entries(t.Context(), m.ID, a.Name)
		if err != nil {
			t.Fatal(err)
		}
		got, _, err := repository.ReadTar(t.Context(), bytes.NewReader(tarOf(t, filepath.Join(out, a.Name))))
		if err != nil {
			t.Fatal(err)
		}
		for p, err := range spill.Pairs(want, got) {
			// Debian's restic cannot keep a link's target that is not UTF-8.
			if err != nil || p.A == nil || p.B == nil || p.A.Differs(*p.B, false) != "" && !strings.Contains(p.A.Path, "rawlink") {
				t.Errorf("%s, restored by restic: %+v instead of %+v, %v", a.Name, p.B, p.A, err)
			}
		}
		want.Close()
		got.Close()
	}
	dumped := s.stock("dump", s.snapshot(m.ID), "/db-0-postgres/numbers")
	want, err := os.ReadFile(filepath.Join(dir, "numbers"))
	if err != nil || dumped != string(want) {
		t.Errorf("dumped %d bytes instead of %d, %v", len(dumped), len(want), err)
	}
}

// TestStockReadsAFolderOfVeryManyFiles: its list is sealed while it is made, in a pack of
// its own, and its files are more blobs than one pack may have.
func TestStockReadsAFolderOfVeryManyFiles(t *testing.T) {
	t.Parallel()
	const files = 60_000
	var members []repositorytest.Member
	for i := range files {
		members = append(members, repositorytest.Member{Name: fmt.Sprintf("%06d", i), Content: fmt.Sprintln(i)})
	}
	s := made(t)
	artifacts := map[string][]byte{"many": repositorytest.Tar(t, members...)}
	m := s.backup("shop_20261122T144241Z", artifacts)
	s.clean()
	s.whole(m, artifacts)
	if listed := strings.Count(s.stock("ls", s.snapshot(m.ID), "/many"), "/many/"); listed != files {
		t.Errorf("restic lists %d files of %d", listed, files)
	}
	if got := s.stock("dump", s.snapshot(m.ID), "/many/059999"); got != "59999\n" {
		t.Errorf("dumped %q", got)
	}
	if _, err := s.ours.Prune(t.Context(), func(lockstep.Pruning) error { return nil }); err != nil {
		t.Error(err)
	}
	s.clean()
}

// TestEachLeavesTheOthersDataAlone: snapshots that restic made are not taken
// for backups; when it removes its own and prunes, our backups stay.
func TestEachLeavesTheOthersDataAlone(t *testing.T) {
	t.Parallel()
	s, dir := made(t), tree(t)
	first := map[string][]byte{"a": tarOf(t, dir)}
	m := s.backup("shop_20261122T144241Z", first)
	staged := repositorytest.Begin(t, s.ours, "shop_20261123T144241Z")
	a := repositorytest.Put(t, s.ours, staged, "b", repositorytest.Sample(t, "staged"))
	s.stock("backup", dir)
	if list, err := s.ours.List(t.Context(), ""); err != nil || len(list) != 1 || list[0].ID != m.ID {
		t.Errorf("listed: %v, %v", list, err)
	}
	s.clean()
	s.stock("forget", "--prune", "--keep-tag", "lockstep", "--keep-tag", "lockstep-staged", "--keep-last", "1", "--group-by", "")
	s.stock("prune", "--max-unused", "0", "--repack-small")
	s.clean()
	s.whole(m, first)
	repositorytest.Commit(t, s.ours, repositorytest.Manifest(staged, a))
	if err := repositorytest.Reread(t.Context(), s.ours, staged); err != nil {
		t.Error(err)
	}
	s.clean()
}

// TestARepositoryThatResticMade is used as one of ours.
func TestARepositoryThatResticMade(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.stock("init", "--repository-version", "2")
	s.stock("backup", tree(t))
	data := map[string][]byte{"a": repositorytest.Sample(t, "x")}
	m := s.backup("shop_20261122T144241Z", data)
	s.whole(m, data)
	s.clean()
	s.stock("tag", "--add", "kept", s.snapshot(m.ID))
	s.whole(m, data)
}

// TestLocksOfBoth: neither works where the other one needs the repository alone.
func TestLocksOfBoth(t *testing.T) {
	t.Parallel()
	s := made(t)
	s.backup("shop_20261122T144241Z", map[string][]byte{"a": repositorytest.Sample(t, "x")})
	v, err := s.ours.Vault(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	shared, err := v.Use(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if out, err := s.run("prune"); err == nil || !strings.Contains(out, "already locked") {
		t.Errorf("restic prunes beside a backup of ours: %v\n%s", err, out)
	}
	s.stock("backup", t.TempDir())
	shared()
	alone, err := v.UseAlone(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if out, err := s.run("backup", t.TempDir()); err == nil || !strings.Contains(out, "already locked") {
		t.Errorf("restic writes beside a prune of ours: %v\n%s", err, out)
	}
	alone()
	s.stock("prune")
}
