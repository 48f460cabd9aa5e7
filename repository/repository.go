// Package repository is the port to where backups are kept.
//
// A repository keeps backups. A backup is its manifest (lockstep.Backup) with
// its artifacts; until the manifest is committed there is no backup, only
// staged artifacts that nobody can list, open or restore.
package repository

import (
	"context"
	"errors"
	"io"

	"lockstep"
	"lockstep/spill"
)

// Repository keeps backups.
//
// All methods may be called concurrently, those of one backup included; but
// only one process stages a backup of one id. Everything that a repository
// gives back may have been changed by others or by decay and is checked by
// those who read it; a listing that failed is an error, never an empty list.
type Repository interface {
	// Begin reserves an id for a new backup, durably, and returns it: the one
	// asked for, or with "_2", "_3" … behind it if that is taken.
	Begin(ctx context.Context, id lockstep.BackupID) (lockstep.BackupID, error)

	// Put stages the tar stream r as the artifact name of the backup that was
	// begun as id. It returns when the stream has ended and the artifact is
	// durable. What it returns is derived from the bytes as the repository
	// gives them back, not from those that were handed in. A second Put of a
	// name replaces the first. If ctx ends or r fails, nothing of it stays
	// staged. r must end when ctx does: a Read that blocks is not interrupted.
	// An id that was not begun, or is committed, is refused.
	Put(ctx context.Context, id lockstep.BackupID, name string, r io.Reader) (Content, error)

	// Commit makes the backup exist: atomically, durably, and after every
	// artifact that the manifest names. It refuses a manifest that names an
	// artifact that is not staged, or whose digest is not the staged one's.
	// Committing the same manifest again is not an error.
	Commit(ctx context.Context, manifest lockstep.Backup) error

	// Discard removes what is staged for an id that was never committed. An id
	// that is unknown is not an error; a committed one is refused.
	Discard(ctx context.Context, id lockstep.BackupID) error

	// List returns the manifests of the deployment's backups ("" means every
	// deployment), newest first. Foreign backups have lockstep.DataUnproven.
	// A backup whose manifest cannot be read is listed with DataUnproven and
	// a reason.
	List(ctx context.Context, deployment string) ([]lockstep.Backup, error)

	// Get returns one manifest, or an error that wraps ErrNotFound.
	Get(ctx context.Context, id lockstep.BackupID) (lockstep.Backup, error)

	// Open streams an artifact as a tar, exactly the bytes that were put.
	Open(ctx context.Context, id lockstep.BackupID, name string) (io.ReadCloser, error)

	// Entries returns the entry list recorded with an artifact at commit. Its
	// digest is that of the manifest, or the error wraps ErrCorrupt. A foreign
	// backup records checksums only, in the form of its own; see Foreign.
	// The list is to be closed and serves one caller.
	Entries(ctx context.Context, id lockstep.BackupID, name string) (*spill.List, error)

	// RecordVerify keeps, durably and beside the backup, how it was read again,
	// in place of the time before. From then on List and Get give it with the
	// backup, whose Data is lockstep.DataDamaged if it was not whole.
	RecordVerify(ctx context.Context, id lockstep.BackupID, v lockstep.Verification) error

	// Delete removes a backup: its manifest first, so that a delete that is
	// interrupted leaves no backup that looks whole.
	Delete(ctx context.Context, id lockstep.BackupID) error

	// Free is how many bytes may still be put, or -1 if that is not known.
	Free(ctx context.Context) (int64, error)

	// Location says, for people, where the repository is. Never a secret.
	Location() string
}

// Foreign is implemented by repositories that hold backups written by other
// programs, which have no entry lists.
type Foreign interface {
	// Checksums returns the recorded SHA-256, in lower-case hex, of each
	// file's content, by the path as the other program wrote it.
	Checksums(ctx context.Context, id lockstep.BackupID, name string) (map[string]string, error)
}

// ForOthers is implemented by repositories that keep a second record for other
// programs to restore by, beside ours. A verify of a backup calls it.
type ForOthers interface {
	// CheckForOthers compares that record of an artifact with ours. What it finds
	// wrong wraps ErrCorrupt.
	CheckForOthers(ctx context.Context, id lockstep.BackupID, name string) error
}

// Sharing is implemented by repositories whose backups share what is stored: damage
// in one would be in the next one of the same content.
type Sharing interface {
	// FindDamage reads all of a backup, past what is damaged, and has every later
	// backup store that again. A verify that found damage calls it. That there is
	// damage is not an error of it.
	FindDamage(ctx context.Context, id lockstep.BackupID) error
}

// Encrypting is implemented by repositories whose backups may be encrypted or not.
type Encrypting interface {
	// Encrypts reports whether new backups are.
	Encrypts() bool
	// IsEncrypted reports whether that backup is.
	IsEncrypted(ctx context.Context, id lockstep.BackupID) (bool, error)
}

// Identified is implemented by repositories that can be told from one another
// and from the empty place where one is missing, such as a disk that is not
// mounted.
type Identified interface {
	// Identity is that of the repository, the same for its whole life, or ""
	// where there is none or it has not been given one.
	Identity(ctx context.Context) (string, error)
	// Identify makes the repository, where there is none, and gives it an
	// identity, durably, unless it has one; it returns it.
	Identify(ctx context.Context) (string, error)
}

// Content is what an artifact turned out to be.
type Content struct {
	// Bytes is the length of the tar stream.
	Bytes int64
	// Entries is the number of its entries, the root folder not counted, and Digest
	// that of their list.
	Entries int
	Digest  string
}

// ContentOf is a stream of n bytes with those entries.
func ContentOf(n int64, entries *spill.List) Content {
	return Content{Bytes: n, Entries: entries.Count(), Digest: entries.Digest()}
}

// Errors, to be matched with errors.Is.
var (
	ErrNotFound = errors.New("not in the repository")
	// ErrCorrupt: what the repository gives back is not what was put.
	ErrCorrupt = errors.New("the repository's data is damaged")
	// ErrUnavailable: the repository did not answer, or not to the end. That says
	// nothing of its data, even beside ErrCorrupt.
	ErrUnavailable = errors.New("the repository cannot be reached")
)

// Naming is implemented by repositories that can say, reserving nothing, which
// id Begin would give at this moment.
type Naming interface {
	Unused(ctx context.Context, id lockstep.BackupID) (lockstep.BackupID, error)
}

// Staging is implemented by repositories that can show an artifact's entries
// before its backup is committed: it lets a mismatch be named.
type Staging interface {
	StagedEntries(ctx context.Context, id lockstep.BackupID, name string) (*spill.List, error)
}
