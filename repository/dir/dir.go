// Package dir keeps backups as plain folders that need no tool to read.
//
// A repository is a folder. A backup is a folder in it, named by its id, with
// one NAME.tar for each artifact and a file "metadata" as BBR writes it, so
// that BBR can restore what is here and what BBR wrote is listed here. Beside
// them lies lockstep.json (format.go): the manifest, and the entry list of
// each artifact. It is written last and renamed into place: that is the
// commit. A folder without it is one of these:
//
//   - staged: Begin left the file .lockstep-staged in it. Nobody sees it but
//     Put, Commit and Discard. A staged artifact is a NAME.tar with a
//     .NAME.entries beside it (stage.go);
//   - deleted: a Delete was interrupted after it had renamed lockstep.json to
//     .lockstep-deleted. Nobody sees it; Delete and Discard finish the work;
//   - foreign: it has a metadata file, and its name ends in a time: another
//     program's backup, which no manifest of ours vouches for (foreign.go);
//   - nothing to us, and left alone.
//
// A state is always left by one rename or one creation of a file, with all
// that it relies on synced before, and markers are removed last: whenever the
// power fails there is a whole backup or none.
//
// Symbolic links below the repository's folder are not followed: a backup or
// artifact that is one is refused.
package dir

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"

	"lockstep"
	"lockstep/repository"
)

const (
	manifestFile = "lockstep.json"
	metadataFile = "metadata"
	specFile     = "manifest.yml" // the deployment's, where BBR was asked for it
	stagedMark   = ".lockstep-staged"
	deletedMark  = ".lockstep-deleted"
	tarSuffix    = ".tar"

	maxSuffix = 10_000 // of a backup id
)

// Repository is a repository in a folder. It holds nothing open between calls.
type Repository struct {
	path string
	// only, if not "", is the one folder that is a backup here, whatever its
	// name; see OpenBackup.
	only string

	// before, if set by a test, is called before each step that changes what
	// is on disk; its error is that step's.
	before func(step string) error

	// mu guards partials, and is held while a staged artifact is replaced.
	mu sync.Mutex
	// partials are the files that a Put of this process is writing.
	partials map[string]bool
}

var (
	_ repository.Repository = (*Repository)(nil)
	_ repository.Foreign    = (*Repository)(nil)
)

// Open returns the repository in that folder, which is made if it is not
// there. The path is resolved once: a later change of directory is harmless.
func Open(path string) (*Repository, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("open repository %q: %w", path, err)
	}
	if err := os.MkdirAll(abs, 0o700); err != nil {
		return nil, &lockstep.Error{
			Kind: lockstep.KindInvalid, Op: fmt.Sprintf("open repository %q", abs), Err: err,
			Hint: "make the folder, or name another one as repository.dir in the configuration",
		}
	}
	return &Repository{path: abs, partials: map[string]bool{}}, nil
}

// Location is the folder's absolute path.
func (r *Repository) Location() string { return r.path }

// Begin implements repository.Repository: the folder, made by mkdir, is the
// reservation.
func (r *Repository) Begin(_ context.Context, id lockstep.BackupID) (lockstep.BackupID, error) {
	if err := checkID(id); err != nil {
		return "", err
	}
	base, err := os.OpenRoot(r.path)
	if err != nil {
		return "", r.trouble("begin backup", id, err)
	}
	defer base.Close()
	for n := 1; n <= maxSuffix; n++ {
		try := numbered(id, n)
		err := base.Mkdir(string(try), 0o700)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err == nil {
			err = r.mark(base, try)
		}
		if err != nil {
			return "", r.trouble("begin backup", try, err)
		}
		return try, nil
	}
	return "", fmt.Errorf("begin backup %q: %d others have that id", id, maxSuffix)
}

// Unused implements repository.Naming.
func (r *Repository) Unused(_ context.Context, id lockstep.BackupID) (lockstep.BackupID, error) {
	if err := checkID(id); err != nil {
		return "", err
	}
	for n := 1; n <= maxSuffix; n++ {
		_, err := os.Lstat(filepath.Join(r.path, string(numbered(id, n))))
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return numbered(id, n), nil
		case err != nil:
			return "", r.trouble("name backup", id, err)
		}
	}
	return "", fmt.Errorf("name backup %q: %d others have that id", id, maxSuffix)
}

// numbered is the n-th id for backups that were begun under the same one.
func numbered(id lockstep.BackupID, n int) lockstep.BackupID {
	if n > 1 {
		return lockstep.BackupID(fmt.Sprintf("%s_%d", id, n))
	}
	return id
}

const stagedText = "A backup was begun here and is not finished. If no lockstep process is running\nfor it, nothing of value is in this folder.\n"

// mark makes a new folder a staged one, durably.
func (r *Repository) mark(base *os.Root, id lockstep.BackupID) error {
	if err := r.at("mark"); err != nil {
		return err
	}
	root, err := base.OpenRoot(string(id))
	if err != nil {
		return err
	}
	defer root.Close()
	if err := writeFile(root, stagedMark, []byte(stagedText)); err != nil {
		return err
	}
	return errors.Join(syncDir(root), syncDir(base))
}

// Free implements repository.Repository.
func (r *Repository) Free(context.Context) (int64, error) { return freeBytes(r.path) }

// at announces a step to a test.
func (r *Repository) at(step string) error {
	if r.before == nil {
		return nil
	}
	return r.before(step)
}

// trouble says what failed for which backup, and for a full disk what to do.
func (r *Repository) trouble(op string, id lockstep.BackupID, err error) error {
	op = fmt.Sprintf("%s %q", op, id)
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return &lockstep.Error{
			Op: op, Err: err,
			Hint: fmt.Sprintf("%s is full: make room there, for example with `lockstep backups forget`", r.path),
		}
	}
	return fmt.Errorf("%s: %w", op, err)
}

// checkID refuses an id that is not a folder's name for a backup.
func checkID(id lockstep.BackupID) error {
	name := string(id)
	const part = 100 // a deployment's name may be as long as a name can be, then come time and suffix
	if len(name) > 200 {
		return fmt.Errorf("backup %q: an id has at most 200 characters", id)
	}
	for len(name) > part {
		if err := lockstep.CheckName("backup", "_"+name[part:]); err != nil {
			return err
		}
		name = name[:part]
	}
	return lockstep.CheckName("backup", name)
}

// writeFile makes a file that was not there and syncs it.
func writeFile(root *os.Root, name string, data []byte) error {
	f, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Sync(), f.Close())
}

func syncDir(root *os.Root) error {
	d, err := root.Open(".")
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
