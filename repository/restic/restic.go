// Package restic keeps backups in a repository of restic's format: encrypted,
// deduplicated, and readable by any stock restic with the password
// (docs/repository.md). Package format says what the format is, vault keeps a
// repository whole, store is where its files lie. This package says what a
// backup is in it.
//
// A backup is a snapshot. Its tree has a folder for each artifact, with the
// files as the instance had them, and beside them the folder .lockstep:
//
//	.lockstep/manifest.json          the lockstep.Backup
//	.lockstep/NAME/artifact.json     length and digest of artifact NAME
//	.lockstep/NAME/entries           its entry list, one entry a line
//	.lockstep/NAME/recipe            how its tar is made of its files' content
//	NAME/…                           its files
//
// Its host is the deployment, its tags are "lockstep" and "id:ID". So all that
// a new orchestrator needs is the repository and its password.
//
// Begin reserves an id by a note, which only one can make. Put keeps a staged
// artifact as a snapshot of its own, tagged "lockstep-staged", so that nobody's
// prune takes its data away; Commit makes one snapshot of them all, and that is
// the commit. A snapshot without our tags is another program's and is left
// alone.
package restic

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"golang.org/x/sync/semaphore"

	"lockstep"
	"lockstep/repository"
	"lockstep/repository/restic/format"
	"lockstep/repository/restic/store"
	"lockstep/repository/restic/vault"
)

// Options are what a repository is opened with.
type Options struct {
	Store store.Store
	// Password is asked for when the repository is opened or made, not before.
	Password func(context.Context) (string, error)
	// KDF is how a new repository's key is made of the password; the zero
	// value is format.DefaultKDF.
	KDF format.KDF
}

// Repository is a repository in restic's format. It is opened when it is first
// used.
type Repository struct {
	o Options

	mu     sync.Mutex
	opened *vault.Vault

	begins sync.Mutex // held while an id is reserved
	stages sync.Mutex // held while a staged artifact is replaced

	memory *semaphore.Weighted // bytes of content on their way, of all Puts

	cacheMu   sync.Mutex
	manifests map[format.ID][]byte // by snapshot
}

var (
	_ repository.Repository = (*Repository)(nil)
	_ repository.Identified = (*Repository)(nil)
	_ repository.Naming     = (*Repository)(nil)
	_ repository.Staging    = (*Repository)(nil)
	_ repository.ForOthers  = (*Repository)(nil)
	_ repository.Sharing    = (*Repository)(nil)
	_ repository.Cared      = (*Repository)(nil)

	_ repository.StagedReading = (*Repository)(nil)
)

// New is the repository in a store. Nothing is read yet.
func New(o Options) *Repository {
	if o.KDF == (format.KDF{}) {
		o.KDF = format.DefaultKDF
	}
	return &Repository{o: o, memory: semaphore.NewWeighted(putMemory), manifests: map[format.ID][]byte{}}
}

// Location implements repository.Repository.
func (r *Repository) Location() string { return r.o.Store.Location() }

// Free implements repository.Repository.
func (r *Repository) Free(ctx context.Context) (int64, error) { return r.o.Store.Free(ctx) }

// Vault is the opened repository, for those who look after it. Where there is
// none, the error wraps vault.ErrNone.
func (r *Repository) Vault(ctx context.Context) (*vault.Vault, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.open(ctx)
}

// open is called with mu held.
func (r *Repository) open(ctx context.Context) (*vault.Vault, error) {
	if r.opened != nil {
		return r.opened, nil
	}
	password, err := r.o.Password(ctx)
	if err != nil {
		return nil, err
	}
	v, err := vault.Open(ctx, r.o.Store, password)
	if err != nil {
		return nil, err
	}
	r.opened = v
	return v, nil
}

// Identity implements repository.Identified: it is that of the format's config.
// It looks at the store each time, for a disk may have been unmounted.
func (r *Repository) Identity(ctx context.Context) (string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.opened != nil {
		same, err := r.opened.Is(ctx)
		if err != nil {
			return "", err
		}
		if !same {
			r.opened = nil
		}
	}
	v, err := r.open(ctx)
	switch {
	case errors.Is(err, vault.ErrNone):
		return "", nil
	case err != nil:
		return "", err
	}
	return v.Identity(), nil
}

// Identify implements repository.Identified.
func (r *Repository) Identify(ctx context.Context) (string, error) {
	if id, err := r.Identity(ctx); err != nil || id != "" {
		return id, err
	}
	if err := r.make(ctx); err != nil {
		return "", err
	}
	return r.Identity(ctx)
}

func (r *Repository) make(ctx context.Context) error {
	password, err := r.o.Password(ctx)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	v, err := vault.Init(ctx, r.o.Store, password, r.o.KDF)
	if errors.Is(err, store.ErrExists) {
		return nil // another one was quicker
	}
	r.opened = v
	return err
}

// trouble says what failed for which backup.
func trouble(op string, id lockstep.BackupID, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s %q: %w", op, id, err)
}

func notFound(id lockstep.BackupID) error {
	return &lockstep.Error{
		Kind: lockstep.KindNotFound, Op: fmt.Sprintf("find backup %q", id), Err: repository.ErrNotFound,
		Hint: "`lockstep backups list` shows what is there",
	}
}
