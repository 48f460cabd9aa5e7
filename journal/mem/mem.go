// Package mem keeps a journal in memory, for simulations and tests.
//
// A store is what a disk would be; a Journal is one process's opening of it.
// Close is that process's death: it loses what it owned and nothing else, and
// Again opens the same store for the next one.
package mem

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"lockstep"
	"lockstep/journal"
)

// ErrClosed is returned by every method of a closed Journal but Close.
var ErrClosed = errors.New("journal is closed")

// Journal is an opened store. It is safe for concurrent use.
type Journal struct {
	*store
	closed bool // guarded by store.mu
}

var _ journal.Journal = (*Journal)(nil)

// store is shared by all Journals of it.
type store struct {
	mu     sync.Mutex // guards all below and what they point to
	runs   map[lockstep.RunID]*run
	holds  map[place]lockstep.Hold
	owners map[lockstep.DeploymentKey]*ownership
	// records are kept by kind and name.
	records map[[2]string]journal.Record
	losses  map[lockstep.RunID]journal.Loss
}

type place struct {
	key  lockstep.DeploymentKey
	slot lockstep.Slot
}

type run struct {
	head    journal.Head
	steps   *journal.LockSteps
	events  []entry
	outputs map[lockstep.StepID][]lockstep.StepOutput
	// cancel names who asked for it, if canceled.
	canceled bool
	cancel   string
}

// entry is an event, or the bytes of one that only a newer program reads.
type entry struct {
	event   lockstep.Event
	raw     []byte
	damaged bool
}

// New opens a new, empty store.
func New() *Journal {
	return &Journal{store: &store{
		runs:   map[lockstep.RunID]*run{},
		holds:  map[place]lockstep.Hold{},
		owners: map[lockstep.DeploymentKey]*ownership{},

		records: map[[2]string]journal.Record{},
		losses:  map[lockstep.RunID]journal.Loss{},
	}}
}

// Again opens the same store once more, as another process would.
func (j *Journal) Again() *Journal { return &Journal{store: j.store} }

// Clone opens a copy of the store as it is now, owned by nobody: what a disk
// holds at a crash. Neither sees what is done to the other.
func (j *Journal) Clone() *Journal {
	j.mu.Lock()
	defer j.mu.Unlock()
	c := New()
	for id, r := range j.runs {
		copied := *r
		copied.events = slices.Clip(r.events) // entries are never changed, only appended
		copied.outputs = map[lockstep.StepID][]lockstep.StepOutput{}
		for step, outs := range r.outputs {
			copied.outputs[step] = slices.Clone(outs)
		}
		c.runs[id] = &copied
	}
	for p, h := range j.holds {
		c.holds[p] = h
	}
	maps.Copy(c.records, j.records)
	maps.Copy(c.losses, j.losses)
	return c
}

// lock takes the store for one call; the caller unlocks it if there is no error.
func (j *Journal) lock(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	j.mu.Lock()
	if j.closed {
		j.mu.Unlock()
		return ErrClosed
	}
	return nil
}

// Append implements journal.Journal. The store shares the events' memory with
// the caller, who must not change them.
func (j *Journal) Append(ctx context.Context, events ...lockstep.Event) error {
	if len(events) == 0 {
		return nil
	}
	if err := j.lock(ctx); err != nil {
		return fmt.Errorf("append to journal: %w", err)
	}
	defer j.mu.Unlock()
	r := j.runs[events[0].Run]
	if r == nil {
		r = &run{outputs: map[lockstep.StepID][]lockstep.StepOutput{}}
	}
	if err := r.head.Check(events); err != nil {
		return err
	}
	for _, e := range events {
		e.Time = e.Time.Round(0)
		if planned, ok := e.Data.(lockstep.RunPlanned); ok {
			r.steps = journal.LockStepsOf(&planned.Plan)
		}
		r.head.Apply(e, r.steps)
		r.events = append(r.events, entry{event: e})
		j.hold(r, e)
	}
	j.runs[events[0].Run] = r
	return nil
}

func (j *Journal) hold(r *run, e lockstep.Event) {
	t, ok := r.steps.Transition(e)
	if !ok {
		return
	}
	s := r.head.Summary
	p := place{s.Key, t.Slot}
	switch {
	case t.Held:
		j.holds[p] = lockstep.Hold{
			Key: s.Key, Deployment: s.Deployment, Slot: t.Slot, Run: e.Run, Since: e.Time.UTC(), Restore: t.Restore,
		}
	case t.Only == "" || t.Only == j.holds[p].Run:
		delete(j.holds, p)
	}
}

// Events implements journal.Journal.
func (j *Journal) Events(ctx context.Context, id lockstep.RunID, after uint64) ([]lockstep.Event, error) {
	if err := j.lock(ctx); err != nil {
		return nil, fmt.Errorf("read events of run %s: %w", id, err)
	}
	defer j.mu.Unlock()
	r := j.runs[id]
	if r == nil || after >= uint64(len(r.events)) {
		return nil, nil
	}
	out := make([]lockstep.Event, 0, uint64(len(r.events))-after)
	for _, x := range r.events[after:] {
		if x.damaged {
			return out, fmt.Errorf("read events of run %s: %w: event %d", id, journal.ErrDamaged, x.event.Seq)
		}
		if x.raw != nil {
			if err := json.Unmarshal(x.raw, &x.event); err != nil {
				return out, fmt.Errorf("read events of run %s: %w", id, err)
			}
		}
		out = append(out, x.event)
	}
	return out, nil
}

// PutRaw appends an event that a newer program might have written, as bytes.
// It is for tests.
func (j *Journal) PutRaw(id lockstep.RunID, raw []byte) {
	j.mu.Lock()
	defer j.mu.Unlock()
	r := j.runs[id]
	r.events = append(r.events, entry{raw: slices.Clone(raw)})
	r.head.Seq++
}

// Runs implements journal.Journal.
func (j *Journal) Runs(ctx context.Context, filter lockstep.RunFilter) ([]lockstep.RunSummary, error) {
	if err := j.lock(ctx); err != nil {
		return nil, fmt.Errorf("list runs: %w", err)
	}
	defer j.mu.Unlock()
	var out []lockstep.RunSummary
	for _, r := range j.runs {
		if journal.Matches(filter, r.head.Summary) {
			out = append(out, r.head.Summary)
		}
	}
	slices.SortFunc(out, func(a, b lockstep.RunSummary) int { return cmp.Compare(b.ID, a.ID) })
	if filter.Limit > 0 && len(out) > filter.Limit {
		out = out[:filter.Limit]
	}
	return out, nil
}

// Held implements journal.Journal.
func (j *Journal) Held(ctx context.Context, key lockstep.DeploymentKey) ([]lockstep.Hold, error) {
	if err := j.lock(ctx); err != nil {
		return nil, fmt.Errorf("list held jobs: %w", err)
	}
	defer j.mu.Unlock()
	var out []lockstep.Hold
	for p, h := range j.holds {
		if key == "" || p.key == key {
			out = append(out, h)
		}
	}
	slices.SortFunc(out, func(a, b lockstep.Hold) int {
		return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.Key, b.Key), cmp.Compare(a.Slot.Group, b.Slot.Group),
			cmp.Compare(a.Slot.Index, b.Slot.Index), cmp.Compare(a.Slot.Job, b.Slot.Job))
	})
	return out, nil
}

// Prune implements journal.Journal.
func (j *Journal) Prune(ctx context.Context, id lockstep.RunID) error {
	if err := j.lock(ctx); err != nil {
		return fmt.Errorf("prune run %s: %w", id, err)
	}
	defer j.mu.Unlock()
	r := j.runs[id]
	if r == nil {
		delete(j.losses, id)
		return nil
	}
	if r.head.Summary.State == lockstep.RunRunning {
		return fmt.Errorf("prune run %s: it has not ended: %w", id, journal.ErrConflict)
	}
	for _, h := range j.holds {
		if h.Run == id {
			return fmt.Errorf("prune run %s: it holds %s: %w", id, h.Slot, journal.ErrConflict)
		}
	}
	delete(j.runs, id)
	delete(j.losses, id)
	return nil
}
