// Package store is the port to where the files of a restic repository lie: a
// folder, or a bucket. It knows names and bytes, and nothing of what they mean.
package store

import (
	"context"
	"errors"
)

// Store keeps files. All methods may be called concurrently. A name is a
// relative path of parts between slashes, such as "data/4f/4f0c…".
type Store interface {
	// Save makes a file of that content, whole and durable, or replaces it: at
	// no moment does anybody see a part of it.
	Save(ctx context.Context, name string, data []byte) error

	// Create is Save of a file that is not there; of several at once exactly
	// one succeeds. The others' error wraps ErrExists.
	Create(ctx context.Context, name string, data []byte) error

	// Load gives a file's content. The error for a file longer than limit bytes
	// wraps ErrTooLong.
	Load(ctx context.Context, name string, limit int64) ([]byte, error)

	// LoadRange appends length bytes of the file, from offset on, to dst. A
	// file that ends before that is an error that wraps io.ErrUnexpectedEOF.
	LoadRange(ctx context.Context, dst []byte, name string, offset, length int64) ([]byte, error)

	// List gives every file below a folder, of any depth, by its whole name. It
	// gives all of them or an error; a folder that is not there has none.
	List(ctx context.Context, folder string) ([]File, error)

	// Remove removes a file, durably. One that is not there is ErrNotFound, one that must
	// be kept (Retaining) a *RetainedError.
	Remove(ctx context.Context, name string) error

	// Free is how many bytes may still be saved, or -1 if that is not known.
	Free(ctx context.Context) (int64, error)

	// Location says, for people, where it is. Never a secret.
	Location() string
}

// Pinned is a Store at whose place there may come to be another one, as another disk
// is mounted at a folder.
type Pinned interface {
	// Pin has everything go to the place that is there now, or fail with an error that
	// wraps repository.ErrUnavailable, until unpin: what belongs together must not come
	// to lie in two of them, nor what is in the one to be missed in the other.
	Pin() (unpin func(), err error)
}

// File is one that List found.
type File struct {
	Name string
	Size int64
}

// Errors, to be matched with errors.Is.
var (
	ErrNotFound = errors.New("no such file")
	ErrExists   = errors.New("the file is there already")
	ErrTooLong  = errors.New("the file is longer than it may be")
)
