package executor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"lockstep"
	"lockstep/internal/faultpoint"
	"lockstep/launcher"
	"lockstep/repository"
)

// collect brings one artifact into the repository, while the instance takes
// its own inventory beside it: one pass over the bytes on each side.
func (e *Executor) collect(ctx context.Context, t lockstep.Task) (lockstep.StepFinished, error) {
	var f lockstep.StepFinished
	c, err := e.client(t)
	if err != nil {
		return f, err
	}
	release, err := e.acquire(ctx)
	if err != nil {
		return f, err
	}
	defer release()
	dir := artifactDir(t)
	used, warnings, err := survey(ctx, c, t)
	f.Warnings = warnings
	if err != nil {
		return f, fmt.Errorf("collect %s: %w", dir, unread(ctx, c, t, err))
	}
	returnSpace, err := e.space.reserve(ctx, e.cfg.Repository, used)
	if err != nil {
		return f, err
	}
	defer returnSpace()
	read := e.readBeside
	if e.lend(ctx, c, t, used) || used <= launcher.WorthPacking {
		read = e.readPacked
	}
	faultpoint.Hit("executor.collect.before")
	lost := make(chan []string, 1)
	go func() { lost <- traits(ctx, c, t) }()
	content, err := read(ctx, c, t, used)
	faultpoint.Hit("executor.collect.after")
	if err != nil {
		return f, fmt.Errorf("collect %s: %w", dir, unread(ctx, c, t, err))
	}
	f.Warnings = append(f.Warnings, <-lost...)
	artifact := e.artifact(t, content)
	f.Artifact = &artifact
	if artifact.Empty() && !t.Step.MayBeEmpty && t.Plan.Policy.AllowEmpty { // else the run itself says it
		f.Warnings = append(f.Warnings, "the backup script left nothing")
	}
	return f, nil
}

// readBeside brings the artifact in while its instance takes the inventory.
func (e *Executor) readBeside(ctx context.Context, c *launcher.Client, t lockstep.Task, total int64) (repository.Content, error) {
	dir := artifactDir(t)
	inv := e.beginInventory(ctx, c, t.Step.Artifact, dir)
	content, err := e.transfer(ctx, t, total, func(ctx context.Context, w io.Writer) error {
		return c.TarOut(ctx, dir, total, w)
	})
	if err != nil {
		inv.cancel()
	}
	return content, err
}

// readPacked has the instance take the inventory and send the artifact in one
// session: for many small ones that is much less for their instances to do, and a
// helper reads a large one once for both.
func (e *Executor) readPacked(ctx context.Context, c *launcher.Client, t lockstep.Task, total int64) (repository.Content, error) {
	return e.transfer(ctx, t, total, func(ctx context.Context, w io.Writer) error {
		listed := newListing(ctx)
		defer listed.close()
		err := c.Pack(ctx, artifactDir(t), total, listed.add, w)
		if err == nil {
			e.keepInventory(t.Step.Artifact, listed)
		}
		return err
	})
}

// transfer streams the tar of one artifact, as read writes it, into the
// repository. It begins anew when the connection is lost.
func (e *Executor) transfer(ctx context.Context, t lockstep.Task, total int64, read func(context.Context, io.Writer) error) (repository.Content, error) {
	for anew := e.anew(); ; {
		content, err := e.transferOnce(ctx, t, total, read)
		if !anew.again(ctx, err) {
			return content, err
		}
	}
}

func (e *Executor) transferOnce(ctx context.Context, t lockstep.Task, total int64, read func(context.Context, io.Writer) error) (repository.Content, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	pr, pw := io.Pipe()
	go func() {
		err := read(ctx, pw)
		if errors.Is(err, launcher.ErrTouched) {
			e.dropInventory(t.Step.Artifact) // the verify step takes one of what is there now
			err = nil
		}
		pw.CloseWithError(err)
	}()
	meter := e.meter(ctx, t.Step.ID, total)
	defer meter.stop()
	content, err := e.cfg.Repository.Put(ctx, t.Plan.Backup, t.Step.Artifact, &meteredReader{pr, meter})
	if err != nil {
		// The tar's own error is the cause where there is one: the
		// repository only saw its stream fail.
		pr.CloseWithError(err)
	}
	return content, err
}

func (e *Executor) artifact(t lockstep.Task, content repository.Content) lockstep.Artifact {
	planned, _ := t.Plan.Artifact(t.Step.Slot)
	return lockstep.Artifact{
		Slot: t.Step.Slot, Instance: t.Step.Instance, Name: t.Step.Artifact, Custom: planned.Custom,
		Bytes: content.Bytes, Entries: content.Entries, Digest: content.Digest,
	}
}

// verify proves one collected artifact: what the repository gave back of it is
// what the instance itself says that it has.
func (e *Executor) verify(ctx context.Context, t lockstep.Task) (lockstep.StepFinished, error) {
	f := lockstep.StepFinished{Artifact: t.Artifact}
	if t.Artifact == nil {
		return f, errors.New("nothing was collected")
	}
	if e.cfg.Provable != nil {
		if err := e.cfg.Provable(ctx, t.Step.Instance); err != nil {
			return f, err
		}
	}
	inv, err := e.takeInventory(ctx, t)
	if err != nil {
		return f, err
	}
	defer inv.drop()
	if err := inv.wait(ctx); err != nil {
		if c, none := e.client(t); none == nil {
			err = unread(ctx, c, t, err)
		}
		return f, fmt.Errorf("take inventory of %s: %w", artifactDir(t), err)
	}
	if inv.digest != t.Artifact.Digest {
		return f, e.unequal(ctx, t, inv)
	}
	return f, nil
}

// artifactDir is the folder of the step's artifact on its instance.
func artifactDir(t lockstep.Task) string {
	dir := t.Step.Artifact
	if planned, ok := t.Plan.Artifact(t.Step.Slot); ok {
		dir = planned.Dir
	}
	return t.Plan.Locations.ArtifactDir(dir)
}

// meter tells how far a transfer is, a few times a second.
type meter struct {
	n    atomic.Int64
	stop func()
}

const meterEvery = 250 * time.Millisecond

func (e *Executor) meter(ctx context.Context, step lockstep.StepID, total int64) *meter {
	ctx, cancel := context.WithCancel(ctx)
	m := &meter{stop: cancel}
	if e.cfg.Progress == nil {
		return m
	}
	e.cfg.Progress(lockstep.Progress{Step: step, Total: total}) // how much there is, before any of it moves
	go func() {
		tick := time.NewTicker(meterEvery)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				e.cfg.Progress(lockstep.Progress{Step: step, Bytes: m.n.Load(), Total: total})
				return
			case <-tick.C:
				e.cfg.Progress(lockstep.Progress{Step: step, Bytes: m.n.Load(), Total: total})
			}
		}
	}()
	return m
}

type meteredReader struct {
	r io.Reader
	m *meter
}

func (r *meteredReader) Read(p []byte) (int, error) {
	n, err := r.r.Read(p)
	r.m.n.Add(int64(n))
	return n, err
}
