package mem

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"

	"lockstep"
	"lockstep/journal"
)

// ownership is one successful Own.
type ownership struct {
	by    *Journal
	owner string
}

// Own implements journal.Journal.
func (j *Journal) Own(ctx context.Context, key lockstep.DeploymentKey, owner string) (func(), error) {
	if err := j.lock(ctx); err != nil {
		return nil, fmt.Errorf("own %s: %w", key, err)
	}
	defer j.mu.Unlock()
	if o := j.owners[key]; o != nil {
		return nil, &lockstep.Error{
			Kind: lockstep.KindConflict, Op: fmt.Sprintf("own %s", key),
			Err:  fmt.Errorf("%w: %s", journal.ErrOwned, o.owner),
			Hint: "see its runs with: lockstep runs list",
		}
	}
	mine := &ownership{j, owner}
	j.owners[key] = mine
	return func() {
		j.mu.Lock()
		defer j.mu.Unlock()
		if j.owners[key] == mine {
			delete(j.owners, key)
		}
	}, nil
}

// Owner implements journal.Journal.
func (j *Journal) Owner(ctx context.Context, key lockstep.DeploymentKey) (string, error) {
	if err := j.lock(ctx); err != nil {
		return "", fmt.Errorf("look for the owner of %s: %w", key, err)
	}
	defer j.mu.Unlock()
	if o := j.owners[key]; o != nil {
		return o.owner, nil
	}
	return "", nil
}

// Close implements journal.Journal: the process of this Journal is dead.
func (j *Journal) Close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.closed = true
	for key, o := range j.owners {
		if o.by == j {
			delete(j.owners, key)
		}
	}
	return nil
}

// PutOutput implements journal.Journal.
func (j *Journal) PutOutput(ctx context.Context, id lockstep.RunID, step lockstep.StepID, out lockstep.StepOutput) error {
	if err := j.lock(ctx); err != nil {
		return fmt.Errorf("keep output of step %s: %w", step, err)
	}
	defer j.mu.Unlock()
	r := j.runs[id]
	if r == nil {
		return fmt.Errorf("keep output of step %s: no run %s: %w", step, id, journal.ErrConflict)
	}
	out.Head, out.Tail = bytes.Clone(out.Head), bytes.Clone(out.Tail)
	outs := slices.DeleteFunc(slices.Clone(r.outputs[step]), func(o lockstep.StepOutput) bool {
		return o.Attempt == out.Attempt && o.Stream == out.Stream
	})
	outs = append(outs, out)
	slices.SortFunc(outs, func(a, b lockstep.StepOutput) int {
		return cmp.Or(cmp.Compare(a.Attempt, b.Attempt), -cmp.Compare(a.Stream, b.Stream))
	})
	r.outputs[step] = outs
	return nil
}

// Outputs implements journal.Journal.
func (j *Journal) Outputs(ctx context.Context, id lockstep.RunID, step lockstep.StepID) ([]lockstep.StepOutput, error) {
	if err := j.lock(ctx); err != nil {
		return nil, fmt.Errorf("read output of step %s: %w", step, err)
	}
	defer j.mu.Unlock()
	r := j.runs[id]
	if r == nil {
		return nil, nil
	}
	return slices.Clone(r.outputs[step]), nil
}

// RequestCancel implements journal.Journal.
func (j *Journal) RequestCancel(ctx context.Context, id lockstep.RunID, by string) error {
	if err := j.lock(ctx); err != nil {
		return fmt.Errorf("ask to cancel run %s: %w", id, err)
	}
	defer j.mu.Unlock()
	r := j.runs[id]
	switch {
	case r == nil:
		return fmt.Errorf("ask to cancel run %s: there is none: %w", id, journal.ErrConflict)
	case !r.canceled:
		r.canceled, r.cancel = true, by
	}
	return nil
}

// CancelRequested implements journal.Journal.
func (j *Journal) CancelRequested(ctx context.Context, id lockstep.RunID) (string, bool, error) {
	if err := j.lock(ctx); err != nil {
		return "", false, fmt.Errorf("look for a cancel of run %s: %w", id, err)
	}
	defer j.mu.Unlock()
	r := j.runs[id]
	if r == nil {
		return "", false, nil
	}
	return r.cancel, r.canceled, nil
}
