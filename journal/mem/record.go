package mem

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"lockstep/journal"
)

// PutRecord implements journal.Journal.
func (j *Journal) PutRecord(ctx context.Context, r journal.Record) error {
	if err := r.Check(); err != nil {
		return err
	}
	if err := j.lock(ctx); err != nil {
		return fmt.Errorf("keep record %s %q: %w", r.Kind, r.Name, err)
	}
	defer j.mu.Unlock()
	r.Data, r.At = slices.Clone(r.Data), r.At.Round(0).UTC()
	j.records[[2]string{r.Kind, r.Name}] = r
	return nil
}

// Records implements journal.Journal.
func (j *Journal) Records(ctx context.Context, kind string) ([]journal.Record, error) {
	if err := j.lock(ctx); err != nil {
		return nil, fmt.Errorf("list records %s: %w", kind, err)
	}
	defer j.mu.Unlock()
	var list []journal.Record
	for _, r := range j.records {
		if r.Kind == kind {
			r.Data = slices.Clone(r.Data)
			list = append(list, r)
		}
	}
	slices.SortFunc(list, func(a, b journal.Record) int { return cmp.Compare(a.Name, b.Name) })
	return list, nil
}

// Record implements journal.Journal.
func (j *Journal) Record(ctx context.Context, kind, name string) (journal.Record, bool, error) {
	if err := j.lock(ctx); err != nil {
		return journal.Record{}, false, fmt.Errorf("read record %s %q: %w", kind, name, err)
	}
	defer j.mu.Unlock()
	r, ok := j.records[[2]string{kind, name}]
	r.Data = slices.Clone(r.Data)
	return r, ok, nil
}
