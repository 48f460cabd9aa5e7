package restic

import (
	"context"
	"errors"
	"fmt"
	"io"

	"lockstep"
	"lockstep/repository"
	"lockstep/repository/restic/format"
	"lockstep/repository/restic/vault"
)

// Open implements repository.Repository. Every blob that is read has its ID, or
// reading ends with an error that wraps ErrCorrupt.
func (r *Repository) Open(ctx context.Context, id lockstep.BackupID, name string) (io.ReadCloser, error) {
	v, f, err := r.find(ctx, id)
	if err != nil {
		return nil, err
	}
	return r.openOf(ctx, v, f, id, name)
}

// OpenStaged implements repository.StagedReading: every blob is read, those too that
// the repository had before the artifact was put.
func (r *Repository) OpenStaged(ctx context.Context, id lockstep.BackupID, name string) (io.ReadCloser, error) {
	v, err := r.vaultFor(ctx, id)
	if err != nil {
		return nil, err
	}
	f, err := r.stagedAs(ctx, v, id, name)
	if err != nil {
		return nil, err
	}
	return r.openOf(ctx, v, f, id, name)
}

func (r *Repository) openOf(ctx context.Context, v *vault.Vault, f found, id lockstep.BackupID, name string) (io.ReadCloser, error) {
	release, err := v.UseReading(ctx)
	if err != nil {
		return nil, trouble("open backup", id, err)
	}
	a, err := openArtifact(ctx, v, f, name)
	if err != nil {
		release()
		return nil, a.missing(id, name, err)
	}
	s := &stream{name: name, batches: make(chan batch), release: release}
	s.ctx, s.stop = context.WithCancelCause(ctx)
	go func() {
		defer close(s.batches)
		if err := s.produce(a); err != nil {
			s.err = trouble(fmt.Sprintf("read artifact %q of backup", name), id, err)
		}
	}()
	return s, nil
}

// What is read at once, and again while that is given out.
const (
	batchBytes = 6 << 20
	batchSteps = 4096
)

// batch is a part of the stream, in order.
type batch [][]byte

// stream gives an artifact's bytes. A goroutine of its own reads ahead.
type stream struct {
	ctx     context.Context
	stop    context.CancelCauseFunc
	name    string
	batches chan batch
	err     error // set before batches is closed
	release func()

	now    batch
	closed bool
}

// produce makes the stream of its recipe.
func (s *stream) produce(a artifact) error {
	recipe, err := readRecipe(&contentReader{ctx: s.ctx, vault: a.vault, ids: a.recipe.Content})
	if err != nil {
		return cutOff(err)
	}
	var total int64
	for {
		steps, size, err := nextSteps(recipe)
		if err != nil && err != io.EOF {
			return cutOff(err)
		}
		if total += size; total > a.Bytes || err == io.EOF && total != a.Bytes {
			return fmt.Errorf("%w: its recipe gives %d bytes or more, %d were put", repository.ErrCorrupt, total, a.Bytes)
		}
		done := err == io.EOF
		b, err := load(s.ctx, a.vault, steps)
		if err != nil {
			return err
		}
		select {
		case s.batches <- b:
		case <-s.ctx.Done():
			return context.Cause(s.ctx)
		}
		if done {
			return nil
		}
	}
}

// cutOff is damage: a recipe ends where a step does.
func cutOff(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: its recipe is cut off", repository.ErrCorrupt)
	}
	return err
}

// nextSteps reads some steps; io.EOF comes with the last of them.
func nextSteps(recipe *recipeReader) (steps []step, size int64, err error) {
	for size < batchBytes && len(steps) < batchSteps {
		s, err := recipe.next()
		if err != nil {
			return steps, size, err
		}
		steps, size = append(steps, s), size+int64(s.size)
	}
	return steps, size, nil
}

// load gives the bytes of steps.
func load(ctx context.Context, v *vault.Vault, steps []step) (batch, error) {
	var handles []format.Handle
	for _, s := range steps {
		if s.literal == nil {
			handles = append(handles, format.Handle{ID: s.id})
		}
	}
	blobs, err := v.LoadAll(ctx, handles)
	if err != nil {
		return nil, err
	}
	out := make(batch, 0, len(steps))
	for _, s := range steps {
		if s.literal != nil {
			out = append(out, s.literal)
			continue
		}
		if len(blobs[0]) != s.size {
			return nil, fmt.Errorf("%w: its recipe has %d bytes of a blob of %d", repository.ErrCorrupt, s.size, len(blobs[0]))
		}
		out, blobs = append(out, blobs[0]), blobs[1:]
	}
	return out, nil
}

// Read implements io.Reader.
func (s *stream) Read(p []byte) (int, error) {
	for {
		if s.ctx.Err() != nil {
			return 0, context.Cause(s.ctx)
		}
		for len(s.now) > 0 && len(s.now[0]) == 0 {
			s.now = s.now[1:]
		}
		if len(s.now) > 0 {
			break
		}
		next, ok := <-s.batches
		if !ok {
			if s.err != nil {
				return 0, s.err
			}
			return 0, io.EOF
		}
		s.now = next
	}
	n := copy(p, s.now[0])
	s.now[0] = s.now[0][n:]
	return n, nil
}

// Close implements io.Closer. It returns when nothing is read any more.
func (s *stream) Close() error {
	if s.closed {
		return nil
	}
	s.closed = true
	s.stop(errClosed)
	for range s.batches { // until it is closed
	}
	s.release()
	return nil
}

var errClosed = errors.New("the artifact was closed")
