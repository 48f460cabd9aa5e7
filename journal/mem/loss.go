package mem

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"lockstep"
	"lockstep/journal"
)

// Lost implements journal.Journal.
func (j *Journal) Lost(ctx context.Context, id lockstep.RunID) ([]journal.Loss, error) {
	if err := j.lock(ctx); err != nil {
		return nil, fmt.Errorf("list losses: %w", err)
	}
	defer j.mu.Unlock()
	var losses []journal.Loss
	for _, l := range j.losses {
		if l.Whole = j.runs[l.Run] == nil; id == "" || id == l.Run {
			losses = append(losses, l)
		}
	}
	slices.SortFunc(losses, func(a, b journal.Loss) int { return strings.Compare(string(a.Run), string(b.Run)) })
	return losses, nil
}

// Mend implements journal.Journal.
func (j *Journal) Mend(ctx context.Context, id lockstep.RunID) error {
	if err := j.lock(ctx); err != nil {
		return fmt.Errorf("mend run %s: %w", id, err)
	}
	defer j.mu.Unlock()
	r := j.runs[id]
	if r == nil {
		return nil
	}
	if i := slices.IndexFunc(r.events, func(x entry) bool { return x.damaged }); i >= 0 {
		j.lose(id, i)
	}
	return nil
}

// Damage damages an event, as a flipped bit does. It is for tests.
func (j *Journal) Damage(id lockstep.RunID, seq uint64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	r := j.runs[id]
	r.events = slices.Clone(r.events) // clones of the store share them
	r.events[seq-1].damaged = true
}

// Lose takes the events above a number, as a damaged log does, and finds it out.
// It is for tests.
func (j *Journal) Lose(id lockstep.RunID, after uint64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lose(id, int(after))
}

// lose keeps so many events of a run, which has more.
func (j *Journal) lose(id lockstep.RunID, keep int) {
	was := j.runs[id]
	s := was.head.Summary
	why := fmt.Sprintf("%d of its %d events are gone", len(was.events)-keep, len(was.events))
	if _, known := j.losses[id]; !known {
		j.losses[id] = journal.Loss{Run: id, Key: s.Key, Deployment: s.Deployment, Why: why, At: time.Now().UTC()}
	}
	delete(j.runs, id)
	if keep == 0 { // a damaged log took what it holds, too
		maps.DeleteFunc(j.holds, func(_ place, h lockstep.Hold) bool { return h.Run == id })
		return
	}
	r := *was
	r.head, r.steps, r.events = journal.Head{}, nil, slices.Clip(was.events[:keep])
	for _, x := range r.events {
		if planned, ok := x.event.Data.(lockstep.RunPlanned); ok {
			r.steps = journal.LockStepsOf(&planned.Plan)
		}
		r.head.Apply(x.event, r.steps)
	}
	j.runs[id] = &r
}
