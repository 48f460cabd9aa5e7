package lockstep

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
