package executor

import (
	"context"
	"fmt"

	"lockstep"
	"lockstep/repository"
	"lockstep/spill"
)

// unequal says what it means that a collected artifact is not what its instance
// said that it has: either the artifact did not keep still, or the repository
// did not keep it.
func (e *Executor) unequal(ctx context.Context, t lockstep.Task, inv *inventory) error {
	out := &lockstep.Error{Op: fmt.Sprintf("compare %s with artifact %q", artifactDir(t), t.Artifact.Name)}
	now, err := e.inventoryNow(ctx, t)
	defer now.Close()
	said := inv.entries
	switch {
	case err == nil && now.Digest() == inv.digest:
		said = now
	case err == nil:
		moved := "too many entries were there to name those that changed"
		if said != nil {
			diffs, err := spill.Compare(said, now, false)
			if err != nil {
				return err
			}
			moved = repository.Summarize(diffs)
		}
		out.Err = fmt.Errorf("something still writes to it: %s", moved)
		out.Hint = "its backup script must have ended all writing there when it ends"
		return out
	case said == nil:
		out.Err = fmt.Errorf("its digests differ, and in what cannot be told: %w", err)
		return out
	}
	staged, ok := e.cfg.Repository.(repository.Staging)
	if !ok {
		out.Err = fmt.Errorf("its entries differ: %w", repository.ErrCorrupt)
		return out
	}
	kept, err := staged.StagedEntries(ctx, t.Plan.Backup, t.Artifact.Name)
	if err != nil {
		out.Err = err
		return out
	}
	defer kept.Close()
	diffs, err := spill.Compare(said, kept, false)
	if err != nil {
		return err
	}
	moved, err := changed(kept, said)
	if err != nil {
		return err
	}
	what := repository.Summarize(diffs)
	e.mu.Lock()
	touched := e.touched[t.Step.Artifact]
	e.mu.Unlock()
	if touched || moved {
		out.Err = fmt.Errorf("it changed while it was read: %s", what)
		out.Hint = "its backup script must have ended all writing there when it ends"
		return out
	}
	out.Err = fmt.Errorf("%s: %w", what, repository.ErrCorrupt)
	out.Hint = "the instance has it as it was; look at the disk of " + e.cfg.Repository.Location()
	return out
}

func (e *Executor) inventoryNow(ctx context.Context, t lockstep.Task) (*spill.List, error) {
	c, err := e.client(t)
	if err != nil {
		return nil, err
	}
	return takeInventory(ctx, c, artifactDir(t))
}

// changed reports whether the difference between what was read and what there
// is shows in more than contents: a file that is written to gets another time.
func changed(kept, there *spill.List) (bool, error) {
	for p, err := range spill.Pairs(kept, there) {
		if err != nil {
			return false, err
		}
		if p.A == nil || p.B == nil {
			return true, nil
		}
		if p.A.Sum = p.B.Sum; *p.A != *p.B {
			return true, nil
		}
	}
	return false, nil
}
