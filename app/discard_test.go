package app

import (
	"context"
	"slices"
	"testing"

	"lockstep"
	"lockstep/repository"
)

// discards counts what is discarded.
type discards struct {
	repository.Repository
	ids []lockstep.BackupID
}

func (d *discards) Discard(ctx context.Context, id lockstep.BackupID) error {
	d.ids = append(d.ids, id)
	return d.Repository.Discard(ctx, id)
}

func TestWhatWasNeverCommittedIsDiscarded(t *testing.T) {
	t.Parallel()
	s := twoInstances(t)
	a := newApp(t, s)
	repo := &discards{Repository: a.cfg.Repository}
	a.cfg.Repository = repo
	if r := run(t, a, lockstep.Request{Operation: lockstep.OperationBackup}); r.Ending.State != lockstep.RunSucceeded || len(repo.ids) != 0 {
		t.Fatalf("a good backup: %+v, discarded %v", r.Ending, repo.ids)
	}
	s.script("b", "db", lockstep.ScriptBackup, "exit 1")
	r := run(t, a, lockstep.Request{Operation: lockstep.OperationBackup})
	if !slices.Equal(repo.ids, []lockstep.BackupID{r.BackupID()}) {
		t.Fatalf("discarded %v after a failed backup %q", repo.ids, r.BackupID())
	}
}
