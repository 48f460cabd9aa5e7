package cli

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

// stillLocked are the slots that may be locked now: their unlock is owed and
// has not ended well.
func stillLocked(r *lockstep.Run) []lockstep.Slot {
	if r.Ending != nil {
		return r.Ending.Held
	}
	if r.Plan == nil {
		return nil
	}
	var slots []lockstep.Slot
	if r.Plan.Operation == lockstep.OperationCleanup {
		return nil
	}
	// Whether an unlock without a lock of its own is owed is the same for all.
	var others *bool
	for _, s := range r.Plan.Steps(lockstep.StageUnlock) {
		if stepState(r, s.ID) == "ok" {
			continue
		}
		if s.Of != "" && lastTry(r, s.Of) != nil {
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
	return r.LockWindow(now), len(stillLocked(r)) > 0, true
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

// tryText says how a try ended.
func tryText(t *lockstep.Try) string {
	if t.Error != "" {
		return t.Error
	}
	return t.Outcome.String()
}

// slotNames are slots as a list for people.
func slotNames(slots []lockstep.Slot) []string {
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

// meter follows the transfers of a run: bytes and rate, per step.
type meter struct {
	flows map[lockstep.StepID]*flow
}

// flow is one transfer. The rate is smoothed over some seconds.
type flow struct {
	bytes, total int64
	at, began    time.Time
	perSecond    float64
}

// begin starts a step's count anew.
func (m *meter) begin(id lockstep.StepID, at time.Time) {
	if m.flows == nil {
		m.flows = map[lockstep.StepID]*flow{}
	}
	m.flows[id] = &flow{at: at, began: at}
}

// progress takes one report in.
func (m *meter) progress(p lockstep.Progress, at time.Time) {
	f := m.flows[p.Step]
	if f == nil {
		m.begin(p.Step, at)
		f = m.flows[p.Step]
	}
	passed := at.Sub(f.at).Seconds()
	if passed > 0.2 {
		now := float64(p.Bytes-f.bytes) / passed
		weight := min(1, passed/5)
		if f.perSecond == 0 {
			weight = 1
		}
		f.perSecond += weight * (now - f.perSecond)
		f.at = at
		f.bytes = p.Bytes
	}
	f.total = max(f.total, p.Total)
}

func (m *meter) end(id lockstep.StepID) { delete(m.flows, id) }

// sum adds the transfers that are under way. The total is 0 unless all know it.
func (m *meter) sum() (all flow, n int) {
	known := true
	for _, f := range m.flows {
		if f.bytes == 0 && f.total == 0 {
			continue
		}
		n++
		all.bytes += f.bytes
		all.total += f.total
		all.perSecond += f.perSecond
		known = known && f.total > 0
	}
	if !known {
		all.total = 0
	}
	return all, n
}

// text is "1.2 GiB of 3.4 GiB, 85.1 MiB/s, about 26.0s left".
func (f flow) text() string {
	s := size(f.bytes)
	if f.total > 0 {
		s += " of " + size(f.total)
	}
	if f.perSecond > 0 {
		s += ", " + rate(f.perSecond)
		if left := float64(f.total-f.bytes) / f.perSecond; f.total > f.bytes {
			s += ", about " + clock(time.Duration(left*float64(time.Second))) + " left"
		}
	}
	return s
}

// short is text in few characters: "33% 85.1 MiB/s 0:26 left".
func (f flow) short() string {
	if f.total == 0 {
		s := size(f.bytes)
		if f.perSecond > 0 {
			s += " " + rate(f.perSecond)
		}
		return s
	}
	s := fmt.Sprintf("%d%%", 100*min(f.bytes, f.total)/f.total)
	if f.perSecond > 0 {
		left := float64(f.total-f.bytes) / f.perSecond
		s += fmt.Sprintf(" %s %s left", rate(f.perSecond), clock(time.Duration(left*float64(time.Second))))
	}
	return s
}
