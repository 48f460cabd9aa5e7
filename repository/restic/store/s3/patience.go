package s3

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/minio/minio-go/v7"
)

// defaultPatience is how long a service that has answered is waited for. One that has
// not is not: its address may be wrong.
const defaultPatience = 2 * time.Minute

// Pauses between tries, of which the library has made several each.
const (
	firstPause = time.Second
	lastPause  = 15 * time.Second
)

// patient does what may be done twice again while the service, which has answered
// before, does not answer or is busy.
func (s *Store) patient(ctx context.Context, do func() error) error {
	began := time.Now()
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		err := do()
		if err == nil || answeredBy(err) {
			s.answered.Store(true)
		}
		if !passing(err) || !s.answered.Load() || ctx.Err() != nil {
			return err
		}
		pause := pause/2 + rand.N(pause/2+1) //nolint:gosec // nobody is kept from guessing it
		if time.Since(began)+pause > s.patience {
			s.answered.Store(false) // one is waited for once, not by each request anew
			return err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return err
		}
	}
}

// asked does a small request about a file, with patience and within bounds.
func (s *Store) asked(ctx context.Context, op, name string, do func(context.Context) error) error {
	return s.patient(ctx, func() error {
		ctx, stop := bounded(ctx, 0)
		defer stop()
		return s.trouble(ctx, op, name, do(ctx))
	})
}

// answeredBy reports whether an error is what the service says for itself, and not for
// what stands before it.
func answeredBy(err error) bool {
	var r minio.ErrorResponse
	return errors.As(err, &r) && r.StatusCode > 0 && r.StatusCode < 500
}

// passing reports whether an error may be over soon.
func passing(err error) bool {
	var u unavailable
	return errors.As(err, &u) && u.passes
}
