package executor

import (
	"context"
	"fmt"

	"lockstep"
	"lockstep/repository"
)

// unequal says what it means that a collected artifact is not what its instance
// said that it has: either the artifact did not keep still, or the repository
// did not keep it.
func (e *Executor) unequal(ctx context.Context, t lockstep.Task, said lockstep.EntryList) error {
	out := &lockstep.Error{Op: fmt.Sprintf("compare %s with artifact %q", artifactDir(t), t.Artifact.Name)}
	now, err := e.inventoryNow(ctx, t)
	if moved := said.Differences(now, false); err == nil && len(moved) > 0 {
		out.Err = fmt.Errorf("something still writes to it: %s", repository.Summarize(moved))
		out.Hint = "its backup script must have ended all writing there when it ends"
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
	what := repository.Summarize(said.Differences(kept, false))
	if changed(kept, said) {
		out.Err = fmt.Errorf("it changed while it was read: %s", what)
		out.Hint = "its backup script must have ended all writing there when it ends"
		return out
	}
	out.Err = fmt.Errorf("%s: %w", what, repository.ErrCorrupt)
	out.Hint = "the instance has it as it was; look at the disk of " + e.cfg.Repository.Location()
	return out
}

func (e *Executor) inventoryNow(ctx context.Context, t lockstep.Task) (lockstep.EntryList, error) {
	c, err := e.client(t)
	if err != nil {
		return nil, err
	}
	return takeInventory(ctx, c, artifactDir(t))
}

// changed reports whether the difference between what was read and what there
// is shows in more than contents: a file that is written to gets another time.
func changed(kept, there lockstep.EntryList) bool {
	byPath := make(map[string]lockstep.Entry, len(kept))
	for _, k := range kept {
		byPath[k.Path] = k
	}
	for _, h := range there {
		k, ok := byPath[h.Path]
		k.Sum = h.Sum
		if !ok || k != h {
			return true
		}
	}
	return len(kept) != len(there)
}
