package scheduler

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"lockstep"
	"lockstep/internal/units"
	"lockstep/retention"
)

// beginWork does a verify, forget, copy or prune beside the schedules, if this process
// runs them; else whoever does finds the claim. All may be begun again: where this
// process dies meanwhile, the next one does.
func (s *Scheduler) beginWork(r lockstep.SlotRecord) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ctx := s.work
	if ctx == nil || ctx.Err() != nil || s.working[r.Schedule] {
		return
	}
	s.working[r.Schedule] = true
	s.workers.Go(func() {
		defer s.wake()
		defer s.workEnded(r.Schedule)
		if !s.stillClaimed(ctx, r.N) {
			return
		}
		said, err := s.do(ctx, r)
		if ctx.Err() != nil {
			return // it stays claimed
		}
		to := lockstep.SlotDone
		if err != nil {
			to, said = lockstep.SlotFailed, err.Error()
		}
		if _, err := s.settle(ctx, r, to, said); err != nil {
			s.report(ctx, "what became of a slot cannot be kept", err, "schedule", r.Schedule)
		}
	})
}

// stillClaimed reports whether a record that was read as claimed is so now: the work may
// have ended between that look and this one. What cannot be read stays for the next look.
func (s *Scheduler) stillClaimed(ctx context.Context, n int64) bool {
	claimed, err := s.cfg.Store.ClaimedSlots(ctx)
	return err == nil && slices.ContainsFunc(claimed, func(r lockstep.SlotRecord) bool { return r.N == n })
}

func (s *Scheduler) workEnded(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.working, name)
}

// do does it, and says what was done. A panic is an error.
func (s *Scheduler) do(ctx context.Context, r lockstep.SlotRecord) (said string, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("defect in the orchestrator: %v", p)
		}
	}()
	x, err := s.cfg.Store.Schedule(ctx, r.Schedule)
	if err != nil {
		return "", err
	}
	switch d := x.Definition; {
	case r.Operation == lockstep.ScheduledCopy:
		return s.copy(ctx, d)
	case r.Operation == lockstep.ScheduledForget:
		return s.forget(ctx, d)
	case r.Operation == lockstep.ScheduledPrune:
		return s.prune(ctx)
	case d.Sample > 0:
		return s.verifySample(ctx, d)
	}
	return s.verifyNewest(ctx, r.Deployment)
}

// copy brings what is new into the other repository.
func (s *Scheduler) copy(ctx context.Context, d lockstep.Schedule) (string, error) {
	if s.cfg.Copy == nil {
		return "", errors.New("nothing can be copied here")
	}
	reports, err := s.cfg.Copy(ctx, d.Deployment, d.To)
	var ids []string
	for _, r := range reports {
		ids = append(ids, string(r.Backup))
	}
	if err != nil {
		return "", fmt.Errorf("copied %d backups to %s, then: %w", len(ids), d.To, err)
	}
	if len(ids) == 0 {
		return fmt.Sprintf("nothing is newer than what %s has", d.To), nil
	}
	return fmt.Sprintf("copied to %s: %s", d.To, few(ids)), nil
}

// verifySample reads a part of all backups again; one that is damaged does not keep
// the others from it.
func (s *Scheduler) verifySample(ctx context.Context, d lockstep.Schedule) (string, error) {
	all, err := s.cfg.Service.Backups(ctx, d.Deployment)
	if err != nil {
		return "", fmt.Errorf("list backups: %w", err)
	}
	if len(all) == 0 {
		return "", errors.New("no backup to verify")
	}
	var errs []error
	var bytes int64
	gone := 0
	sample := retention.Sample(all, d.Sample)
	for _, b := range sample {
		report, err := s.cfg.Service.Verify(ctx, b.ID)
		switch {
		case ctx.Err() != nil:
			return "", ctx.Err()
		case lockstep.KindOf(err) == lockstep.KindNotFound:
			gone++ // rules, or a person, deleted it meanwhile
		case err != nil:
			errs = append(errs, fmt.Errorf("verify backup %s: %w", b.ID, err))
		case !report.OK:
			errs = append(errs, notWhatItWas(b.ID, report))
		}
		bytes += report.Bytes
	}
	if len(errs) > 0 {
		return "", errors.Join(errs...)
	}
	return fmt.Sprintf("%d of %d backups are what they were: %d bytes", len(sample)-gone, len(all), bytes), nil
}

// notWhatItWas says whether that is so, or is not known.
func notWhatItWas(id lockstep.BackupID, report lockstep.VerifyReport) error {
	if !report.Damaged {
		return fmt.Errorf("backup %s could not be verified: %s", id, strings.Join(report.Problems, "; "))
	}
	return fmt.Errorf("backup %s is not what it was: %s", id, strings.Join(report.Problems, "; "))
}

// verifyNewest reads the newest verified backup again.
func (s *Scheduler) verifyNewest(ctx context.Context, deployment string) (string, error) {
	b, err := s.cfg.Service.Backup(ctx, deployment, "latest")
	if err != nil {
		return "", fmt.Errorf("find the newest verified backup: %w", err)
	}
	report, err := s.cfg.Service.Verify(ctx, b.ID)
	if err != nil {
		return "", fmt.Errorf("verify backup %s: %w", b.ID, err)
	}
	if !report.OK {
		return "", notWhatItWas(b.ID, report)
	}
	return fmt.Sprintf("backup %s is what it was: %d artifacts, %d bytes", b.ID, report.Artifacts, report.Bytes), nil
}

// forget deletes the backups that no rule keeps.
func (s *Scheduler) forget(ctx context.Context, d lockstep.Schedule) (string, error) {
	if d.Keep == nil || d.Keep.Zero() {
		return "", errors.New("the schedule has no rule that says what to keep")
	}
	backups, err := s.cfg.Service.Backups(ctx, d.Deployment)
	if err != nil {
		return "", fmt.Errorf("list backups: %w", err)
	}
	decisions, err := retention.Keep(backups, retention.Policy(*d.Keep), s.cfg.Now())
	if err != nil {
		return "", err
	}
	done, err := retention.Forget(decisions, func(id lockstep.BackupID) error { return s.cfg.Service.Forget(ctx, id) })
	if err != nil {
		return "", err
	}
	return done.String(), nil
}

const (
	// pruneAgain is after how long a prune asks again whether the repository is free:
	// a verify or a copy reads it, or another orchestrator uses it.
	pruneAgain = 5 * time.Minute
	// pruneWaits is for how long it does.
	pruneWaits = time.Hour
)

// prune frees the space of what no backup needs. It refuses what it would by hand.
func (s *Scheduler) prune(ctx context.Context) (string, error) {
	if s.cfg.Prune == nil {
		return "", errors.New("nothing can be pruned here")
	}
	for since := time.Now(); ; {
		done, err := s.cfg.Prune(ctx)
		switch {
		case err == nil:
			return pruned(done), nil
		case lockstep.KindOf(err) != lockstep.KindConflict:
			return "", err
		case time.Since(since) >= pruneWaits:
			return "", fmt.Errorf("waited %s: %w", units.Span(pruneWaits), err)
		}
		select {
		case <-ctx.Done():
			return "", ctx.Err()
		case <-time.After(pruneAgain):
		}
	}
}

// pruned says in a line what a prune did.
func pruned(p lockstep.Pruning) string {
	said := "freed " + p.Text(units.Size)
	if stays := p.RetainedText(units.Size); stays != "" {
		said += "; " + stays
	}
	return said
}

// few names some, and counts the others.
func few(names []string) string {
	const named = 10
	if len(names) <= named {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:named], ", "), len(names)-named)
}
