package dir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"syscall"
	"time"

	"lockstep"
	"lockstep/repository"
)

// state is what a folder of the repository is; see the package comment.
type state int

const (
	stateOther state = iota
	stateStaged
	stateCommitted
	stateDeleted
	stateForeign
)

// folder is the opened folder of one backup. Nothing reaches out of it, but for
// the links in one that a person named: the original bbr follows those.
type folder struct {
	id   lockstep.BackupID
	root *os.Root
	// renamed: the folder's name says nothing of the backup.
	renamed bool
	// named is the path of a folder that a person named, "" of all others.
	named string
}

// folder opens the folder of that id, or wraps ErrNotFound.
func (r *Repository) folder(id lockstep.BackupID) (*folder, error) {
	if err := repository.CheckID(id); err != nil {
		return nil, fmt.Errorf("%w: %w", repository.ErrNotFound, err)
	}
	base, err := os.OpenRoot(r.path)
	if r.late && errors.Is(err, fs.ErrNotExist) {
		return nil, notFound(id)
	}
	if err != nil {
		return nil, r.trouble("open backup", id, err)
	}
	defer base.Close()
	name := string(id)
	if r.only != "" {
		if id != onlyID(r.only) {
			return nil, notFound(id)
		}
		name = r.only
	}
	info, err := base.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !info.IsDir() {
		return nil, notFound(id)
	}
	if err != nil {
		return nil, r.trouble("open backup", id, err)
	}
	root, err := base.OpenRoot(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, notFound(id)
	}
	if err != nil {
		return nil, r.trouble("open backup", id, err)
	}
	f := &folder{id: id, root: root}
	if r.only != "" {
		f.renamed, f.named = true, filepath.Join(r.path, name)
	}
	return f, nil
}

func notFound(id lockstep.BackupID) error {
	return &lockstep.Error{
		Kind: lockstep.KindNotFound, Op: fmt.Sprintf("backup %q", id), Err: repository.ErrNotFound,
		Hint: "`lockstep backups list` shows what is there",
	}
}

func (f *folder) Close() { f.root.Close() }

// state looks in an order that is right while others commit or delete: a
// folder loses its staged mark only after lockstep.json has appeared, and
// lockstep.json becomes the deleted mark in one rename.
func (f *folder) state() (state, error) {
	staged, err := f.has(stagedMark)
	if err != nil {
		return stateOther, err
	}
	for _, c := range []struct {
		name string
		is   state
	}{{manifestFile, stateCommitted}, {deletedMark, stateDeleted}, {metadataFile, stateForeign}} {
		if c.is == stateDeleted && staged {
			return stateStaged, nil
		}
		if ok, err := f.has(c.name); err != nil || ok {
			return c.is, err
		}
	}
	return stateOther, nil
}

// has reports whether there is a file of that name, whatever its type.
func (f *folder) has(name string) (bool, error) {
	_, err := f.root.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// is refuses a folder that is in another state: those that are not a backup are
// not found.
func (f *folder) is(want ...state) (state, error) {
	s, err := f.state()
	if err != nil {
		return s, fmt.Errorf("open backup %q: %w", f.id, err)
	}
	for _, w := range want {
		if s == w {
			return s, nil
		}
	}
	return s, notFound(f.id)
}

// stat is what is known of a file, or of what a link leads to where links are
// followed.
func (f *folder) stat(name string) (fs.FileInfo, error) {
	info, err := f.root.Lstat(name)
	if err == nil && f.named != "" && info.Mode().Type() == fs.ModeSymlink {
		return os.Stat(filepath.Join(f.named, name))
	}
	return info, err
}

// openLinked opens what stat told of.
func (f *folder) openLinked(name string) (*os.File, error) {
	if info, err := f.root.Lstat(name); err == nil && f.named != "" && info.Mode().Type() == fs.ModeSymlink {
		return os.OpenFile(filepath.Join(f.named, name), os.O_RDONLY|syscall.O_NONBLOCK, 0)
	}
	return f.root.Open(name)
}

// open opens a regular file for reading. A link is refused, wherever it leads,
// unless a person named the folder; and so is what would block.
func (f *folder) open(name string) (*os.File, int64, error) {
	info, err := f.stat(name)
	if err != nil {
		return nil, 0, err
	}
	if !info.Mode().IsRegular() {
		return nil, 0, fmt.Errorf("%w: %s is not a regular file", repository.ErrCorrupt, name)
	}
	file, err := f.openLinked(name)
	if err != nil {
		return nil, 0, err
	}
	opened, err := file.Stat()
	if err == nil && !os.SameFile(info, opened) {
		err = fmt.Errorf("%s was replaced while it was opened", name)
	}
	if err != nil {
		return nil, 0, errors.Join(err, file.Close())
	}
	return file, opened.Size(), nil
}

// names lists what is in the folder.
func (f *folder) names() ([]string, error) {
	d, err := f.root.Open(".")
	if err != nil {
		return nil, err
	}
	names, err := d.Readdirnames(-1)
	return names, errors.Join(err, d.Close())
}

// clear removes everything but keep, then keep, then the folder itself: as
// long as anything is in it the folder says what it is.
func (f *folder) clear(r *Repository, keep string) error {
	names, err := f.names()
	if err != nil {
		return err
	}
	for _, name := range names {
		if name == keep {
			continue
		}
		if err := errors.Join(r.at("remove "+name), f.root.RemoveAll(name)); err != nil {
			return err
		}
	}
	if err := errors.Join(r.at("remove mark"), syncDir(f.root)); err != nil {
		return err
	}
	if err := f.root.Remove(keep); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	base, err := os.OpenRoot(r.path)
	if err != nil {
		return err
	}
	defer base.Close()
	if err := errors.Join(r.at("remove folder"), base.Remove(string(f.id))); err != nil {
		return err
	}
	return syncDir(base)
}

var idPattern = regexp.MustCompile(`^(.+)_(\d{8}T\d{6}Z)(?:_\d+)?$`)

// deploymentOf is the deployment that a folder's name tells of.
func deploymentOf(id lockstep.BackupID) string {
	if m := idPattern.FindStringSubmatch(string(id)); m != nil {
		return m[1]
	}
	return string(id)
}

// startOf is the time in a folder's name, or none.
func startOf(id lockstep.BackupID) time.Time {
	m := idPattern.FindStringSubmatch(string(id))
	if m == nil {
		return time.Time{}
	}
	t, _ := time.Parse("20060102T150405Z", m[2]) // the pattern allows month 99
	return t
}
