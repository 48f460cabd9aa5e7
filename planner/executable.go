package planner

import (
	"fmt"
	"strings"

	"lockstep"
)

// executable refuses scripts that nobody may execute: they would fail, and the
// first of them perhaps when everything is locked. Under a policy that tries
// them it warns.
func (d *draft) executable(steps []lockstep.Step) error {
	var paths, where []string
	for _, s := range steps {
		if s.Script != nil && s.Script.NotExecutable {
			paths, where = append(paths, s.Script.Path), append(where, fmt.Sprintf("%s on %s", s.Script.Path, s.Instance))
		}
	}
	switch {
	case len(where) == 0:
		return nil
	case d.plan.Policy.TryNotExecutable:
		d.warn("not executable: " + strings.Join(where, ", "))
		return nil
	}
	return refused(fmt.Errorf("not executable: %s", strings.Join(where, ", ")), "`chmod +x "+paths[0]+"` there")
}

// planned are all steps of the plan.
func (d *draft) planned() []lockstep.Step {
	var steps []lockstep.Step
	for _, w := range d.plan.Waves {
		steps = append(steps, w.Steps...)
	}
	return steps
}

// all are the scripts of the three stages that the members ship.
func (d *draft) all() []lockstep.Step {
	steps := d.scripts(d.members, d.kinds.work)
	if !d.plan.Policy.LockFree {
		steps = append(steps, append(d.scripts(d.members, d.kinds.lock), d.scripts(d.members, d.kinds.unlock)...)...)
	}
	return steps
}
