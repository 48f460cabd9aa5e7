package planner

import (
	"fmt"
	"slices"

	"lockstep"
)

// Needs says for what a restore by that policy needs an instance, as words to say of
// it; "" is that it can be left alone: nothing is restored there, and nothing of it
// has to be locked meanwhile. A restore that is not narrowed needs every instance.
// It is pure, and may be asked of an instance as it was found at any time.
func (o RestoreOptions) Needs(in lockstep.Instance, p lockstep.Policy) string {
	req := o.Request
	place := lockstep.InstanceID(in.Group + "/" + in.Index)
	named := slices.Contains(req.Instances, in.Name()) || slices.Contains(req.Instances, place)
	if !req.Partial() || named {
		return "it is to be restored"
	}
	if len(req.Instances) == 0 {
		if job := o.restoredOn(in); job != "" {
			return fmt.Sprintf("its job %s is to be restored", job)
		}
	}
	for _, m := range membersOf([]lockstep.Instance{in}) {
		if !p.LockFree && (m.has(lockstep.ScriptPreRestoreLock) || m.has(lockstep.ScriptPostRestoreUnlock)) {
			return fmt.Sprintf("its job %s has to be locked", m.job.Name)
		}
	}
	return ""
}

// restoredOn is one of the jobs asked for that the instance has, or for which the
// backup has an artifact that goes there; "" if there is none.
func (o RestoreOptions) restoredOn(in lockstep.Instance) string {
	for _, m := range membersOf([]lockstep.Instance{in}) {
		if m.has(lockstep.ScriptRestore) && slices.Contains(o.Request.Jobs, m.job.Name) {
			return m.job.Name
		}
	}
	for _, a := range o.Backup.Artifacts {
		goes := a.Group + "/" + a.Index
		if to, ok := o.Request.Map[goes]; ok {
			goes = to
		}
		if !a.Custom && goes == in.Group+"/"+in.Index && slices.Contains(o.Request.Jobs, a.Job) {
			return a.Job
		}
	}
	return ""
}

// narrow takes those instances out of the plan that the restore does not need. One at
// which nobody answers must be among them.
func (d *draft) narrow(o RestoreOptions) error {
	p := d.plan.Policy
	for _, in := range o.Silent {
		if why := o.Needs(in, p); why != "" {
			return refused(fmt.Errorf("nobody answers at instance %s, and %s", in.Name(), why), "bring it up, and begin again")
		}
	}
	unneeded := map[lockstep.InstanceID]bool{}
	for _, in := range d.instances {
		unneeded[in.Name()] = o.Needs(in, p) == ""
	}
	d.instances = slices.DeleteFunc(d.instances, func(in lockstep.Instance) bool { return unneeded[in.Name()] })
	d.plan.Instances = slices.DeleteFunc(d.plan.Instances, func(in lockstep.Instance) bool { return unneeded[in.Name()] })
	return nil
}
