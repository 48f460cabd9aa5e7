package lockstep

import "time"

// lockStart is when the first lock script was started, or, where there is
// none, the first work script; zero before that.
func (r *Run) lockStart() time.Time {
	if r.attempted(StageLock) {
		return r.tally(StageLock).first
	}
	return r.tally(StageWork).first
}

// stageEnd is when the last try of the stage ended, or zero.
func (r *Run) stageEnd(stage Stage) time.Time {
	var end time.Time
	for _, s := range r.Plan.Steps(stage) {
		if t := r.last(s.ID); t != nil && t.FinishedAt.After(end) {
			end = t.FinishedAt
		}
	}
	return end
}

// ended reports whether every step of the stage was started and has ended.
func (r *Run) ended(stage Stage) bool {
	c := r.tally(stage)
	return c.tried == c.steps && c.running+c.unknown == 0
}

// LockWindow is how long the system stood still: from the start of the first
// lock script to the end of the last unlock script, or to now while it still
// does; 0 if nothing was locked.
func (r *Run) LockWindow(now time.Time) time.Duration {
	if r.Plan == nil || !r.attempted(StageLock) {
		return 0
	}
	end := r.stageEnd(StageUnlock)
	if r.Ending == nil && !r.unlocked() || end.IsZero() {
		end = now
	}
	return end.Sub(r.lockStart())
}

// unlocked reports whether nothing that is owed an unlock is still without.
func (r *Run) unlocked() bool { return len(r.stillHeld()) == 0 }
