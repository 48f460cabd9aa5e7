package lockstep

import (
	"context"
	"fmt"
	"time"
)

// Pruning says what a prune of a repository does, or would do.
type Pruning struct {
	// Packs and Bytes are what is there before it.
	Packs int   `json:"packs"`
	Bytes int64 `json:"bytes"`
	// Free is how many bytes fewer there are afterwards.
	Free int64 `json:"free_bytes"`
	// Removed packs hold nothing that is needed; of Rewritten ones what is
	// needed is stored again.
	Removed   int `json:"removed_packs"`
	Rewritten int `json:"rewritten_packs"`
	// Unused are bytes that stay though nobody needs them: rewriting their packs
	// would not be worth it.
	Unused int64 `json:"unused_bytes"`
	// Retained packs would be removed or rewritten, but the store keeps them (object
	// lock): RetainedBytes that nobody needs stay, the last of them until RetainedUntil.
	Retained      int       `json:"retained_packs"`
	RetainedBytes int64     `json:"retained_bytes"`
	RetainedUntil time.Time `json:"retained_until,omitzero"`
}

// Text is what is freed and what stays, for people; size writes a number of bytes.
func (p Pruning) Text(size func(int64) string) string {
	return fmt.Sprintf("%s of %s: %d packs removed, %d rewritten, %s stay unused", size(p.Free), size(p.Bytes), p.Removed, p.Rewritten, size(p.Unused))
}

// RetainedText says what the store keeps that nobody needs, "" where there is none.
func (p Pruning) RetainedText(size func(int64) string) string {
	packs := fmt.Sprintf("%d packs", p.Retained)
	if p.Retained == 1 {
		packs = "1 pack"
	}
	switch {
	case p.Retained == 0:
		return ""
	case p.RetainedUntil.IsZero():
		return fmt.Sprintf("a legal hold keeps %s in %s that nobody needs; prune again when it was lifted", size(p.RetainedBytes), packs)
	}
	return fmt.Sprintf("object lock keeps %s in %s that nobody needs, the last of it until %s UTC; prune again then",
		size(p.RetainedBytes), packs, p.RetainedUntil.UTC().Format(time.DateTime))
}

// Pruner is implemented by a Service whose repository keeps the space of what was
// deleted.
type Pruner interface {
	// PruneRepository frees the space of what nobody needs. begin is told what will be
	// done, and its error ends it before anything is. KindConflict: somebody uses the
	// repository, and nothing was done.
	PruneRepository(ctx context.Context, begin func(Pruning) error) (Pruning, error)
}

// RepositoryStats is how much a repository holds.
type RepositoryStats struct {
	Backups int `json:"backups"`
	// Staged artifacts are of backups that are not committed.
	Staged int `json:"staged_artifacts"`
	// Others are snapshots of other programs.
	Others int `json:"other_snapshots"`
	// Bytes is what was backed up, all backups together; Stored is what it
	// takes.
	Bytes  int64 `json:"bytes"`
	Stored int64 `json:"stored_bytes"`
	Packs  int   `json:"packs"`
	Blobs  int   `json:"blobs"`
}

// RepositoryKey is one of the passwords that open a repository, without the
// password.
type RepositoryKey struct {
	ID       string    `json:"id"`
	Created  time.Time `json:"created"`
	Username string    `json:"username"`
	Hostname string    `json:"hostname"`
	// Current: the repository was opened with this one.
	Current bool `json:"current"`
}

// Copies is implemented by a Service that copies backups into other repositories.
type Copies interface {
	// CopyNew copies the verified backups of a deployment that are newer than those of
	// it which the repository of that name has, the oldest first; where it has none,
	// the newest alone. It returns what it copied, also with an error.
	CopyNew(ctx context.Context, deployment, to string) ([]CopyReport, error)
}

// CopyReport says what became of copying a backup into another repository.
type CopyReport struct {
	Backup BackupID `json:"backup"`
	// From and To are locations, for people.
	From string `json:"from"`
	To   string `json:"to"`
	// AlreadyThere: the same backup was there, and nothing was read.
	AlreadyThere bool `json:"already_there"`
	// Data is what the copy is worth: what the manifest says.
	Data      DataState `json:"data"`
	Artifacts int       `json:"artifacts"`
	// Bytes were copied, and read again there.
	Bytes int64 `json:"bytes"`
	// Unencrypted: the original is encrypted with age, and the copy is not.
	Unencrypted bool `json:"unencrypted,omitempty"`
}
