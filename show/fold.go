package show

import (
	"fmt"
	"slices"
	"time"

	"lockstep"
)

// Questions about a run that is being followed, answered from its fold alone.

// lastTry is the last try of a step, or nil.
func lastTry(r *lockstep.Run, id lockstep.StepID) *lockstep.Try { return r.Steps[id].Last() }

// stepState is "waiting", "running", "ok" or "failed".
func stepState(r *lockstep.Run, id lockstep.StepID) string {
	switch t := lastTry(r, id); {
	case t == nil:
		return "waiting"
	case t.Running():
		return "running"
	case t.Outcome.OK():
		return "ok"
	}
	return "failed"
}

// lockAttempted reports whether any lock script was started.
func lockAttempted(r *lockstep.Run) bool {
	return r.Plan != nil && slices.ContainsFunc(r.Plan.Steps(lockstep.StageLock), func(s lockstep.Step) bool {
		return lastTry(r, s.ID) != nil
	})
}

// lockedFor is how long the deployment has been locked, and whether any of
// it still is.
func lockedFor(r *lockstep.Run, now time.Time) (d time.Duration, still, ever bool) {
	if !lockAttempted(r) {
		return 0, false, false
	}
	return r.LockWindow(now), len(r.Locked()) > 0, true
}

// waveName is "lock", or "lock 1/2" where the stage has several waves.
func waveName(p *lockstep.Plan, stage lockstep.Stage, number int) string {
	n := 0
	for _, w := range p.Waves {
		if w.Stage == stage {
			n++
		}
	}
	if n < 2 {
		return string(stage)
	}
	return fmt.Sprintf("%s %d/%d", stage, number, n)
}

// SlotNames are slots as a list for people.
func SlotNames(slots []lockstep.Slot) []string {
	names := make([]string, len(slots))
	for i, s := range slots {
		names[i] = s.String()
	}
	return names
}

// stages are those of the plan, each once, in order.
func stages(p *lockstep.Plan) []lockstep.Stage {
	var out []lockstep.Stage
	for _, w := range p.Waves {
		if !slices.Contains(out, w.Stage) {
			out = append(out, w.Stage)
		}
	}
	return out
}

// flowText is "1.2 GiB of 3.4 GiB, 85.1 MiB/s, about 26.0s left".
func flowText(f lockstep.Flow) string {
	s := Size(f.Bytes)
	if f.Total > 0 {
		s += " of " + Size(f.Total)
	}
	if f.PerSecond > 0 {
		s += ", " + rate(f.PerSecond)
		if left := f.Left(); left > 0 {
			s += ", about " + clock(left) + " left"
		}
	}
	return s
}

// flowShort is flowText in few characters: "33% 85.1 MiB/s 0:26 left".
func flowShort(f lockstep.Flow) string {
	if f.Total == 0 {
		s := Size(f.Bytes)
		if f.PerSecond > 0 {
			s += " " + rate(f.PerSecond)
		}
		return s
	}
	s := fmt.Sprintf("%d%%", 100*min(f.Bytes, f.Total)/f.Total)
	if f.PerSecond > 0 {
		s += fmt.Sprintf(" %s %s left", rate(f.PerSecond), clock(f.Left()))
	}
	return s
}
