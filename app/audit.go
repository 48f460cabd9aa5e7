package app

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"lockstep"
	"lockstep/audit"
	"lockstep/launcher"
)

// Audit judges a run by its journal, and by what its instances have on record of
// it where they can be asked. It says which were.
func (a *App) Audit(ctx context.Context, id lockstep.RunID) (lockstep.RunAudit, error) {
	events, err := a.cfg.Journal.Events(ctx, id, 0)
	if err != nil {
		return lockstep.RunAudit{}, fmt.Errorf("read run %s: %w", id, err)
	}
	if len(events) == 0 {
		return lockstep.RunAudit{}, unknownRun(id)
	}
	report := lockstep.RunAudit{Run: id, Broken: []string{}, Asked: []lockstep.InstanceID{}, NotAsked: []lockstep.NotAsked{}}
	found := audit.Check(events, nil)
	run, err := lockstep.FoldRun(events)
	switch {
	case err != nil:
		report.NotAsked = append(report.NotAsked, lockstep.NotAsked{Why: err.Error()})
	case run.Plan == nil || run.Opened.Operation == lockstep.OperationPlan:
		report.NotAsked = append(report.NotAsked, lockstep.NotAsked{Why: "the run has done nothing there"})
	default:
		records := a.askInstances(ctx, run, &report)
		found = append(found, audit.CheckRecords(events, records)...)
	}
	for _, v := range found {
		report.Broken = append(report.Broken, v.String())
	}
	return report, nil
}

// auditTimeout bounds asking one instance for all its records.
const auditTimeout = 30 * time.Second

// askInstances asks every instance of the run's plan what it has on record of it.
// Nothing is claimed and nothing changes there.
func (a *App) askInstances(ctx context.Context, run *lockstep.Run, report *lockstep.RunAudit) []audit.Record {
	asker := func() (*session, error) {
		src, _, err := a.sourceOf(run)
		if err != nil {
			return nil, err
		}
		r := &running{app: a, src: readOnly{src}, run: run, over: make(chan struct{})}
		close(r.over) // nobody is told anything
		resolved, _, err := r.resolveDead(ctx, false)
		if err != nil {
			return nil, err
		}
		return r.openSession(ctx, resolved, nil), nil
	}
	s, err := asker()
	if err != nil {
		for _, in := range run.Plan.Instances {
			report.NotAsked = append(report.NotAsked, lockstep.NotAsked{Instance: in.Name(), Why: err.Error()})
		}
		return nil
	}
	defer s.close(ctx)
	var mu sync.Mutex
	var records []audit.Record
	var wg sync.WaitGroup
	for _, in := range run.Plan.Instances {
		wg.Go(func() {
			have, err := s.recordsOf(ctx, run, in.Name())
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				report.NotAsked = append(report.NotAsked, lockstep.NotAsked{Instance: in.Name(), Why: err.Error()})
				return
			}
			report.Asked = append(report.Asked, in.Name())
			records = append(records, have...)
		})
	}
	wg.Wait()
	report.Sort()
	return records
}

// recordsOf are the records that an instance has of the run's scripts: of each
// try that the journal knows, and of one more.
func (s *session) recordsOf(ctx context.Context, run *lockstep.Run, id lockstep.InstanceID) ([]audit.Record, error) {
	c := s.clients[id]
	if c == nil {
		return nil, errors.New("the deployment has no such instance any more")
	}
	ctx, cancel := context.WithTimeout(ctx, auditTimeout)
	defer cancel()
	var records []audit.Record
	for _, w := range run.Plan.Waves {
		for _, step := range w.Steps {
			if step.Instance != id || step.Script == nil {
				continue
			}
			tries := 1
			if rec := run.Steps[step.ID]; rec != nil {
				tries += len(rec.Tries)
			}
			for n := 1; n <= tries; n++ {
				st, err := c.Status(ctx, launcher.StepRef{Run: string(run.ID), ID: string(step.ID), Attempt: n})
				if err != nil {
					return nil, err
				}
				if !st.Absent && !(n == tries && st.Outcome.Kind == lockstep.OutcomeNeverStarted) {
					records = append(records, audit.Record{Step: step.ID, Attempt: n, Running: st.Running, Outcome: st.Outcome})
				}
			}
		}
	}
	return records, nil
}
