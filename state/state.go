// Package state is the port to what an orchestrator keeps beside the journal:
// tokens and sessions, approvals, idempotency keys, schedules and the outbox of
// notices. The journal says what happened to deployments; nothing here is
// needed to unlock one.
//
// Each part is an interface in a file of its own, and Store is all of them. A
// write is durable when its method returns.
package state

import (
	"context"
	"errors"
	"time"
)

// Store is everything that is kept. All methods may be called concurrently, by
// several processes at once: of one host, and, in a database, of several.
type Store interface {
	Settings
	RunKeys
	Access
	Schedules
	Outbox
	// Close may be called twice; every other call after it fails.
	Close() error
}

// Settings are single values that an orchestrator keeps for itself, such as
// how far its outbox has read the journal.
type Settings interface {
	// Setting is the value kept under that name, nil if there is none.
	Setting(ctx context.Context, name string) ([]byte, error)
	// SetSetting keeps a value under that name, in place of the one before.
	SetSetting(ctx context.Context, name string, value []byte, at time.Time) error
	// KeepSetting keeps a value under that name, unless one is kept there. It returns
	// the one that is kept: whoever comes first decides, over all servers.
	KeepSetting(ctx context.Context, name string, value []byte, at time.Time) ([]byte, error)
}

// Errors, to be matched with errors.Is.
var (
	// ErrNotFound: nothing is kept under that name.
	ErrNotFound = errors.New("not found")
	// ErrDamaged: what is kept is not what was put there. Whoever asks is refused.
	ErrDamaged = errors.New("it was changed on the disk")
	// ErrExists: something else is kept under that name.
	ErrExists = errors.New("exists already")
	// ErrChanged: what is kept under that name was changed meanwhile.
	ErrChanged = errors.New("changed meanwhile")
	// ErrClosed: the store was closed.
	ErrClosed = errors.New("state is closed")
)
