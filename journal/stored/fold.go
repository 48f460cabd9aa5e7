package stored

import (
	"lockstep"
	"lockstep/journal"
)

// Fold makes the row of a run anew from its events, to the last good one.
type Fold struct {
	Row
	chain Chain
	steps *journal.LockSteps
}

// Add folds the next event. The error wraps journal.ErrDamaged if it is not what was
// appended there; the row stays that of the events before it.
func (f *Fold) Add(seq uint64, body, link []byte) error {
	if f.chain.Seq == 0 { // the row may not know its own run any more
		if first, err := Decode(body); err == nil {
			f.chain.Run = first.Run
		}
	}
	e, err := f.chain.Follow(seq, body, link)
	if err != nil {
		return err
	}
	if planned, ok := e.Data.(lockstep.RunPlanned); ok {
		f.steps = journal.LockStepsOf(&planned.Plan)
	}
	f.Head.Apply(e, f.steps)
	f.Link = f.chain.Link
	return nil
}
