package lockstep

import "time"

// Locked are the slots that may be locked at this moment of the run: their
// unlock is owed and has not ended well. Of a run that has ended they are those
// it left held. A run that only unlocks locks nothing.
func (r *Run) Locked() []Slot {
	if r.Ending != nil {
		return r.Ending.Held
	}
	if r.Plan == nil || r.Plan.Operation == OperationCleanup {
		return nil
	}
	var slots []Slot
	// Whether an unlock without a lock of its own is owed is the same for all.
	var others *bool
	for _, s := range r.Plan.Steps(StageUnlock) {
		if r.ok(s.ID) {
			continue
		}
		if s.Of != "" && r.last(s.Of) != nil {
			slots = append(slots, s.Slot)
			continue
		}
		if s.Of != "" && !r.Plan.Policy.UnlockAll {
			continue
		}
		if others == nil {
			owed := r.Owed(s)
			others = &owed
		}
		if *others {
			slots = append(slots, s.Slot)
		}
	}
	return slots
}

// Stopping are the scripts that are being stopped now, after a cancel, an overrun
// or a lease that fired, and when those that ignore TERM are killed.
func (r *Run) Stopping() (steps []StepID, kill time.Time) {
	if r.Plan == nil || r.Ending != nil || r.stopAt.IsZero() {
		return nil, time.Time{}
	}
	for _, id := range r.toStop() {
		if s, _ := r.planned(id); s.Script != nil {
			steps = append(steps, id)
		}
	}
	return steps, r.stopAt.Add(r.Plan.Policy.KillGrace)
}
