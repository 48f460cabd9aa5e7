package vault

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"lockstep/repository/restic/format"
	"lockstep/repository/restic/store/file"
)

// memory is a Scratch that may spoil what it has.
type memory struct {
	bytes.Buffer
	spoiled bool
}

// ReadAt implements io.ReaderAt.
func (m *memory) ReadAt(p []byte, at int64) (int, error) {
	n := copy(p, m.Bytes()[at:])
	if m.spoiled && n > 0 {
		p[n/2] ^= 1
	}
	return n, nil
}

// newVaultIn makes a repository in a folder.
func newVaultIn(t *testing.T, dir string) *Vault {
	t.Helper()
	s, err := file.At(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	v, err := Init(t.Context(), s, "secret", format.KDF{N: 2, R: 8, P: 1})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// usedVault is a new repository, and used by the test.
func usedVault(t *testing.T) *Vault {
	t.Helper()
	v := newVaultIn(t, t.TempDir())
	release, err := v.Use(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(release)
	return v
}

// TestAStreamThatIsSpoiled: what a temporary folder has spoiled is not stored.
func TestAStreamThatIsSpoiled(t *testing.T) {
	t.Parallel()
	v := usedVault(t)
	for _, spoiled := range []bool{true, false} {
		session := v.Session()
		w, err := session.NewStream(format.Tree, &memory{spoiled: spoiled})
		if err != nil {
			t.Fatal(err)
		}
		content := strings.Repeat("what a folder has ", 10_000)
		if _, err := w.Write([]byte(content)); err != nil {
			t.Fatal(err)
		}
		id, err := w.Save(t.Context(), func() {})
		if (err != nil) != spoiled {
			t.Fatalf("spoiled %v: %v", spoiled, err)
		}
		if err := session.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		got, err := v.Load(t.Context(), format.Handle{ID: id, Kind: format.Tree})
		if (err != nil) != spoiled || !spoiled && string(got) != content {
			t.Errorf("spoiled %v: %d bytes, %v", spoiled, len(got), err)
		}
	}
}

// TestManySmallBlobsAreIndexedOnTheirWay: what is known of them alone is little, and a
// backup that is killed has stored them.
func TestManySmallBlobsAreIndexedOnTheirWay(t *testing.T) {
	t.Parallel()
	v := usedVault(t)
	session := v.Session()
	for i := range indexBlobs + 1 {
		if _, err := session.Save(t.Context(), format.Data, fmt.Append(nil, i)); err != nil {
			t.Fatal(err)
		}
	}
	indexes, err := v.list(t.Context(), indexDir)
	if err != nil || len(indexes) != 1 {
		t.Errorf("%d indexes, %v", len(indexes), err)
	}
	if err := session.Flush(t.Context()); err != nil {
		t.Error(err)
	}
}
