// Package file keeps the files of a restic repository in a folder, where stock
// restic finds them too.
//
// A file is written under a name of its own beside its place, synced, read
// again and compared, then renamed, and the folder synced: whenever the power
// fails there is the whole file or none. What a crash leaves has "-tmp-" in its
// name, which nobody takes for a file of the repository. Symbolic links that
// lead out of the folder are not followed.
package file

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"syscall"

	"lockstep"
	"lockstep/internal/faultpoint"
	"lockstep/repository"
	"lockstep/repository/restic/store"
)

// temporary is in the name of a file that is not yet where it belongs.
const temporary = "-tmp-"

// Store is a store in a folder, which the first Save makes.
type Store struct {
	path string

	mu   sync.Mutex
	root *os.Root // nil until the folder is there
	pins int      // how many rely on it to stay the same
}

var (
	_ store.Store  = (*Store)(nil)
	_ store.Pinned = (*Store)(nil)
)

// At is the store in that folder. The path is resolved once: a later change of
// directory is harmless.
func At(path string) (*Store, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("find folder %q: %w", path, err)
	}
	return &Store{path: abs}, nil
}

// Location is the folder's absolute path.
func (s *Store) Location() string { return s.path }

// Free implements store.Store.
func (s *Store) Free(context.Context) (int64, error) { return freeBytes(s.path) }

// Close gives back what the store holds. It may be used again.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	root := s.root
	if s.root = nil; root == nil {
		return nil
	}
	return root.Close()
}

// Pin implements store.Pinned.
func (s *Store) Pin() (unpin func(), err error) {
	if _, err := s.open(); err != nil {
		return nil, s.trouble("open", ".", err)
	}
	s.mu.Lock()
	s.pins++
	s.mu.Unlock()
	return sync.OnceFunc(func() {
		s.mu.Lock()
		s.pins--
		s.mu.Unlock()
	}), nil
}

// open is the folder. It is opened anew where it was replaced: a disk may have
// been mounted there since. Where that happens under those who rely on it, they fail
// with an error that wraps repository.ErrUnavailable.
func (s *Store) open() (*os.Root, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.root != nil {
		held, err1 := s.root.Stat(".")
		there, err2 := os.Stat(s.path)
		switch {
		case err1 == nil && err2 == nil && os.SameFile(held, there):
			return s.root, nil
		case s.pins > 0:
			return nil, &lockstep.Error{
				Kind: lockstep.KindRefused, Op: "use folder " + s.path,
				Err:  fmt.Errorf("%w: it is not the folder that was opened: another disk was mounted there, or this one unmounted, or it was moved", repository.ErrUnavailable),
				Hint: "look at `findmnt --target " + s.path + "`; begin again when the repository is back in its place",
			}
		}
		// Those who use it now end with an error, as they should.
		s.root.Close()
		s.root = nil
	}
	root, err := os.OpenRoot(s.path)
	if err != nil {
		return nil, err
	}
	s.root = root
	return root, nil
}

// Save implements store.Store.
func (s *Store) Save(_ context.Context, name string, data []byte) error {
	return s.write(name, data, func(root *os.Root, tmp string) error { return root.Rename(tmp, name) })
}

// Create implements store.Store. The link is what only one can make.
func (s *Store) Create(_ context.Context, name string, data []byte) error {
	return s.write(name, data, func(root *os.Root, tmp string) error {
		err := root.Link(tmp, name)
		if errors.Is(err, fs.ErrExist) {
			return store.ErrExists
		}
		if unsupported(err) {
			return createExclusive(root, name, data)
		}
		return errors.Join(err, root.Remove(tmp))
	})
}

// unsupported: the file system knows no hard links.
func unsupported(err error) bool {
	return errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.ENOTSUP) || errors.Is(err, syscall.ENOSYS)
}

func createExclusive(root *os.Root, name string, data []byte) error {
	f, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return store.ErrExists
	}
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Sync(), f.Close())
}

// write makes a synced temporary file, lets place bring it to its name, and
// syncs the folder.
func (s *Store) write(name string, data []byte, place func(root *os.Root, tmp string) error) error {
	root, err := s.open()
	if errors.Is(err, fs.ErrNotExist) {
		if err = os.MkdirAll(s.path, 0o700); err == nil {
			root, err = s.open()
		}
	}
	if err != nil {
		return s.trouble("save", name, err)
	}
	folder := path.Dir(name)
	if err := makeFolder(root, folder); err != nil {
		return s.trouble("save", name, err)
	}
	tmp := name + temporary + rand.Text()
	err = writeTemp(root, tmp, data)
	if err == nil {
		faultpoint.Hit("restic.save.written")
		err = place(root, tmp)
	}
	if err != nil {
		_ = root.Remove(tmp) // the cause is already on its way up
		return s.trouble("save", name, err)
	}
	faultpoint.Hit("restic.save.placed")
	return s.trouble("save", name, syncDir(root, folder))
}

// makeFolder makes a folder and those above it, durably.
func makeFolder(root *os.Root, folder string) error {
	if folder == "." {
		return nil
	}
	if _, err := root.Lstat(folder); err == nil {
		return nil
	}
	if err := makeFolder(root, path.Dir(folder)); err != nil {
		return err
	}
	if err := root.Mkdir(folder, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncDir(root, path.Dir(folder))
}

// writeTemp writes, syncs, reads again and compares.
func writeTemp(root *os.Root, name string, data []byte) error {
	f, err := root.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Sync())
	if err == nil {
		err = sameAs(f, data)
	}
	return errors.Join(err, f.Close())
}

// sameAs reads a file again. That proves what was written, not the medium: the
// kernel may give back what it still has in memory.
func sameAs(f *os.File, data []byte) error {
	chunk := make([]byte, 256<<10)
	for at := 0; at < len(data); {
		n, err := f.ReadAt(chunk[:min(len(chunk), len(data)-at)], int64(at))
		if n == 0 {
			return fmt.Errorf("read it again at byte %d: %w", at, err)
		}
		if !bytes.Equal(chunk[:n], data[at:at+n]) {
			return fmt.Errorf("read again, it is not what was written near byte %d", at)
		}
		at += n
	}
	return nil
}

func syncDir(root *os.Root, folder string) error {
	d, err := root.Open(folder)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Remove implements store.Store.
func (s *Store) Remove(_ context.Context, name string) error {
	root, err := s.open()
	if err == nil {
		err = root.Remove(name)
	}
	if err == nil {
		err = syncDir(root, path.Dir(name))
	}
	return s.trouble("remove", name, err)
}

// trouble says what failed, and for a full disk what to do.
func (s *Store) trouble(op, name string, err error) error {
	op = fmt.Sprintf("%s %s", op, filepath.Join(s.path, name))
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%s: %w", op, store.ErrNotFound)
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return &lockstep.Error{Op: op, Err: err, Hint: fmt.Sprintf(
			"%s is full: make room there, for example with `lockstep backups forget` and `lockstep repository prune`", s.path)}
	}
	return fmt.Errorf("%s: %w", op, err)
}

// Load implements store.Store.
func (s *Store) Load(_ context.Context, name string, limit int64) ([]byte, error) {
	f, size, err := s.openFile(name)
	if err != nil {
		return nil, s.trouble("read", name, err)
	}
	defer f.Close()
	if size > limit {
		return nil, s.trouble("read", name, fmt.Errorf("%w: it has %d bytes, not at most %d", store.ErrTooLong, size, limit))
	}
	data := make([]byte, size)
	if _, err := io.ReadFull(f, data); err != nil {
		return nil, s.trouble("read", name, err)
	}
	return data, nil
}

// LoadRange implements store.Store.
func (s *Store) LoadRange(_ context.Context, dst []byte, name string, offset, length int64) ([]byte, error) {
	f, size, err := s.openFile(name)
	if err != nil {
		return nil, s.trouble("read", name, err)
	}
	defer f.Close()
	if offset+length > size {
		return nil, s.trouble("read", name, fmt.Errorf("%w: it has %d bytes instead of %d or more", io.ErrUnexpectedEOF, size, offset+length))
	}
	n := len(dst)
	dst = append(dst, make([]byte, length)...)
	if _, err := f.ReadAt(dst[n:], offset); err != nil {
		return nil, s.trouble("read", name, err)
	}
	return dst, nil
}

func (s *Store) openFile(name string) (*os.File, int64, error) {
	root, err := s.open()
	if err != nil {
		return nil, 0, err
	}
	f, err := root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a FIFO there must not keep us
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("it is not a regular file")
	}
	if err != nil {
		return nil, 0, errors.Join(err, f.Close())
	}
	return f, info.Size(), nil
}

// List implements store.Store. What a crash left is not listed.
func (s *Store) List(ctx context.Context, folder string) ([]store.File, error) {
	return s.list(ctx, folder, func(name string) bool { return !strings.Contains(name, temporary) })
}

// Leftovers lists the temporary files below a folder: those that are being
// written, and those of writers that died.
func (s *Store) Leftovers(ctx context.Context, folder string) ([]store.File, error) {
	return s.list(ctx, folder, func(name string) bool { return strings.Contains(name, temporary) })
}

func (s *Store) list(ctx context.Context, folder string, wanted func(name string) bool) ([]store.File, error) {
	files := []store.File{}
	root, err := s.open()
	if err == nil {
		err = fs.WalkDir(root.FS(), folder, func(name string, d fs.DirEntry, err error) error {
			switch {
			case errors.Is(err, fs.ErrNotExist) && name != folder:
				return nil // removed meanwhile
			case err != nil:
				return err
			case ctx.Err() != nil:
				return context.Cause(ctx)
			case !d.Type().IsRegular() || !wanted(d.Name()):
				return nil
			}
			info, err := d.Info()
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			if err == nil {
				files = append(files, store.File{Name: name, Size: info.Size()})
			}
			return err
		})
	}
	if errors.Is(err, fs.ErrNotExist) {
		return files, nil
	}
	return files, s.trouble("list", folder, err)
}
