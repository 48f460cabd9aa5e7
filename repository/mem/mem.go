// Package mem keeps backups in memory, for simulations and tests. It keeps the
// port's contract, and can be told to lose it: see Damage.
package mem

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"

	"lockstep"
	"lockstep/repository"
	"lockstep/spill"
)

// Repository is a repository in memory. The zero value is not ready; use New.
type Repository struct {
	mu      sync.Mutex
	backups map[lockstep.BackupID]*backup
}

var _ repository.Repository = (*Repository)(nil)

// backup is staged until it has a manifest, kept as JSON so that nobody who
// was given one can change it.
type backup struct {
	manifest  []byte
	artifacts map[string]artifact
	verified  *lockstep.Verification
}

type artifact struct {
	data    []byte // what Open gives
	put     []byte
	content repository.Content
}

// New returns an empty repository.
func New() *Repository { return &Repository{backups: map[lockstep.BackupID]*backup{}} }

// Begin implements repository.Repository.
func (r *Repository) Begin(_ context.Context, id lockstep.BackupID) (lockstep.BackupID, error) {
	if err := lockstep.CheckName("backup", string(id)); err != nil {
		return "", err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	free := id
	for n := 2; r.backups[free] != nil; n++ {
		free = lockstep.BackupID(fmt.Sprintf("%s_%d", id, n))
	}
	r.backups[free] = &backup{artifacts: map[string]artifact{}}
	return free, nil
}

// Put implements repository.Repository. It does not hold others up while it
// reads.
func (r *Repository) Put(ctx context.Context, id lockstep.BackupID, name string, in io.Reader) (repository.Content, error) {
	var none repository.Content
	if err := errors.Join(lockstep.CheckName("artifact", name), r.staging(id)); err != nil {
		return none, err
	}
	data, err := io.ReadAll(&ending{ctx, in})
	if err != nil {
		return none, fmt.Errorf("put artifact %q: %w", name, err)
	}
	list, n, err := repository.ReadTar(ctx, bytes.NewReader(data))
	if err != nil {
		return none, fmt.Errorf("put artifact %q: %w", name, err)
	}
	content := repository.ContentOf(n, list)
	list.Close()
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.stagingLocked(id); err != nil {
		return none, err
	}
	r.backups[id].artifacts[name] = artifact{data, data, content}
	return content, nil
}

func (r *Repository) staging(id lockstep.BackupID) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.stagingLocked(id)
}

func (r *Repository) stagingLocked(id lockstep.BackupID) error {
	switch b := r.backups[id]; {
	case b == nil:
		return notFound("backup", string(id))
	case b.manifest != nil:
		return &lockstep.Error{Kind: lockstep.KindConflict, Op: fmt.Sprintf("backup %q", id), Err: errors.New("it is committed")}
	}
	return nil
}

// Commit implements repository.Repository.
func (r *Repository) Commit(ctx context.Context, manifest lockstep.Backup) error {
	data, err := json.Marshal(manifest.Manifest())
	if err != nil {
		return fmt.Errorf("commit backup %q: %w", manifest.ID, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	b := r.backups[manifest.ID]
	if b != nil && bytes.Equal(b.manifest, data) {
		return nil
	}
	if err := errors.Join(r.stagingLocked(manifest.ID), ctx.Err()); err != nil {
		return err
	}
	err = repository.CheckManifest(manifest, func(name string) (string, bool) {
		a, ok := b.artifacts[name]
		return a.content.Digest, ok
	})
	if err == nil {
		b.manifest = data
	}
	return err
}

// Discard implements repository.Repository.
func (r *Repository) Discard(_ context.Context, id lockstep.BackupID) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.backups[id] == nil {
		return nil
	}
	if err := r.stagingLocked(id); err != nil {
		return err
	}
	delete(r.backups, id)
	return nil
}

// List implements repository.Repository.
func (r *Repository) List(_ context.Context, deployment string) ([]lockstep.Backup, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := []lockstep.Backup{}
	for _, b := range r.backups {
		if b.manifest == nil {
			continue
		}
		m, err := b.decode()
		if err != nil {
			return nil, err
		}
		if deployment == "" || m.Deployment == deployment {
			list = append(list, m)
		}
	}
	repository.SortNewestFirst(list)
	return list, nil
}

func (b *backup) decode() (m lockstep.Backup, err error) {
	err = json.Unmarshal(b.manifest, &m)
	m.Verified = b.verified
	m.Stand()
	return m, err
}

// committed returns a backup that has a manifest; the caller holds mu.
func (r *Repository) committed(id lockstep.BackupID) (*backup, error) {
	b := r.backups[id]
	if b == nil || b.manifest == nil {
		return nil, notFound("backup", string(id))
	}
	return b, nil
}

// Get implements repository.Repository.
func (r *Repository) Get(_ context.Context, id lockstep.BackupID) (lockstep.Backup, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	b, err := r.committed(id)
	if err != nil {
		return lockstep.Backup{}, err
	}
	return b.decode()
}

// artifact returns one of a committed backup that its manifest names.
func (r *Repository) artifact(id lockstep.BackupID, name string) (artifact, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	b, err := r.committed(id)
	if err != nil {
		return artifact{}, err
	}
	m, err := b.decode()
	if err != nil {
		return artifact{}, err
	}
	if _, ok := m.Named(name); !ok {
		return artifact{}, notFound("artifact", name)
	}
	return b.artifacts[name], nil
}

// Open implements repository.Repository.
func (r *Repository) Open(ctx context.Context, id lockstep.BackupID, name string) (io.ReadCloser, error) {
	a, err := r.artifact(id, name)
	if err != nil {
		return nil, err
	}
	return io.NopCloser(&ending{ctx, bytes.NewReader(a.data)}), nil
}

// Entries implements repository.Repository.
func (r *Repository) Entries(ctx context.Context, id lockstep.BackupID, name string) (*spill.List, error) {
	a, err := r.artifact(id, name)
	if err != nil {
		return nil, err
	}
	list, _, err := repository.ReadTar(ctx, bytes.NewReader(a.put))
	return list, err
}

// RecordVerify implements repository.Repository.
func (r *Repository) RecordVerify(_ context.Context, id lockstep.BackupID, v lockstep.Verification) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	b, err := r.committed(id)
	if err == nil {
		b.verified = &v
	}
	return err
}

// Delete implements repository.Repository.
func (r *Repository) Delete(_ context.Context, id lockstep.BackupID) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, err := r.committed(id); err != nil {
		return err
	}
	delete(r.backups, id)
	return nil
}

// Damage flips a bit of what Open gives back of an artifact from now on, at
// that byte, counted from the end if it is negative.
func (r *Repository) Damage(id lockstep.BackupID, name string, at int) error {
	a, err := r.artifact(id, name)
	if err != nil {
		return err
	}
	if at < 0 {
		at += len(a.data)
	}
	if at < 0 || at >= len(a.data) {
		return fmt.Errorf("damage artifact %q: it has %d bytes", name, len(a.data))
	}
	a.data = bytes.Clone(a.data)
	a.data[at] ^= 1
	r.mu.Lock()
	defer r.mu.Unlock()
	r.backups[id].artifacts[name] = a
	return nil
}

// Free implements repository.Repository: it is not known.
func (r *Repository) Free(context.Context) (int64, error) { return -1, nil }

// Location implements repository.Repository.
func (r *Repository) Location() string { return "memory" }

func notFound(what, name string) error {
	return &lockstep.Error{Kind: lockstep.KindNotFound, Op: fmt.Sprintf("%s %q", what, name), Err: repository.ErrNotFound}
}

// ending is a reader that ends with its context.
type ending struct {
	ctx context.Context
	r   io.Reader
}

func (e *ending) Read(p []byte) (int, error) {
	if e.ctx.Err() != nil {
		return 0, context.Cause(e.ctx)
	}
	return e.r.Read(p)
}
