package store

import (
	"context"
	"fmt"
	"time"
)

// Retaining is implemented by a Store that can keep files from being removed and
// replaced until a time, whoever asks: S3 calls it object lock. It may be that a store
// was not told to; then Until is the zero time, and others may keep its files.
type Retaining interface {
	// Until is until when what is saved now must be kept, to whole seconds, or the zero
	// time where nothing must. It is a bit later than asked for, so that what is saved or
	// needed a while later often has the same.
	Until(now time.Time) time.Time

	// SaveUntil is Save of a file that nobody can remove before that time.
	SaveUntil(ctx context.Context, name string, data []byte, until time.Time) error

	// Retain keeps a file at least until then. One that is kept for longer already stays
	// so: no call shortens it. One that is not there is ErrNotFound.
	Retain(ctx context.Context, name string, until time.Time) error

	// Retained is until when a file cannot be removed, or the zero time if it can; Held
	// where that is until somebody says otherwise.
	Retained(ctx context.Context, name string) (time.Time, error)

	// Hide has everybody find the file no more, even while it is kept: for what nothing
	// needs any longer. One that is not there is ErrNotFound.
	Hide(ctx context.Context, name string) error

	// Purge frees the space of what is hidden below a folder and is kept no more. What
	// must still be kept is not an error, anything else that cannot be freed is.
	Purge(ctx context.Context, folder string) error
}

// Held is the time that Retained gives for a file under a legal hold: no date ends that.
var Held = time.Date(9999, time.December, 31, 0, 0, 0, 0, time.UTC)

// RetainedError is that of Remove for a file that must be kept. It is matched with
// errors.As.
type RetainedError struct {
	Name string
	// Until is the zero time where it is kept until somebody says otherwise.
	Until time.Time
}

// Error implements error.
func (e *RetainedError) Error() string {
	if e.Until.IsZero() {
		return e.Name + " is under a legal hold"
	}
	return fmt.Sprintf("object lock keeps %s until %s", e.Name, e.Until.UTC().Format(time.RFC3339))
}
