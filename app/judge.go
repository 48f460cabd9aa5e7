package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	"lockstep"
	"lockstep/journal"
	"lockstep/retention"
)

// seal completes the manifest that a commit step is about to write: what is
// suspect about it, who vouches for it, and, in the journal, what it says.
func (r *running) seal(ctx context.Context, b *lockstep.Backup) error {
	if r.run.Opened.Policy.AnyBackup {
		return nil // the original knows nothing of all this
	}
	if b.Data == lockstep.DataVerified {
		why := r.suspicions(ctx, *b)
		switch {
		case len(why) == 0:
		case r.run.Opened.Request.AcceptChange:
			b.AcceptedChanges = why
		default:
			b.Data, b.Suspect = lockstep.DataSuspect, why
		}
	}
	if s := r.app.cfg.Signer; s != nil {
		signature, err := s.Sign(b.Statement())
		if err != nil {
			return fmt.Errorf("sign the manifest of backup %s: %w", b.ID, err)
		}
		b.Signature = signature
	}
	return r.app.rememberBackup(ctx, *b)
}

// suspicions say in what a backup looks worse than it should. What it cannot be
// compared with, because that cannot be read, is one.
func (r *running) suspicions(ctx context.Context, b lockstep.Backup) []string {
	var why []string
	earlier, err := r.app.backups(ctx, b.Deployment)
	if err != nil {
		why = append(why, "it could not be compared with earlier backups: "+err.Error())
	}
	if r.run.Opened.Request.PlanDigest != "" {
		// Somebody has seen which jobs there are now, and wanted just these.
		for i := range earlier {
			earlier[i].Instances = nil
			earlier[i].Artifacts = kept(earlier[i].Artifacts, b)
		}
	}
	why = append(why, retention.Suspicions(b, earlier)...)
	half, err := LeftHalfDone(ctx, r.app.cfg.Journal, b.Key)
	switch {
	case err != nil:
		why = append(why, "whether the last restore ended well could not be found out: "+err.Error())
	case half != "":
		why = append(why, half)
	}
	return why
}

// kept are those of the artifacts that the backup has, too.
func kept(artifacts []lockstep.Artifact, b lockstep.Backup) []lockstep.Artifact {
	var out []lockstep.Artifact
	for _, a := range artifacts {
		if _, ok := b.Named(a.Name); ok {
			out = append(out, a)
		}
	}
	return out
}

// restoresBack bounds how many restores are looked back at.
const restoresBack = 50

// LeftHalfDone says, in one sentence, what the last restores of a deployment left half
// done, as far as nobody has vouched for it, or "".
func LeftHalfDone(ctx context.Context, j journal.Journal, key lockstep.DeploymentKey) (string, error) {
	sums, err := j.Runs(ctx, lockstep.RunFilter{Key: key, Operation: lockstep.OperationRestore, Limit: restoresBack})
	if err != nil {
		return "", err
	}
	words, err := j.Records(ctx, recordRestoreAck)
	if err != nil {
		return "", err
	}
	acknowledged := map[lockstep.RunID]bool{}
	for _, w := range words {
		acknowledged[lockstep.RunID(w.Name)] = true
	}
	var runs []*lockstep.Run
	for _, s := range sums {
		if s.State == lockstep.RunRunning || s.Data == lockstep.DataUntouched {
			continue
		}
		run, err := runOf(ctx, j, s.ID)
		if err != nil {
			return "", err
		}
		runs = append(runs, run)
		if s.Data == lockstep.DataRestored && run.Plan != nil && !run.Plan.Partial {
			break
		}
	}
	run, slots := retention.HalfRestored(runs, func(id lockstep.RunID) bool { return acknowledged[id] })
	switch len(slots) {
	case 0:
		return "", nil
	case 1:
		return fmt.Sprintf("restore %s left %s half restored", run, slots[0]), nil
	}
	return fmt.Sprintf("restore %s left %s and %d more half restored", run, slots[0], len(slots)-1), nil
}

// HalfRestored says of each configured deployment what restores left half done,
// in one sentence; those of which there is nothing to say are not named.
func (a *App) HalfRestored(ctx context.Context) (map[string]string, error) {
	out := map[string]string{}
	for _, s := range a.cfg.Sources {
		why, err := LeftHalfDone(ctx, a.cfg.Journal, s.Info().Key)
		if err != nil {
			return nil, err
		}
		if why != "" {
			out[s.Info().Name] = why
		}
	}
	return out, nil
}

// acknowledgeRestore records a person's word that a deployment is well although
// a restore of it did not end well: its backups count again.
func (a *App) acknowledgeRestore(ctx context.Context, run *lockstep.Run, ack lockstep.Acknowledgement) error {
	op := fmt.Sprintf("acknowledge restore %s", run.ID)
	switch {
	case run.Opened.Operation != lockstep.OperationRestore:
		return &lockstep.Error{
			Kind: lockstep.KindUsage, Op: op, Err: fmt.Errorf("the run is a %s", run.Opened.Operation),
			Hint: fmt.Sprintf("name the job that is unlocked: `lockstep runs ack %s --job JOB --reason …`", run.ID),
		}
	case run.Ending == nil:
		return &lockstep.Error{Kind: lockstep.KindConflict, Op: op, Err: errors.New("the run has not ended"), Hint: "`lockstep recover " + run.Opened.Deployment + "` ends it if its orchestrator is dead"}
	case run.Ending.Data != lockstep.DataPartial:
		return &lockstep.Error{Kind: lockstep.KindUsage, Op: op, Err: fmt.Errorf("the restore left the system %s: there is nothing to acknowledge", run.Ending.Data)}
	}
	return a.remember(ctx, recordRestoreAck, string(run.ID), struct {
		By     string    `json:"by"`
		Reason string    `json:"reason"`
		At     time.Time `json:"at"`
	}{ack.By, ack.Reason, time.Now().UTC()})
}
