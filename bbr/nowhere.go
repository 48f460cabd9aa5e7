package bbr

import (
	"context"
	"io"

	"lockstep"
	"lockstep/repository"
	"lockstep/spill"
)

// nowhere is the repository of commands that keep and read nothing, and of a
// backup whose folder cannot be used: why says so when it is begun.
type nowhere struct{ why error }

var _ repository.Repository = nowhere{}

// Begin implements repository.Repository.
func (n nowhere) Begin(context.Context, lockstep.BackupID) (lockstep.BackupID, error) {
	return "", n.why
}

// Put implements repository.Repository: a dead run that is settled cannot go on
// collecting here.
func (n nowhere) Put(context.Context, lockstep.BackupID, string, io.Reader) (repository.Content, error) {
	return repository.Content{}, n.why
}

// Commit implements repository.Repository.
func (n nowhere) Commit(context.Context, lockstep.Backup) error { return n.why }

// Discard implements repository.Repository: local folders are left alone.
func (nowhere) Discard(context.Context, lockstep.BackupID) error { return nil }

// List implements repository.Repository.
func (nowhere) List(context.Context, string) ([]lockstep.Backup, error) { return nil, nil }

// Get implements repository.Repository.
func (nowhere) Get(context.Context, lockstep.BackupID) (lockstep.Backup, error) {
	return lockstep.Backup{}, repository.ErrNotFound
}

// Open implements repository.Repository.
func (nowhere) Open(context.Context, lockstep.BackupID, string) (io.ReadCloser, error) {
	return nil, repository.ErrNotFound
}

// Entries implements repository.Repository.
func (nowhere) Entries(context.Context, lockstep.BackupID, string) (*spill.List, error) {
	return nil, repository.ErrNotFound
}

// RecordVerify implements repository.Repository.
func (nowhere) RecordVerify(context.Context, lockstep.BackupID, lockstep.Verification) error {
	return repository.ErrNotFound
}

// Delete implements repository.Repository.
func (nowhere) Delete(context.Context, lockstep.BackupID) error { return repository.ErrNotFound }

// Free implements repository.Repository.
func (nowhere) Free(context.Context) (int64, error) { return -1, nil }

// Location implements repository.Repository.
func (nowhere) Location() string { return "nowhere" }
