package ui

import (
	"strconv"
	"time"

	"lockstep"
	"lockstep/internal/units"
)

// The states of steps.
const (
	stateWaiting = "waiting"
	stateRunning = "running"
	stateOK      = "ok"
	stateFailed  = "failed"
	stateUnknown = "unknown"
	stateSkipped = "skipped"
)

// words say each state in a word.
var words = map[string]string{
	stateWaiting: "waiting", stateRunning: "running", stateOK: "ended well", stateFailed: "failed",
	stateUnknown: "not known how it ended", stateSkipped: "not run",
}

func stepState(r *lockstep.Run, s lockstep.Step) string {
	t := r.Steps[s.ID].Last()
	switch {
	case t == nil && r.Ending != nil:
		return stateSkipped
	case t == nil:
		return stateWaiting
	}
	return tryState(*t)
}

// took is how long a try took: its script, where the instance measured it.
func took(t lockstep.Try) time.Duration {
	if t.Busy > 0 {
		return t.Busy
	}
	return t.FinishedAt.Sub(t.StartedAt)
}

// stageMarks are the plan's stages, each with how far it is. A stage that a plan
// comes back to is there again: a restore checks before it reads, and once more
// before it locks.
func stageMarks(r *lockstep.Run) []StageMark {
	var out []StageMark
	waves, seen := r.Plan.Waves, map[lockstep.Stage]int{}
	for len(waves) > 0 {
		stage, n := waves[0].Stage, 1
		for n < len(waves) && waves[n].Stage == stage {
			n++
		}
		m := stageMark(r, waves[:n])
		if seen[stage]++; seen[stage] > 1 {
			m.Key += "-" + strconv.Itoa(seen[stage])
		}
		out, waves = append(out, m), waves[n:]
	}
	return out
}

// stageMark is how far a stage's waves are.
func stageMark(r *lockstep.Run, waves []lockstep.Wave) StageMark {
	stage := waves[0].Stage
	m := StageMark{Stage: stage, Mark: Mark{Key: "s-" + string(stage)}}
	count := map[string]int{}
	var steps []lockstep.Step
	for _, w := range waves {
		steps = append(steps, w.Steps...)
	}
	for _, s := range steps {
		count[stepState(r, s)]++
	}
	ended := count[stateOK] + count[stateFailed]
	m.Text = strconv.Itoa(ended) + "/" + strconv.Itoa(len(steps))
	switch {
	case count[stateFailed] > 0:
		m.State, m.Text = stateFailed, strconv.Itoa(count[stateFailed])+" of "+strconv.Itoa(len(steps))
	case count[stateUnknown] > 0:
		m.State = stateUnknown
	case count[stateRunning] > 0 || ended > 0 && ended < len(steps) && r.Ending == nil:
		m.State = stateRunning
	case count[stateOK] == len(steps):
		m.State = stateOK
	case r.Ending != nil:
		m.State, m.Text = stateSkipped, ""
	default:
		m.State, m.Text = stateWaiting, strconv.Itoa(len(steps))
	}
	m.Word = words[m.State]
	return m
}

// lockMark is the lock window: not yet, counting, released after, or held.
func lockMark(r *lockstep.Run) Mark {
	m := Mark{Key: "lock", State: "none", Text: "nothing is locked in this run"}
	if len(r.Plan.Steps(lockstep.StageLock)) == 0 || !locks(r.Plan.Operation, lockstep.StageLock) {
		return m
	}
	switch {
	case !attempted(r, lockstep.StageLock):
		m.State, m.Text = stateWaiting, "not locked yet"
		if r.Ending != nil {
			m.State, m.Text = "none", "nothing was locked"
		}
	case len(r.Locked()) == 0:
		m.State, m.Text = "released", "released after "+units.Span(r.LockWindow(r.EndedAt))
	case r.Ending != nil:
		m.State, m.Text = "held", units.Plural(len(r.Ending.Held), "job")+" may still be locked"
	default:
		m.State, m.Text, m.Since = "locked", "locked for", firstStart(r, lockstep.StageLock).UnixMilli()
		if most := r.Plan.Policy.MaxLock; most > 0 {
			m.Text = "locked (at most " + units.Clock(most) + ") for"
		}
		if r.Broken() {
			m.Text = "unlocking, locked for"
		}
	}
	return m
}

func attempted(r *lockstep.Run, stage lockstep.Stage) bool {
	for _, s := range r.Plan.Steps(stage) {
		if r.Steps[s.ID] != nil {
			return true
		}
	}
	return false
}

// flowMark sums up the transfers under way.
func flowMark(meter *lockstep.Meter) Mark {
	m := Mark{Key: "flow", State: "none"}
	if all, n := meter.Sum(); n > 0 {
		m.State, m.Text = stateRunning, flowText(all)
	}
	return m
}
