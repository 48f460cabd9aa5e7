package executor

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"time"

	"lockstep"
	"lockstep/launcher"
	"lockstep/repository"
	"lockstep/spill"
)

// read reads an artifact from the repository to its end and compares it with
// what the backup recorded, before anything is changed anywhere.
func (e *Executor) read(ctx context.Context, t lockstep.Task) error {
	if t.Artifact == nil {
		return fmt.Errorf("backup %q has no artifact %q", t.Plan.Backup, t.Step.Artifact)
	}
	release, err := e.acquire(ctx)
	if err != nil {
		return err
	}
	defer release()
	m := e.meter(ctx, t.Step.ID, t.Artifact.Bytes)
	defer m.stop()
	_, err = repository.Verify(ctx, e.cfg.Repository, t.Plan.Backup, *t.Artifact, &m.n)
	e.rememberDamage(ctx, t, err)
	return err
}

// rememberDamage keeps with the backup that an artifact was found damaged, so
// that nobody takes it for a good one any more. That it cannot be kept does not
// make the restore's own error another one.
func (e *Executor) rememberDamage(ctx context.Context, t lockstep.Task, err error) {
	if ctx.Err() != nil || !repository.Damage(err) {
		return
	}
	_ = e.cfg.Repository.RecordVerify(ctx, t.Plan.Backup, lockstep.Verification{
		At: time.Now().UTC(), Problems: []string{err.Error()}, Artifacts: 1, By: fmt.Sprintf("restore, run %s", t.Run),
	})
}

// place unpacks an artifact on an instance and compares every file there. What
// no read step has proven is proven on its way.
func (e *Executor) place(ctx context.Context, t lockstep.Task) error {
	if t.Artifact == nil {
		return fmt.Errorf("backup %q has no artifact %q", t.Plan.Backup, t.Step.Artifact)
	}
	c, err := e.client(t)
	if err != nil {
		return err
	}
	release, err := e.acquire(ctx)
	if err != nil {
		return err
	}
	defer release()
	if err := c.MakeDir(ctx, t.Plan.Locations.Artifacts, t.Plan.Locations.Artifacts); err != nil {
		return err
	}
	e.lend(ctx, c, t, max(t.Artifact.Bytes, int64(t.Artifact.Entries)*roomOfFile))
	var got *spill.List
	for anew := e.anew(); ; {
		if got, err = e.upload(ctx, c, t); !anew.again(ctx, err) {
			break
		}
		if undo := c.RemoveDir(ctx, artifactDir(t)); undo != nil {
			err = fmt.Errorf("%w; what it left could not be removed: %w", err, undo)
			break
		}
	}
	if err != nil {
		e.rememberDamage(ctx, t, err)
		return fmt.Errorf("place artifact %q: %w", t.Artifact.Name, err)
	}
	defer got.Close()
	return e.comparePlaced(ctx, t, got)
}

// upload unpacks the artifact, and gives what the instance says is there then.
func (e *Executor) upload(ctx context.Context, c *launcher.Client, t lockstep.Task) (*spill.List, error) {
	stream, err := e.open(ctx, t)
	if err != nil {
		return nil, err
	}
	defer stream.Close()
	m := e.meter(ctx, t.Step.ID, t.Artifact.Bytes)
	defer m.stop()
	l := newListing(ctx)
	defer l.close()
	if err := c.Place(ctx, artifactDir(t), &meteredReader{stream, m}, l.add); err != nil {
		return nil, err
	}
	return l.list()
}

// open streams the artifact, and proves it on its way unless that was done.
func (e *Executor) open(ctx context.Context, t lockstep.Task) (io.ReadCloser, error) {
	if t.Step.Of != "" || t.Step.Proven {
		return e.cfg.Repository.Open(ctx, t.Plan.Backup, t.Artifact.Name)
	}
	return repository.Verified(ctx, e.cfg.Repository, t.Plan.Backup, *t.Artifact)
}

// comparePlaced compares what is on the instance now with what was recorded
// when the backup was proven.
func (e *Executor) comparePlaced(ctx context.Context, t lockstep.Task, got *spill.List) error {
	if t.Artifact.Digest == "" {
		return e.comparePlacedForeign(ctx, t, got)
	}
	root := e.cfg.Root[t.Step.Instance]
	if root && got.Digest() == t.Artifact.Digest {
		return nil
	}
	want, err := e.cfg.Repository.Entries(ctx, t.Plan.Backup, t.Artifact.Name)
	if err != nil {
		return err
	}
	defer want.Close()
	diffs, err := spill.Compare(want, got, !root)
	if err != nil {
		return err
	}
	if diffs.Count > 0 {
		return fmt.Errorf("place artifact %q in %s: %s", t.Artifact.Name, artifactDir(t), repository.Summarize(diffs))
	}
	return nil
}

func (e *Executor) comparePlacedForeign(ctx context.Context, t lockstep.Task, got *spill.List) error {
	f, ok := e.cfg.Repository.(repository.Foreign)
	if !ok {
		return errors.New("no checksums are recorded")
	}
	want, err := f.Checksums(ctx, t.Plan.Backup, t.Artifact.Name)
	if err != nil {
		return err
	}
	if a := t.Artifact; a.Checksums != "" && a.Checksums != repository.ChecksumsDigest(want) {
		return fmt.Errorf("its checksums were changed since the plan was made: %w", repository.ErrCorrupt)
	}
	for entry, err := range got.All() {
		if err != nil {
			return err
		}
		if entry.Type == lockstep.EntryFile && want["./"+entry.Path] != hex.EncodeToString(entry.Sum[:]) {
			return fmt.Errorf("place artifact %q in %s: checksums don't match for %q", t.Artifact.Name, artifactDir(t), entry.Path)
		}
	}
	return nil
}
