package executor

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"

	"lockstep"
	"lockstep/launcher"
	"lockstep/repository"
)

// firstReserve is the free space that is asked for where no earlier backup
// tells how much will be needed.
const firstReserve int64 = 1 << 30

// grown is the size of an earlier backup with a fifth added, or the largest there is.
func grown(n int64) int64 {
	if n > math.MaxInt64/6*5 {
		return math.MaxInt64
	}
	return n + n/5
}

// check asks whether one instance, or the repository, is ready for the run,
// and arms the instance's lease as the last thing before anything is locked.
func (e *Executor) check(ctx context.Context, t lockstep.Task) (lockstep.StepFinished, error) {
	switch {
	case t.Step.ID == lockstep.StepBegin:
		return lockstep.StepFinished{}, e.begin(ctx, t.Plan.Backup)
	case t.Step.ID == lockstep.StepInstances:
		return lockstep.StepFinished{}, e.cfg.Unchanged(ctx)
	case t.Step.Instance == "":
		return e.checkRepository(ctx)
	}
	var f lockstep.StepFinished
	if err := e.cfg.Unfit[t.Step.Instance]; err != nil {
		return f, err
	}
	c, err := e.client(t)
	if err != nil {
		return f, err
	}
	warning, err := e.fit(ctx, c, t)
	if warning != "" {
		f.Warnings = append(f.Warnings, warning)
	}
	f.Warnings = append(f.Warnings, e.manyEntries(t)...)
	if err == nil {
		err = e.bring(ctx, c, t)
	}
	if err != nil {
		return f, err
	}
	return f, e.leases.arm(ctx, c, t)
}

// fit asks whether the instance has what the run needs of it. One question is enough
// where all is well.
func (e *Executor) fit(ctx context.Context, c *launcher.Client, t lockstep.Task) (warning string, err error) {
	free, room, well, err := c.Fit(ctx, t.Plan.Locations.Artifacts)
	if err != nil {
		return "", err
	}
	if well {
		warning, err = e.enoughSpace(t, free)
		return warning, errors.Join(enoughRoom(room, t), err)
	}
	err = atOnce(
		func() error { return checkTools(ctx, c) },
		func() error { return e.checkLeftovers(ctx, c, t) },
		func() error { return checkRoom(ctx, c, t) },
		func() (err error) { warning, err = e.checkSpace(ctx, c, t); return err },
	)
	return warning, err
}

// bring puts the scripts on the instance that the run brings along for it.
func (e *Executor) bring(ctx context.Context, c *launcher.Client, t lockstep.Task) error {
	texts := map[string]string{}
	for _, w := range t.Plan.Waves {
		for _, s := range w.Steps {
			if s.Script == nil || s.Instance != t.Step.Instance || s.Script.Path != t.Plan.Locations.Pushed(s.Script.Digest) {
				continue
			}
			text, ok := e.cfg.Scripts[s.Script.Digest]
			if !ok {
				return fmt.Errorf("the script of %s is not the configuration's any more", s.ID)
			}
			texts[s.Script.Digest] = text
		}
	}
	if len(texts) == 0 {
		return nil
	}
	return c.PutScripts(ctx, texts)
}

// bringUnlock puts the script of a cleanup's unlock on the instance. A cleanup has
// no check stage, and what it is to run need not be what the run brought along that
// it cleans up after.
func (e *Executor) bringUnlock(ctx context.Context, c *launcher.Client, t lockstep.Task) error {
	s := t.Step.Script
	text, ok := e.cfg.Scripts[s.Digest]
	if t.Plan.Operation != lockstep.OperationCleanup || !ok || s.Path != t.Plan.Locations.Pushed(s.Digest) {
		return nil
	}
	return c.PutScripts(ctx, map[string]string{s.Digest: text})
}

func checkTools(ctx context.Context, c *launcher.Client) error {
	missing, err := c.Tools(ctx)
	if err == nil && len(missing) > 0 {
		err = &lockstep.Error{
			Op: "look for programs", Err: fmt.Errorf("missing: %s", strings.Join(missing, ", ")),
			Hint: "install them on the instance (coreutils, findutils, tar and util-linux have them)",
		}
	}
	return err
}

// checkLeftovers refuses to mix with what an earlier run, or another program,
// left on the instance.
func (e *Executor) checkLeftovers(ctx context.Context, c *launcher.Client, t lockstep.Task) error {
	dir := t.Plan.Locations.Artifacts
	there, err := c.Exists(ctx, dir)
	if err != nil || !there {
		return err
	}
	if s, err := c.Survey(ctx, dir); err == nil && len(s.Mounts) > 0 {
		return mountError(t, s.Mounts)
	}
	return LeftoverError(dir, t.Step.Instance, "`"+cleanupCommand(t)+"` removes it and unlocks; look into it first if another program made it")
}

// cleanupCommand is what to type to clean up after the task's operation.
func cleanupCommand(t lockstep.Task) string {
	if t.Plan.Operation == lockstep.OperationRestore {
		return "lockstep cleanup " + t.Plan.Deployment + " --restore"
	}
	return "lockstep cleanup " + t.Plan.Deployment
}

// LeftoverError is the refusal to touch an instance that has an artifact folder
// already.
func LeftoverError(dir string, instance lockstep.InstanceID, hint string) error {
	return &lockstep.Error{
		Kind: lockstep.KindConflict, Hint: hint,
		Err: fmt.Errorf("Directory %s already exists on instance %s", dir, instance),
	}
}

// checkSpace compares an instance's free space with what will be put there.
func (e *Executor) checkSpace(ctx context.Context, c *launcher.Client, t lockstep.Task) (warning string, err error) {
	free, err := c.Space(ctx, t.Plan.Locations.Artifacts)
	if err != nil {
		return "", fmt.Errorf("free space for %s: %w", t.Plan.Locations.Artifacts, err)
	}
	return e.enoughSpace(t, free)
}

func (e *Executor) enoughSpace(t lockstep.Task, free int64) (warning string, err error) {
	need, known := e.needOn(t)
	if !known && need > 0 {
		warning = fmt.Sprintf("how much its artifacts will need is not known yet; %s is free", size(free))
		need = min(need, free)
	}
	if free < need {
		return warning, noSpace(fmt.Sprintf("instance %s, %s", t.Step.Instance, t.Plan.Locations.Artifacts), need, free)
	}
	return warning, nil
}

// needOn is how many bytes will be put on the task's instance; known says that
// it rests on a backup.
func (e *Executor) needOn(t lockstep.Task) (need int64, known bool) {
	known = true
	for _, a := range t.Plan.Artifacts {
		if a.Instance != t.Step.Instance {
			continue
		}
		from := e.cfg.Last
		if t.Plan.Operation == lockstep.OperationRestore {
			from = t.Manifest
		}
		if from == nil {
			return firstReserve, false
		}
		if kept, ok := from.Named(a.Name); ok {
			need += kept.Bytes
		}
	}
	if t.Plan.Operation == lockstep.OperationBackup {
		need = grown(need)
	}
	return need, known
}

// manyEntries warns of the instance's artifacts that had so many entries in the last
// backup that the next one may have more than an artifact can have.
func (e *Executor) manyEntries(t lockstep.Task) []string {
	if e.cfg.Last == nil || t.Plan.Operation == lockstep.OperationRestore {
		return nil
	}
	var warnings []string
	for _, a := range t.Plan.Artifacts {
		last, ok := e.cfg.Last.Named(a.Name)
		if ok && a.Instance == t.Step.Instance && last.Entries > repository.MaxEntries/10*8 {
			warnings = append(warnings, fmt.Sprintf("artifact %q had %d files, folders and links in backup %s; with more than %d it cannot be kept: let its script pack small files into larger ones",
				a.Name, last.Entries, e.cfg.Last.ID, repository.MaxEntries))
		}
	}
	return warnings
}

// checkRepository asks whether the repository can be written and has room for
// another backup like the last one.
func (e *Executor) checkRepository(ctx context.Context) (lockstep.StepFinished, error) {
	var f lockstep.StepFinished
	free, err := e.cfg.Repository.Free(ctx)
	if err != nil {
		return f, fmt.Errorf("reach repository %s: %w", e.cfg.Repository.Location(), err)
	}
	need := firstReserve
	if e.cfg.Last != nil {
		need = grown(e.cfg.Last.Bytes())
	} else {
		f.Warnings = append(f.Warnings, "how much a backup will need is not known yet: this is the first one")
		if e.cfg.Policy.GuessNoSpace {
			need = 0
		}
	}
	where := "repository " + e.cfg.Repository.Location()
	switch {
	case free < 0 || free >= need:
		return f, nil
	case e.cfg.Last == nil:
		return f, noReserve(where, free)
	}
	return f, noSpace(where, need, free)
}

// begin begins the backup in the repository under the id that the plan has.
func (e *Executor) begin(ctx context.Context, id lockstep.BackupID) error {
	got, err := e.cfg.Repository.Begin(ctx, id)
	if err == nil && got != id {
		err = errors.Join(fmt.Errorf("begin backup %q: another run has just taken that id", id), e.cfg.Repository.Discard(ctx, got))
	}
	return err
}

func noSpace(where string, need, free int64) error {
	return spaceError(where, fmt.Errorf("%s will be needed, %s is free", size(need), size(free)))
}

// noReserve is the refusal of a first backup: nobody knows what it will need.
func noReserve(where string, free int64) error {
	return spaceError(where, fmt.Errorf("%s is free; how much a first backup needs nobody knows, so it is not begun with less than %s", size(free), size(firstReserve)))
}

func spaceError(where string, err error) error {
	return &lockstep.Error{Op: "check free space in " + where, Err: err, Hint: "make room there, and begin again"}
}

// ledger keeps artifacts that are collected at once from counting on the same
// free bytes.
type ledger struct {
	mu       sync.Mutex
	promised int64
}

func (l *ledger) reserve(ctx context.Context, r repository.Repository, n int64) (giveBack func(), err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	free, err := r.Free(ctx)
	if err != nil {
		return nil, fmt.Errorf("reach repository %s: %w", r.Location(), err)
	}
	if free >= 0 && free-l.promised < n {
		return nil, noSpace("repository "+r.Location(), n, free-l.promised)
	}
	l.promised += n
	return func() {
		l.mu.Lock()
		l.promised -= n
		l.mu.Unlock()
	}, nil
}

// atOnce calls funcs at once and joins their errors in order.
func atOnce(funcs ...func() error) error {
	errs := make([]error, len(funcs))
	var wg sync.WaitGroup
	for i, f := range funcs {
		wg.Go(func() { errs[i] = f() })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// size is a number of bytes for people.
func size(n int64) string {
	for _, u := range []struct {
		name string
		is   int64
	}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}} {
		if n >= u.is {
			return fmt.Sprintf("%.1f %s", float64(n)/float64(u.is), u.name)
		}
	}
	return fmt.Sprintf("%d bytes", n)
}
