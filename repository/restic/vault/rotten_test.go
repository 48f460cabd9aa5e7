package vault

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sync/errgroup"

	"lockstep/repository"
	"lockstep/repository/restic/format"
	"lockstep/repository/restic/store"
	"lockstep/repository/restic/store/file"
)

// stored is a repository with a pack of so many blobs.
func stored(t *testing.T, blobs int) (v *Vault, path string, handles []format.Handle) {
	t.Helper()
	path = t.TempDir()
	s, err := file.At(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	v, err = Init(t.Context(), s, "secret", format.KDF{N: 2, R: 8, P: 1})
	if err != nil {
		t.Fatal(err)
	}
	release, err := v.Use(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	session := v.Session()
	for i := range blobs {
		id, err := session.Save(t.Context(), format.Data, fmt.Appendf(nil, "blob %d", i))
		if err != nil {
			t.Fatal(err)
		}
		handles = append(handles, format.Handle{ID: id})
	}
	if err := session.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	return v, path, handles
}

// rot changes a bit of each of those blobs, which lie in one pack.
func rot(t *testing.T, v *Vault, path string, handles ...format.Handle) {
	t.Helper()
	for _, h := range handles {
		pack, b, ok := v.Where(h)
		if !ok {
			t.Fatal(h)
		}
		name := filepath.Join(path, fileName(dataDir, pack))
		content, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		content[b.Offset+b.Length/2] ^= 1
		if err := os.WriteFile(name, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// reopened is the repository as another process has it.
func reopened(t *testing.T, v *Vault) *Vault {
	t.Helper()
	again, err := Open(t.Context(), v.store, "secret")
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	return again
}

// badSectors is a store whose medium fails under those bytes of each file.
type badSectors struct {
	store.Store
	from, to int64
}

func (b *badSectors) LoadRange(ctx context.Context, dst []byte, name string, offset, length int64) ([]byte, error) {
	if offset < b.to && offset+length > b.from {
		return nil, fmt.Errorf("read %s: %w", name, syscall.EIO)
	}
	return b.Store.LoadRange(ctx, dst, name, offset, length)
}

// TestAllRottenBlobsOfARange: one bad sector is under many small blobs, and all are
// to be stored again.
//
//fault:restic-bad-sector many blobs of a pack rot at once, or lie under a bad sector | reading any of them finds all that lie together; none counts as stored
func TestAllRottenBlobsOfARange(t *testing.T) {
	t.Parallel()
	for what, spoil := range map[string]func(*testing.T, *Vault, string, []format.Handle){
		"other bits": func(t *testing.T, v *Vault, path string, bad []format.Handle) { rot(t, v, path, bad...) },
		"bad sectors": func(_ *testing.T, v *Vault, _ string, bad []format.Handle) {
			_, first, _ := v.Where(bad[0])
			_, last, _ := v.Where(bad[len(bad)-1])
			v.store = &badSectors{v.store, int64(first.Offset), int64(last.Offset + last.Length)}
		},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			v, path, handles := stored(t, 20)
			spoil(t, v, path, handles[3:13])
			if _, err := v.LoadAll(t.Context(), handles); !errors.Is(err, repository.ErrCorrupt) {
				t.Errorf("load: %v", err)
			}
			if err := v.KeepRotten(t.Context()); err != nil {
				t.Fatal(err)
			}
			for _, v := range []*Vault{v, reopened(t, v)} {
				if bad, good := len(v.counted(handles[3:13])), len(v.counted(append(handles[:3:3], handles[13:]...))); bad != 0 || good != 10 {
					t.Errorf("%d of 10 rotten blobs count as stored, %d of 10 good ones", bad, good)
				}
			}
		})
	}
}

// unreadableNotes is a store whose notes fail with that error.
type unreadableNotes struct {
	store.Store
	err error
}

func (u *unreadableNotes) Load(ctx context.Context, name string, limit int64) ([]byte, error) {
	if strings.HasPrefix(name, notesDir) {
		return nil, fmt.Errorf("read %s: %w", name, u.err)
	}
	return u.Store.Load(ctx, name, limit)
}

// TestANoteThatCannotBeRead: it only says what is not to be counted, and keeps nobody
// from backing up or restoring. Where nothing is reached, nothing is known.
//
//fault:restic-rotten-note a note of what is damaged lies under a bad sector | backups, restores and prunes go on without it
func TestANoteThatCannotBeRead(t *testing.T) {
	t.Parallel()
	v, path, handles := stored(t, 2)
	rot(t, v, path, handles[0])
	if _, err := v.LoadAll(t.Context(), handles); err == nil {
		t.Fatal("nothing is rotten")
	}
	if err := v.KeepRotten(t.Context()); err != nil {
		t.Fatal(err)
	}
	over := v.store
	for cause, refused := range map[error]bool{syscall.EIO: false, os.ErrPermission: false, store.ErrTooLong: false, repository.ErrUnavailable: true} {
		again := reopened(t, v)
		again.store = &unreadableNotes{over, cause}
		if release, err := again.Use(t.Context()); (err != nil) != refused {
			t.Errorf("%v: %v", cause, err)
		} else if err == nil {
			release()
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := v.readRotten(ended); !errors.Is(err, context.Canceled) {
		t.Errorf("the context has ended: %v", err)
	}
}

// TestNobodysNoteReplacesAnothers: two who each found other blobs of a pack, beside
// one another or one after the other, are both heeded.
//
//fault:restic-rotten-notes two verifies find other rotten blobs of one pack at once | what either found is stored again
func TestNobodysNoteReplacesAnothers(t *testing.T) {
	t.Parallel()
	v, path, handles := stored(t, 20)
	rot(t, v, path, handles...)
	ways := []*Vault{reopened(t, v), reopened(t, v), v, v}
	var group errgroup.Group
	for i, way := range ways {
		group.Go(func() error {
			for _, h := range handles[i*5 : i*5+5] {
				if _, err := way.Load(t.Context(), h); err == nil {
					return fmt.Errorf("%s is not rotten", h)
				}
				if err := way.KeepRotten(t.Context()); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	if good := reopened(t, v).counted(handles); len(good) > 0 {
		t.Errorf("%d of %d rotten blobs count as stored", len(good), len(handles))
	}
}

// TestMoreRottenBlobsThanOneNoteHas: none of them is left out.
func TestMoreRottenBlobsThanOneNoteHas(t *testing.T) {
	t.Parallel()
	v, _, handles := stored(t, maxRotten+maxRotten/2)
	v.store = &badSectors{v.store, 0, 1 << 62}
	if err := v.Probe(t.Context(), handles); err != nil {
		t.Fatal(err)
	}
	if err := v.KeepRotten(t.Context()); err != nil {
		t.Fatal(err)
	}
	if good := reopened(t, v).counted(handles); len(good) > 0 {
		t.Errorf("%d of %d rotten blobs count as stored", len(good), len(handles))
	}
}
