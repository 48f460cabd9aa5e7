package lockstep

import (
	"slices"
	"time"
)

// Decision is what must happen next to a run. An empty one says: wait for a
// running step to end, for Wake if it is set, or for a cancel.
type Decision struct {
	// Record are facts that follow from the time alone. They must be journaled
	// and applied before Next is asked again; nothing else is set with them.
	Record []EventData
	// Start are tries to start now, all at once, after each is journaled.
	Start []Attempt
	// Settle are tries whose outcome must be asked of the launcher. Until it is
	// known they count as running.
	Settle []Settlement
	// Stop are running steps that must be stopped; their tries still end by
	// themselves. It is repeated until they have.
	Stop []StepID
	// Wake, if not zero, is when Next must be asked again at the latest.
	Wake time.Time
	// End, if not nil, ends the run.
	End *Ending
}

// Attempt names one try of one step; N counts from 1.
type Attempt struct {
	Step Step
	N    int
}

// Settlement is a try whose outcome must be asked of the launcher. With Stop,
// a script that still runs is stopped first; without, its end is waited for.
type Settlement struct {
	Attempt
	Stop bool
}

// Next decides what must happen next, from the run's events and the time
// alone. It is the one place where the barrier and the unlock promise are
// decided:
//
//   - a step of a wave is started only when every step of every earlier wave
//     that was ever started has ended; only the retries of an unlock run
//     beside later unlock waves, and those of an instance that does not answer
//     beside the collect of the others;
//   - after anything went wrong no lock or work step is started, and every
//     unlock that is owed is, whatever else happens, cancel included.
func (r *Run) Next(now time.Time) Decision {
	switch {
	case r.Ending != nil:
		return Decision{}
	case r.Plan == nil:
		return r.nextUnplanned()
	case r.Opened.Operation == OperationPlan:
		return Decision{End: r.ending()} // it was asked for the plan, no more
	}
	if r.overrunAt(now) {
		return Decision{Record: []EventData{LockWindowExceeded{}}}
	}
	d := r.nextWaves(now)
	d.Settle, d.Stop = r.unsettled(), r.toStop()
	if at := r.lockDeadline(); !at.IsZero() && (d.Wake.IsZero() || at.Before(d.Wake)) {
		d.Wake = at
	}
	return d
}

// nextUnplanned ends a run that failed, was canceled or was left before it had
// a plan: nothing was started, so nothing is owed.
func (r *Run) nextUnplanned() Decision {
	if r.Canceled || r.Recovered || len(r.Failures) > 0 {
		return Decision{End: r.ending()}
	}
	return Decision{}
}

// nextWaves walks the plan to the first wave in which something is still to
// happen, and on to those that may run beside it.
func (r *Run) nextWaves(now time.Time) Decision {
	var d Decision
	for i := r.settled; i < len(r.Plan.Waves); i++ {
		w := r.Plan.Waves[i]
		if i > r.settled && !r.besideRetries(w) {
			return d
		}
		started := len(d.Start)
		open := r.nextWave(w, now, &d)
		switch {
		case !open && i == r.settled:
			r.settled++
		case open && (w.Stage != StageUnlock || len(d.Start) > started || r.firstTries(w)):
			return d
		}
	}
	if r.settled == len(r.Plan.Waves) {
		d.End = r.ending()
	}
	return d
}

// besideRetries reports whether a wave may begin while, in the unlock waves
// before it, only retries are under way or to come: another one of unlock may,
// and one of collect where all that is still tried is on instances that do not
// answer. Nothing that follows may.
func (r *Run) besideRetries(w Wave) bool {
	switch w.Stage {
	case StageUnlock:
		return true
	case StageCollect:
		return !r.unlocking(func(u Step) bool { return !r.silent(u) })
	case StageCheck, StageRead, StagePlace, StageLock, StageWork, StageVerify, StageCommit, StageClean:
	}
	return false
}

// unlocking reports whether a try is running or to come of an unlock step of
// that kind.
func (r *Run) unlocking(kind func(Step) bool) bool {
	return slices.ContainsFunc(r.Plan.Waves[r.settled:], func(w Wave) bool {
		return w.Stage == StageUnlock && slices.ContainsFunc(w.Steps, func(u Step) bool {
			if !kind(u) {
				return false
			}
			_, wanted := r.unlockDue(u)
			return wanted || r.open(u.ID)
		})
	})
}

// silent reports whether the instance of an unlock step does not answer, as far
// as its tries tell: the last one that has ended was given up on. An instance
// that another run owns answers.
func (r *Run) silent(u Step) bool {
	for _, t := range slices.Backward(r.Steps[u.ID].fresh()) {
		if t.Outcome.ended() {
			return t.Outcome.Kind == OutcomeAbandoned && !t.Displaced
		}
	}
	return false
}

// open reports whether the step's last try runs, or has ended and nobody knows
// how: then it may still run.
func (r *Run) open(id StepID) bool {
	t := r.last(id)
	return t != nil && !t.Outcome.ended()
}

// nextWave adds what is due in one wave and reports whether anything in it is
// running or still to come. What has ended in an unknown way may still run.
func (r *Run) nextWave(w Wave, now time.Time, d *Decision) (open bool) {
	for i := range w.Steps {
		if r.open(w.Steps[i].ID) {
			open = true
			continue
		}
		s := w.Steps[i]
		at, wanted := r.due(s)
		if !wanted {
			continue
		}
		open = true
		switch {
		case at.After(now):
			if d.Wake.IsZero() || at.Before(d.Wake) {
				d.Wake = at
			}
		case r.released(s):
			d.Start = append(d.Start, Attempt{s, r.attempts(s.ID) + 1})
		}
	}
	return open
}

// firstTries reports whether the first try of some step of the wave is still
// running, has ended and nobody knows how, or is still to come.
func (r *Run) firstTries(w Wave) bool {
	return slices.ContainsFunc(w.Steps, func(s Step) bool {
		fresh := r.Steps[s.ID].fresh()
		if len(fresh) == 0 {
			_, wanted := r.due(s)
			return wanted
		}
		return len(fresh) == 1 && !fresh[0].Outcome.ended()
	})
}

// released reports whether what s waits for beyond its wave has happened: the
// step before it in its chain has ended well; an artifact's instance has no
// unlock to come, which may still change it; and it is known whether the commit
// of the orchestrator before this one happened, because what is committed is
// never added to.
func (r *Run) released(s Step) bool {
	switch s.Stage {
	case StageCollect:
		return !r.committing() && !r.unlocking(func(u Step) bool { return u.Instance == s.Instance })
	case StageVerify:
		return !r.committing()
	case StageCheck, StageRead, StagePlace, StageLock, StageWork, StageUnlock, StageCommit, StageClean:
	}
	return s.After == "" || r.ok(s.After)
}

// committing reports whether a commit runs, or has ended and nobody knows how.
func (r *Run) committing() bool {
	return slices.ContainsFunc(r.Plan.Waves, func(w Wave) bool {
		return w.Stage == StageCommit && slices.ContainsFunc(w.Steps, func(s Step) bool { return r.open(s.ID) })
	})
}

// due says whether another try of the step, which is not running, is wanted
// under the run's present circumstances, and when.
func (r *Run) due(s Step) (time.Time, bool) {
	if s.Stage == StageUnlock {
		return r.unlockDue(s)
	}
	if len(r.Steps[s.ID].fresh()) > 0 {
		return time.Time{}, false
	}
	// A recovery cleans again what was clean: it claimed the instance anew.
	return time.Time{}, s.Stage == StageClean || !r.ok(s.ID) && r.wants(s)
}

// wants reports whether a step that is tried once should still be tried.
func (r *Run) wants(s Step) bool {
	switch s.Stage {
	case StageCheck, StageRead, StagePlace, StageLock, StageWork:
		return !r.Broken()
	case StageCollect:
		return r.collectable() && !r.attempted(StageClean)
	case StageVerify:
		return r.collectable() && r.ok(s.Of)
	case StageCommit:
		return r.collectable() && len(r.proven()) > 0
	case StageClean:
		return true
	case StageUnlock:
	}
	return false
}

// Broken reports whether the run has left its straight course: nothing that
// locks, works or changes an instance is started any more.
func (r *Run) Broken() bool {
	return !r.brokenAt.IsZero()
}

// collectable reports whether what the backup scripts left is worth keeping:
// each lock and work step ended with a received exit 0. A failed unlock makes
// the data incomplete, not worthless. What is committed is never added to: a
// recovery that did would call a backup verified whose manifest says otherwise.
func (r *Run) collectable() bool {
	if r.tally(StageCommit).ok > 0 {
		return false
	}
	if r.Plan.Operation != OperationBackup || r.Canceled || r.Overrun || len(r.Failures) > 0 {
		return false
	}
	if r.Recovered && !r.Resumable {
		return false
	}
	return r.allOK(StageCheck) && r.allOK(StageLock) && r.allOK(StageWork)
}

// unlockDue says when the next try of an unlock step is due, if one is owed.
// The times of Policy.UnlockTries count from the end of the first try.
func (r *Run) unlockDue(s Step) (time.Time, bool) {
	fresh := r.Steps[s.ID].fresh()
	tries := r.Plan.Policy.UnlockTries
	switch {
	case r.ok(s.ID) || !r.Owed(s):
		return time.Time{}, false
	case len(fresh) == 0:
		return time.Time{}, true
	case len(fresh) >= len(tries), fresh[len(fresh)-1].Displaced:
		return time.Time{}, false
	}
	return fresh[0].FinishedAt.Add(tries[len(fresh)]), true
}

// Owed reports whether an unlock step must have at least one try: its lock
// step was attempted; or the job has no lock script, or the policy unlocks all,
// and some lock or work step of the run was attempted.
func (r *Run) Owed(s Step) bool {
	switch {
	case r.Plan.Operation == OperationCleanup:
		return true
	case r.holds():
		return false
	case s.Of != "" && !r.Plan.Policy.UnlockAll:
		return r.attempts(s.Of) > 0
	}
	return r.attempted(StageLock) || r.attempted(StageWork)
}

// holds reports whether the policy leaves a failed restore locked on purpose.
func (r *Run) holds() bool {
	if !r.Plan.Policy.HoldFailedRestore || r.Plan.Operation != OperationRestore {
		return false
	}
	return r.attempted(StageWork) && !r.allOK(StageWork)
}

// overrunAt reports whether the lock window's limit is over at that time while
// lock or work steps are under way or still to come.
func (r *Run) overrunAt(now time.Time) bool {
	at := r.lockDeadline()
	return !at.IsZero() && !at.After(now)
}

// lockDeadline is when Policy.MaxLock is over, or zero when it does not apply
// (any more). It still does when the run has left its straight course while
// other lock and work scripts go on.
func (r *Run) lockDeadline() time.Time {
	if r.Plan == nil || r.Plan.Policy.MaxLock == 0 || r.Plan.Operation != OperationBackup || r.Overrun {
		return time.Time{}
	}
	running := r.tally(StageLock).running + r.tally(StageWork).running
	straight := !r.Broken() && !(r.ended(StageLock) && r.ended(StageWork))
	if running == 0 && !straight || !r.attempted(StageLock) && !r.attempted(StageWork) {
		return time.Time{}
	}
	return r.lockStart().Add(r.Plan.Policy.MaxLock)
}

// toStop are the running steps that must not go on: after a cancel all but
// what unlocks, cleans or commits; after an overrun or a fired lease what
// locks and works. Restore scripts are left to end: half of one is worse than
// a whole one.
func (r *Run) toStop() []StepID {
	if !r.Canceled && !r.Overrun && len(r.Leases) == 0 {
		return nil
	}
	var ids []StepID
	for _, id := range r.Running() {
		s, _ := r.planned(id)
		switch s.Stage {
		case StageUnlock, StageClean, StageCommit:
			continue
		case StageWork, StageLock:
			if r.Plan.Operation == OperationRestore && s.Stage == StageWork {
				continue
			}
		case StageCheck, StageRead, StagePlace, StageCollect, StageVerify:
			if !r.Canceled {
				continue
			}
		}
		ids = append(ids, id)
	}
	return ids
}

// unsettled are the tries that ended in an unknown way, in the plan's order.
// What locks or works is stopped before it is settled, except a restore
// script; what unlocks is left to end.
func (r *Run) unsettled() []Settlement {
	if r.total().unknown == 0 {
		return nil
	}
	var open []Settlement
	for _, w := range r.Plan.Waves[r.settled:] {
		for _, s := range w.Steps {
			t := r.last(s.ID)
			if t == nil || t.Running() || t.Outcome.Final() {
				continue
			}
			restoring := r.Plan.Operation == OperationRestore && s.Stage == StageWork
			stop := s.Stage != StageUnlock && s.Stage != StageClean && !restoring
			open = append(open, Settlement{Attempt{s, t.Attempt}, stop})
		}
	}
	return open
}
