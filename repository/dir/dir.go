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
	"lockstep/internal/faultpoint"
	"lockstep/repository"
	"lockstep/spill"
)

const (
	manifestFile = "lockstep.json"
	metadataFile = "metadata"
	specFile     = "manifest.yml" // the deployment's, where BBR was asked for it
	stagedMark   = ".lockstep-staged"
	deletedMark  = ".lockstep-deleted"
	tarSuffix    = ".tar"
)

// Repository is a repository in a folder. It holds nothing open between calls.
type Repository struct {
	path string
	// only, if not "", is the one folder that is a backup here, whatever its
	// name; see OpenBackup.
	only string
	// late: the folder may not be there yet, and has an identity when it is.
	late bool
	// encryption is nil where nothing is encrypted, nor can be opened that is.
	encryption *Encryption

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
	_ repository.ForOthers  = (*Repository)(nil)
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
	if err := repository.CheckID(id); err != nil {
		return "", err
	}
	base, err := os.OpenRoot(r.path)
	if err != nil {
		return "", r.trouble("begin backup", id, err)
	}
	defer base.Close()
	for n := 1; n <= repository.MaxSuffix; n++ {
		try := repository.Numbered(id, n)
		err := base.Mkdir(string(try), 0o700)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		faultpoint.Hit("dir.begin.made")
		if err == nil {
			err = r.mark(base, try)
		}
		if err != nil {
			return "", r.trouble("begin backup", try, err)
		}
		return try, nil
	}
	return "", fmt.Errorf("begin backup %q: %d others have that id", id, repository.MaxSuffix)
}

// Unused implements repository.Naming.
func (r *Repository) Unused(_ context.Context, id lockstep.BackupID) (lockstep.BackupID, error) {
	if err := repository.CheckID(id); err != nil {
		return "", err
	}
	for n := 1; n <= repository.MaxSuffix; n++ {
		_, err := os.Lstat(filepath.Join(r.path, string(repository.Numbered(id, n))))
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return repository.Numbered(id, n), nil
		case err != nil:
			return "", r.trouble("name backup", id, err)
		}
	}
	return "", fmt.Errorf("name backup %q: %d others have that id", id, repository.MaxSuffix)
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
	full := errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
	if full && !errors.Is(err, spill.ErrSpill) {
		return &lockstep.Error{
			Op: op, Err: err,
			Hint: fmt.Sprintf("%s is full: make room there, for example with `lockstep backups forget`", r.path),
		}
	}
	return fmt.Errorf("%s: %w", op, err)
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
