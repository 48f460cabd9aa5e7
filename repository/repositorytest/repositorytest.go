// Package repositorytest is the contract of repository.Repository as tests.
// An adapter is done when Run is green on it.
package repositorytest

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lockstep"
	"lockstep/repository"
	"lockstep/spill"
)

// Run checks the contract. open gives a new, empty repository each time.
func Run(t *testing.T, open func(t *testing.T) repository.Repository) {
	cases := []struct {
		name string
		run  func(t *testing.T, r repository.Repository)
	}{
		{"a committed backup comes back as it was", testRoundTrip},
		{"an empty backup is a backup", testEmpty},
		{"nobody sees what is staged", testStagedIsInvisible},
		{"a second Put replaces the first", testSecondPut},
		{"Put refuses names, ids and streams", testPutRefuses},
		{"a Put that fails stages nothing", testPutFails},
		{"a Put ends with its context", testPutCanceled},
		{"Commit refuses what is not staged", testCommitRefuses},
		{"Commit may be repeated", testCommitTwice},
		{"Begin never gives an id twice", testBegin},
		{"Discard removes what is staged and nothing else", testDiscard},
		{"Delete removes a backup", testDelete},
		{"List is by deployment, newest first", testList},
		{"what is not there is not found", testNotFound},
		{"a hundred Puts of one backup at once", testManyPuts},
		{"readers and writers at once", testReadersAndWriters},
		{"reading ends with its context", testOpenCanceled},
		{"the result of a verify stays with the backup", testRecordVerify},
		{"a copy is the same backup, proven", testCopy},
		{"a copy takes the place of nothing", testCopyOfOther},
		{"damage is not copied", testCopyOfDamage},
		{"a copy that ends early leaves nothing", testCopyEnds},
		{"nothing is copied that cannot be proven", testCopyOfForeign},
		{"Free and Location", testPlace},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.run(t, open(t))
		})
	}
}

var start = time.Date(2026, 11, 22, 14, 42, 41, 0, time.UTC)

const shop = lockstep.BackupID("shop_20261122T144241Z")

// Member is one member of a tar stream that Tar makes: a folder if its name
// ends in a slash, a hard or symbolic link if it has a link, else a file.
type Member struct {
	Name, Content, HardLink, SymLink string
}

// Tar is a pax stream of the members, in order, with ./ in front of names.
func Tar(t testing.TB, members ...Member) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, m := range members {
		h := &tar.Header{Name: "./" + m.Name, Mode: 0o640, Uid: 1000, Gid: 1001, ModTime: time.Unix(1_700_000_000, 123_456_789), Format: tar.FormatPAX}
		switch {
		case m.HardLink != "":
			h.Typeflag, h.Linkname = tar.TypeLink, "./"+m.HardLink
		case m.SymLink != "":
			h.Typeflag, h.Linkname = tar.TypeSymlink, m.SymLink
		case len(m.Name) == 0 || m.Name[len(m.Name)-1] == '/':
			h.Typeflag = tar.TypeDir
		default:
			h.Typeflag, h.Size = tar.TypeReg, int64(len(m.Content))
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, m.Content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// Sample is a tar with every kind of entry, and names of any bytes.
func Sample(t testing.TB, seed string) []byte {
	big := bytes.Repeat([]byte(seed+"0123456789abcdef\n"), 40_000) // more than any one buffer
	return Tar(t,
		Member{Name: ""}, Member{Name: "sub/"}, Member{Name: "sub/big", Content: string(big)}, Member{Name: "empty"},
		Member{Name: "blank and\nnewline", Content: seed}, Member{Name: "\xff\xfe raw", Content: "raw"}, Member{Name: `quote"s'\`, Content: "q"},
		Member{Name: "also", HardLink: "sub/big"}, Member{Name: "link", SymLink: "../../etc/\xffpasswd"},
		Member{Name: string(bytes.Repeat([]byte("long/"), 60)) + "x", Content: "x"})
}

// Begin begins a backup, or fails the test.
func Begin(t testing.TB, r repository.Repository, id lockstep.BackupID) lockstep.BackupID {
	t.Helper()
	got, err := r.Begin(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// Put stages an artifact, checks what comes back, and gives it as a manifest
// names it.
func Put(t testing.TB, r repository.Repository, id lockstep.BackupID, name string, data []byte) lockstep.Artifact {
	t.Helper()
	want, n, err := repository.ReadTar(t.Context(), bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	got, err := r.Put(t.Context(), id, name, bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	defer want.Close()
	if diff := cmp.Diff(repository.ContentOf(n, want), got); diff != "" {
		t.Fatalf("(-want +Put gave):\n%s", diff)
	}
	return lockstep.Artifact{
		Slot: lockstep.Slot{Group: "db", Index: "0", Job: name}, Instance: "db/0", Name: name,
		Bytes: got.Bytes, Entries: got.Entries, Digest: got.Digest,
	}
}

// Manifest is a manifest that names the artifacts.
func Manifest(id lockstep.BackupID, artifacts ...lockstep.Artifact) lockstep.Backup {
	if artifacts == nil {
		artifacts = []lockstep.Artifact{}
	}
	return lockstep.Backup{
		V: 1, ID: id, Deployment: "shop", Key: "ssh:shop", Run: "r1", StartedAt: start, FinishedAt: start.Add(time.Minute),
		ConsistentAt: start.Add(time.Second), LockWindow: 1.42, Tags: []string{"before-upgrade"}, Data: lockstep.DataVerified, Artifacts: artifacts,
		Instances:  []lockstep.Instance{{Group: "db", ID: "0", Index: "0", Jobs: []lockstep.Job{{Name: "postgres"}}}},
		PlanDigest: "sha256:00", Version: "test",
	}
}

// Commit commits, or fails the test.
func Commit(t testing.TB, r repository.Repository, m lockstep.Backup) {
	t.Helper()
	if err := r.Commit(t.Context(), m); err != nil {
		t.Fatal(err)
	}
}

// Bytes are an artifact's as Open gives them.
func Bytes(ctx context.Context, r repository.Repository, id lockstep.BackupID, name string) ([]byte, error) {
	in, err := r.Open(ctx, id, name)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(in)
	return data, errors.Join(err, in.Close())
}

// Reread reads a backup again, all of it, and says what is wrong.
func Reread(ctx context.Context, r repository.Repository, id lockstep.BackupID) error {
	m, err := r.Get(ctx, id)
	if err != nil {
		return err
	}
	for _, a := range m.Artifacts {
		if err := rereadArtifact(ctx, r, id, a); err != nil {
			return err
		}
	}
	return nil
}

func rereadArtifact(ctx context.Context, r repository.Repository, id lockstep.BackupID, a lockstep.Artifact) error {
	want, err := r.Entries(ctx, id, a.Name)
	if err != nil {
		return err
	}
	defer want.Close()
	in, err := r.Open(ctx, id, a.Name)
	if err != nil {
		return err
	}
	defer in.Close()
	got, n, err := repository.ReadTar(ctx, in)
	if err != nil {
		return err
	}
	defer got.Close()
	diffs, err := spill.Compare(want, got, false)
	if err != nil {
		return err
	}
	if diffs.Count > 0 || n != a.Bytes || got.Digest() != a.Digest {
		return fmt.Errorf("artifact %q: %d bytes of %d, %v", a.Name, n, a.Bytes, diffs)
	}
	return nil
}
