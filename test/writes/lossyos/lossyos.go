// Package lossyos is the part of package os that repository/dir uses, and writes
// down what is done. The tests build that package with this one in os's place.
package lossyos

import (
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"

	"lockstep/test/writes/oplog"
)

// What does nothing to files is as it was.
type (
	// FileInfo is os.FileInfo.
	FileInfo = os.FileInfo
	// FileMode is os.FileMode.
	FileMode = os.FileMode
)

// As in package os.
const (
	O_RDONLY = os.O_RDONLY
	O_WRONLY = os.O_WRONLY
	O_RDWR   = os.O_RDWR
	O_CREATE = os.O_CREATE
	O_EXCL   = os.O_EXCL
	O_TRUNC  = os.O_TRUNC
)

// As in package os.
var (
	Lstat    = os.Lstat
	Stat     = os.Stat
	ReadDir  = os.ReadDir
	SameFile = os.SameFile
	Getpid   = os.Getpid
	DirFS    = os.DirFS
	MkdirAll = os.MkdirAll
)

var (
	mu   sync.Mutex
	base string
	ops  []oplog.Op
)

// Begin writes down what is done below the folder.
func Begin(folder string) {
	mu.Lock()
	defer mu.Unlock()
	base, ops = folder, nil
}

// Acknowledge writes down that somebody was told.
func Acknowledge(note string) { add(oplog.Op{Kind: oplog.Ack, Note: note}) }

// Ops is what was done.
func Ops() []oplog.Op {
	mu.Lock()
	defer mu.Unlock()
	return ops
}

func add(op oplog.Op) {
	mu.Lock()
	defer mu.Unlock()
	if base != "" && op.Path != "" || op.Kind == oplog.Ack {
		ops = append(ops, op)
	}
}

// below is a name relative to the folder, "" if it is not there.
func below(name string) string {
	rel, err := filepath.Rel(base, name)
	if base == "" || err != nil || strings.HasPrefix(rel, "..") {
		return ""
	}
	return filepath.ToSlash(rel)
}

// File is an os.File.
type File struct {
	*os.File
	name   string
	folder bool
}

func (f *File) Write(p []byte) (int, error) {
	off, _ := f.Seek(0, 1)
	n, err := f.File.Write(p)
	add(oplog.Op{Kind: oplog.Write, Path: f.name, Off: off, Data: append([]byte{}, p[:n]...)})
	return n, err
}

// WriteAt is os.File's.
func (f *File) WriteAt(p []byte, off int64) (int, error) {
	n, err := f.File.WriteAt(p, off)
	add(oplog.Op{Kind: oplog.Write, Path: f.name, Off: off, Data: append([]byte{}, p[:n]...)})
	return n, err
}

// WriteString is os.File's.
func (f *File) WriteString(s string) (int, error) { return f.Write([]byte(s)) }

// Truncate is os.File's.
func (f *File) Truncate(size int64) error {
	err := f.File.Truncate(size)
	add(oplog.Op{Kind: oplog.Truncate, Path: f.name, Off: size})
	return err
}

// Sync is os.File's.
func (f *File) Sync() error {
	err := f.File.Sync()
	kind := oplog.Sync
	if f.folder {
		kind = oplog.SyncDir
	}
	if err == nil {
		add(oplog.Op{Kind: kind, Path: f.name})
	}
	return err
}

func opened(f *os.File, err error, name string) (*File, error) {
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	return &File{File: f, name: name, folder: info.IsDir()}, nil
}

// Open is that of package os.
func Open(name string) (*File, error) {
	f, err := os.Open(name)
	return opened(f, err, below(name))
}

// OpenFile is that of package os.
func OpenFile(name string, flag int, mode fs.FileMode) (*File, error) {
	_, missing := os.Lstat(name)
	f, err := os.OpenFile(name, flag, mode)
	made(err, missing, flag, below(name))
	return opened(f, err, below(name))
}

// made writes down what opening has done.
func made(err, missing error, flag int, name string) {
	switch {
	case err != nil:
	case missing != nil && flag&O_CREATE != 0:
		add(oplog.Op{Kind: oplog.Create, Path: name})
	case missing == nil && flag&O_TRUNC != 0:
		add(oplog.Op{Kind: oplog.Truncate, Path: name})
	}
}

// Root is an os.Root.
type Root struct {
	*os.Root
	name string
}

// OpenRoot is that of package os.
func OpenRoot(name string) (*Root, error) {
	r, err := os.OpenRoot(name)
	if err != nil {
		return nil, err
	}
	return &Root{r, below(name)}, nil
}

// OpenRoot is os.Root's.
func (r *Root) OpenRoot(name string) (*Root, error) {
	sub, err := r.Root.OpenRoot(name)
	if err != nil {
		return nil, err
	}
	return &Root{sub, path.Join(r.name, name)}, nil
}

// Open is os.Root's.
func (r *Root) Open(name string) (*File, error) {
	f, err := r.Root.Open(name)
	return opened(f, err, path.Join(r.name, name))
}

// OpenFile is os.Root's.
func (r *Root) OpenFile(name string, flag int, mode fs.FileMode) (*File, error) {
	_, missing := r.Lstat(name)
	f, err := r.Root.OpenFile(name, flag, mode)
	at := path.Join(r.name, name)
	made(err, missing, flag, at)
	return opened(f, err, at)
}

// Create is os.Root's.
func (r *Root) Create(name string) (*File, error) {
	return r.OpenFile(name, O_RDWR|O_CREATE|O_TRUNC, 0o666)
}

// Mkdir is os.Root's.
func (r *Root) Mkdir(name string, mode fs.FileMode) error {
	err := r.Root.Mkdir(name, mode)
	if err == nil {
		add(oplog.Op{Kind: oplog.Mkdir, Path: path.Join(r.name, name)})
	}
	return err
}

// Rename is os.Root's.
func (r *Root) Rename(from, to string) error {
	err := r.Root.Rename(from, to)
	if err == nil {
		add(oplog.Op{Kind: oplog.Rename, Path: path.Join(r.name, from), To: path.Join(r.name, to)})
	}
	return err
}

// Remove is os.Root's.
func (r *Root) Remove(name string) error {
	err := r.Root.Remove(name)
	if err == nil {
		add(oplog.Op{Kind: oplog.Remove, Path: path.Join(r.name, name)})
	}
	return err
}

// RemoveAll is os.Root's; here it removes what is there piece by piece.
func (r *Root) RemoveAll(name string) error {
	info, err := r.Lstat(name)
	if err != nil {
		return nil
	}
	if info.IsDir() {
		f, err := r.Root.Open(name)
		if err != nil {
			return err
		}
		names, err := f.Readdirnames(-1)
		_ = f.Close()
		if err != nil {
			return err
		}
		for _, n := range names {
			if err := r.RemoveAll(path.Join(name, n)); err != nil {
				return err
			}
		}
	}
	return r.Remove(name)
}
