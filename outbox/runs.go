package outbox

import (
	"context"
	"slices"
	"time"

	"lockstep"
)

// cursor says how far the outbox has looked at runs.
type cursor struct {
	// Begun is when an outbox first looked: what ended before is not news.
	Begun time.Time `json:"begun"`
	// Looked is when it last did.
	Looked time.Time `json:"looked"`
	// Open are runs that had not ended then.
	Open []lockstep.RunID `json:"open"`
}

const cursorName = "outbox.runs"

const (
	// lookBack is how much older than a look a run's id may be that was begun
	// after it: ids may be chosen for a day before they are used.
	lookBack = 25 * time.Hour
	// saveEvery is how often the cursor is kept where only the time has changed.
	saveEvery = 10 * time.Minute
	page      = 200
)

// lookAtRuns makes notices of runs that have begun or ended since the last
// look. The cursor moves after they are kept.
func (o *Outbox) lookAtRuns(ctx context.Context) error {
	now := o.cfg.Now().UTC()
	var c cursor
	there, err := setting(ctx, o.cfg.Store, cursorName, &c)
	if err != nil {
		return err
	}
	if !there {
		c = cursor{Begun: now, Looked: now}
		if err := o.setSetting(ctx, cursorName, c); err != nil {
			return err
		}
	}
	runs, err := o.runsSince(ctx, earlier(c.Looked, now).Add(-lookBack))
	if err != nil {
		return err
	}
	running, err := o.cfg.Service.Runs(ctx, lockstep.RunFilter{State: lockstep.RunRunning})
	if err != nil {
		return err
	}
	runs = append(runs, o.known(ctx, c.Open, runs, running)...)
	slices.SortFunc(runs, func(a, b lockstep.RunSummary) int { return earliest(a).Compare(earliest(b)) })
	for _, r := range runs {
		if err := o.tellOfRun(ctx, c, r); err != nil {
			return err
		}
	}
	open := []lockstep.RunID{}
	for _, r := range running {
		open = append(open, r.ID)
	}
	if slices.Equal(open, c.Open) && now.Sub(c.Looked).Abs() < saveEvery {
		return nil
	}
	c.Open, c.Looked = open, now
	return o.setSetting(ctx, cursorName, c)
}

// runsSince lists runs whose ids were made since then.
func (o *Outbox) runsSince(ctx context.Context, since time.Time) ([]lockstep.RunSummary, error) {
	var all []lockstep.RunSummary
	for before := lockstep.RunID(""); ; {
		runs, err := o.cfg.Service.Runs(ctx, lockstep.RunFilter{Before: before, Limit: page})
		if err != nil || len(runs) == 0 {
			return all, err
		}
		for _, r := range runs {
			if made, ok := r.ID.Time(); ok && made.Before(since) {
				return all, nil
			}
			all = append(all, r)
		}
		before = runs[len(runs)-1].ID
	}
}

// known finds those of the runs that were open at the last look which the lists
// do not hold: they are long, and have ended.
func (o *Outbox) known(ctx context.Context, open []lockstep.RunID, lists ...[]lockstep.RunSummary) []lockstep.RunSummary {
	var found []lockstep.RunSummary
	for _, id := range open {
		listed := slices.ContainsFunc(lists, func(list []lockstep.RunSummary) bool {
			return slices.ContainsFunc(list, func(r lockstep.RunSummary) bool { return r.ID == id })
		})
		if listed {
			continue
		}
		run, err := o.cfg.Service.Run(ctx, id)
		if err != nil || run.Ending == nil {
			continue // pruned
		}
		found = append(found, lockstep.RunSummary{
			ID: id, Key: run.Opened.Key, Deployment: run.Opened.Deployment, Operation: run.Opened.Operation,
			State: run.Ending.State, StartedAt: run.OpenedAt, EndedAt: run.EndedAt,
		})
	}
	return found
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// earliest is the time of the news about a run.
func earliest(r lockstep.RunSummary) time.Time {
	if !r.EndedAt.IsZero() {
		return r.EndedAt
	}
	return r.StartedAt
}

func (o *Outbox) tellOfRun(ctx context.Context, c cursor, r lockstep.RunSummary) error {
	if r.Operation == lockstep.OperationPlan {
		return nil
	}
	if !r.StartedAt.Before(c.Begun) {
		err := o.add(ctx, "run:"+string(r.ID)+":started", func() (lockstep.Notice, error) { return started(r), nil })
		if err != nil {
			return err
		}
	}
	if r.EndedAt.IsZero() || r.EndedAt.Before(c.Begun) {
		return nil
	}
	return o.add(ctx, "run:"+string(r.ID)+":ended", func() (lockstep.Notice, error) {
		run, err := o.cfg.Service.Run(ctx, r.ID)
		if err != nil {
			return lockstep.Notice{}, err
		}
		return ended(run), nil
	})
}
