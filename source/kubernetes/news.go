package kubernetes

import (
	"fmt"
	"slices"

	"lockstep"
)

// news is what an instance has to be told.
type news struct {
	instance             lockstep.InstanceID
	warning              bool
	action, reason, text string
}

// news are what an event of the run means for instances.
func (r *told) news(d lockstep.EventData) []news {
	switch d := d.(type) {
	case lockstep.StepFinished:
		return r.step(d)
	case lockstep.LeaseFired:
		return []news{{d.Instance, true, "Unlock", "LeaseFired", "it has heard nothing of its orchestrator and unlocks by itself"}}
	case lockstep.RunEnded:
		if d.State == lockstep.RunSucceeded {
			return r.well()
		}
	}
	return nil
}

// step is what the end of a lock or unlock script means. An end that nobody has seen is
// told when it is known.
func (r *told) step(d lockstep.StepFinished) []news {
	s := r.steps[d.Step]
	n := news{instance: s.Instance}
	switch {
	case s.Script == nil || !d.Outcome.Final():
		return nil
	case s.Stage == lockstep.StageLock:
		n.action, n.reason, n.text = "Lock", "Locked", "is locked"
	case s.Stage == lockstep.StageUnlock:
		n.action, n.reason, n.text = "Unlock", "Unlocked", "is unlocked"
	default:
		return nil
	}
	n.text = fmt.Sprintf("job %s %s", s.Job(), n.text)
	if !d.Outcome.OK() {
		n.warning, n.reason = true, n.action+"Failed"
		n.text = fmt.Sprintf("%s of job %s did not end well: %s", s.Script.Kind, s.Job(), d.Outcome)
	}
	return []news{n}
}

// well is what a run that went well means for instances with something to keep.
func (r *told) well() []news {
	var out []news
	for _, in := range r.plan.Instances {
		n := news{instance: in.Name()}
		var stage lockstep.Stage
		switch r.opened.Operation {
		case lockstep.OperationBackup:
			stage, n.action, n.reason, n.text = lockstep.StageCollect, "BackUp", "BackedUp", "it is in backup "+string(r.plan.Backup)
		case lockstep.OperationRestore:
			stage, n.action, n.reason, n.text = lockstep.StageWork, "Restore", "Restored", "it is as in backup "+string(r.plan.Backup)
		default:
			return nil
		}
		if slices.ContainsFunc(r.plan.Steps(stage), func(s lockstep.Step) bool { return s.Instance == in.Name() }) {
			out = append(out, n)
		}
	}
	return out
}
