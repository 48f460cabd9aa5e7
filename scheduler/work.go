package scheduler

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"lockstep"
	"lockstep/retention"
)

// beginWork does a verify or forget beside the schedules. Both may be begun
// again: where this process dies meanwhile, the next one does.
func (s *Scheduler) beginWork(r lockstep.SlotRecord) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.working[r.Schedule] {
		return
	}
	s.working[r.Schedule] = true
	s.workers.Go(func() {
		defer s.wake()
		defer s.workEnded(r.Schedule)
		said, err := s.do(s.work, r)
		if s.work.Err() != nil {
			return // it stays claimed
		}
		to := lockstep.SlotDone
		if err != nil {
			to, said = lockstep.SlotFailed, err.Error()
		}
		if _, err := s.settle(s.work, r, to, said); err != nil {
			s.report(s.work, "what became of a slot cannot be kept", err, "schedule", r.Schedule)
		}
	})
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
	if r.Operation == lockstep.ScheduledVerify {
		return s.verify(ctx, r.Deployment)
	}
	x, err := s.cfg.Store.Schedule(ctx, r.Schedule)
	if err != nil {
		return "", err
	}
	return s.forget(ctx, x.Definition)
}

// verify reads the newest verified backup again.
func (s *Scheduler) verify(ctx context.Context, deployment string) (string, error) {
	b, err := s.cfg.Service.Backup(ctx, deployment, "latest")
	if err != nil {
		return "", fmt.Errorf("find the newest verified backup: %w", err)
	}
	report, err := s.cfg.Service.Verify(ctx, b.ID)
	if err != nil {
		return "", fmt.Errorf("verify backup %s: %w", b.ID, err)
	}
	if !report.OK {
		return "", fmt.Errorf("backup %s is not what it was: %s", b.ID, strings.Join(report.Problems, "; "))
	}
	return fmt.Sprintf("backup %s is what it was: %d artifacts, %d bytes", b.ID, report.Artifacts, report.Bytes), nil
}

// forget deletes the backups that no rule keeps.
func (s *Scheduler) forget(ctx context.Context, d lockstep.Schedule) (string, error) {
	if d.Keep == nil || *d.Keep == (lockstep.KeepRules{}) {
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
	kept, gone := 0, []string{}
	for _, x := range decisions {
		if x.Keep {
			kept++
			continue
		}
		err := s.cfg.Service.Forget(ctx, x.Backup.ID)
		if err != nil && lockstep.KindOf(err) != lockstep.KindNotFound { // gone is gone
			return "", fmt.Errorf("forget backup %s: %w", x.Backup.ID, err)
		}
		gone = append(gone, string(x.Backup.ID))
	}
	if len(gone) == 0 {
		return fmt.Sprintf("kept all %d", kept), nil
	}
	return fmt.Sprintf("kept %d, forgot %d: %s", kept, len(gone), few(gone)), nil
}

// few names some, and counts the others.
func few(names []string) string {
	const named = 10
	if len(names) <= named {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:named], ", "), len(names)-named)
}
