package bosh

import (
	"context"
	"fmt"
	"sync"

	"lockstep"
	"lockstep/source"
)

// tracker calls a source.Tracker, which may be nil, from one goroutine at a
// time.
type tracker struct {
	mu sync.Mutex
	to source.Tracker
}

func (t *tracker) acquiring(ctx context.Context, x lockstep.Resource) error {
	return t.tell(source.Tracker.Acquiring, ctx, x)
}

func (t *tracker) acquired(ctx context.Context, x lockstep.Resource) error {
	return t.tell(source.Tracker.Acquired, ctx, x)
}

// released tells of what is gone. If that cannot be written, the journal names
// a user that is there no more, which harms nobody.
func (t *tracker) released(ctx context.Context, x lockstep.Resource) {
	_ = t.tell(source.Tracker.Released, ctx, x)
}

func (t *tracker) tell(what func(source.Tracker, context.Context, lockstep.Resource) error, ctx context.Context, x lockstep.Resource) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.to == nil {
		return nil
	}
	if err := what(t.to, ctx, x); err != nil {
		return fmt.Errorf("record SSH user %s on %s: %w", x.Name, x.Instance, err)
	}
	return nil
}
