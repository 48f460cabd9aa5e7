package audit

import "lockstep"

// Record is what an instance's own record says of one try.
type Record struct {
	Step    lockstep.StepID
	Attempt int
	// Running: its script has not ended.
	Running bool
	// Outcome is how it ended, where it has.
	Outcome lockstep.Outcome
}

// CheckRecords compares a run's journal with what its instances have on record
// now, which is less than everything: records go when an instance is cleaned.
// What is not on record is judged by nobody.
func CheckRecords(events []lockstep.Event, records []Record) []Violation {
	h := read(events)
	h.violations = nil // of the journal alone; see Check
	cleaned := map[lockstep.InstanceID]bool{}
	for _, s := range h.inOrder {
		if s.Stage == lockstep.StageClean && h.ok(s.ID) {
			cleaned[s.Instance] = true
		}
	}
	for _, s := range h.inOrder {
		if s.Stage == lockstep.StageUnlock && !h.ok(s.ID) && h.owes(s) {
			cleaned[s.Instance] = false // what shows that it is owed stays
		}
	}
	for _, r := range records {
		s, planned := h.steps[r.Step]
		t := h.tryOf(Act{Step: r.Step, Attempt: r.Attempt})
		switch {
		case !planned || t == nil:
			h.breaks(Intent, 0, "%s has try %d on record, and the journal does not know it", r.Step, r.Attempt)
		case r.Running:
			h.stillRuns(r, t)
		case t.ended():
			h.checkRecord(r, t)
		}
		if planned && cleaned[s.Instance] && t != nil {
			h.breaks(Clean, h.endSeq, "%s is still on record, and its instance is said to be clean", r.Step)
		}
	}
	return h.violations
}

// stillRuns: nothing is said to have ended that runs.
func (h *history) stillRuns(r Record, t *try) {
	switch {
	case !t.ended(), t.outcome.Kind == lockstep.OutcomeAbandoned, t.outcome.Kind == lockstep.OutcomeUnknown:
	default:
		h.breaks(Outcomes, t.endSeq, "%s still runs, the journal says that it ended as %q", r.Step, t.outcome)
	}
}

// checkRecord: it ended on its instance as the journal says.
func (h *history) checkRecord(r Record, t *try) {
	switch t.outcome.Kind {
	case lockstep.OutcomeExit, lockstep.OutcomeSignal:
		if r.Outcome != t.outcome {
			h.breaks(Outcomes, t.endSeq, "%s ended as %q on its instance, the journal says %q", r.Step, r.Outcome, t.outcome)
		}
	case lockstep.OutcomeNeverStarted:
		if r.Outcome.Kind != lockstep.OutcomeNeverStarted {
			h.breaks(Outcomes, t.endSeq, "%s ran, the journal says that it never started", r.Step)
		}
	case lockstep.OutcomeDead, lockstep.OutcomeAbandoned, lockstep.OutcomeUnknown:
	}
}
