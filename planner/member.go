package planner

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"lockstep"
)

// member is one job on one instance.
type member struct {
	instance lockstep.Instance
	job      lockstep.Job
}

func (m member) slot() lockstep.Slot { return lockstep.SlotOf(m.instance, m.job.Name) }

// has reports whether the job ships a script of that kind.
func (m member) has(kind lockstep.ScriptKind) bool {
	_, ok := m.job.Script(kind)
	return ok
}

// String names a member in sentences.
func (m member) String() string { return fmt.Sprintf("job %s on %s", m.job.Name, m.instance.Name()) }

// sortedInstances are the deployment's instances by group, index and id, each
// with its jobs by name. The deployment is left as it is.
func sortedInstances(d lockstep.Deployment) []lockstep.Instance {
	out := slices.Clone(d.Instances)
	slices.SortStableFunc(out, func(a, b lockstep.Instance) int {
		return cmp.Or(cmp.Compare(a.Group, b.Group), compareIndex(a.Index, b.Index), cmp.Compare(a.ID, b.ID))
	})
	for i := range out {
		out[i].Jobs = slices.Clone(out[i].Jobs)
		slices.SortStableFunc(out[i].Jobs, func(a, b lockstep.Job) int { return cmp.Compare(a.Name, b.Name) })
	}
	return out
}

// compareIndex orders numbers as numbers, before anything else.
func compareIndex(a, b string) int {
	x, errX := strconv.ParseUint(a, 10, 64)
	y, errY := strconv.ParseUint(b, 10, 64)
	switch {
	case errX == nil && errY == nil:
		return cmp.Or(cmp.Compare(x, y), cmp.Compare(a, b))
	case errX == nil:
		return -1
	case errY == nil:
		return 1
	}
	return cmp.Compare(a, b)
}

// membersOf are the jobs of all instances, in the instances' order.
func membersOf(instances []lockstep.Instance) []member {
	var out []member
	for _, in := range instances {
		for _, j := range in.Jobs {
			out = append(out, member{in, j})
		}
	}
	return out
}

// validate refuses a deployment in which two things have the same name, or a
// name that cannot be part of a step's id. Two instances in one place (group
// and index) are refused only where places matters: not for a cleanup, which
// must be able to unlock whatever it finds.
func validate(instances []lockstep.Instance, places bool) error {
	seen := map[string]string{}
	take := func(what, key string) error {
		if other, taken := seen[key]; taken {
			return invalid(fmt.Errorf("%s: the same as %s", what, other))
		}
		seen[key] = what
		return nil
	}
	for _, in := range instances {
		if err := validNames(in); err != nil {
			return invalid(err)
		}
		if err := take("instance "+string(in.Name()), "instance "+string(in.Name())); err != nil {
			return err
		}
		if places {
			what := fmt.Sprintf("instance %s with index %s of group %s", in.Name(), in.Index, in.Group)
			if err := take(what, "place "+in.Group+"/"+in.Index); err != nil {
				return err
			}
		}
		if err := validJobs(in); err != nil {
			return invalid(err)
		}
	}
	return nil
}

func validNames(in lockstep.Instance) error {
	for _, n := range []struct{ what, name string }{{"group", in.Group}, {"id", in.ID}, {"index", in.Index}} {
		if err := lockstep.CheckName(n.what, n.name); err != nil {
			return fmt.Errorf("instance %s: %w", in.Name(), err)
		}
	}
	return nil
}

func validJobs(in lockstep.Instance) error {
	for i, j := range in.Jobs {
		if err := lockstep.CheckName("job", j.Name); err != nil {
			return fmt.Errorf("instance %s: %w", in.Name(), err)
		}
		if i > 0 && in.Jobs[i-1].Name == j.Name {
			return fmt.Errorf("instance %s: two jobs named %s", in.Name(), j.Name)
		}
		kinds := map[lockstep.ScriptKind]bool{}
		for _, s := range j.Scripts {
			if kinds[s.Kind] {
				return fmt.Errorf("%v: two %s scripts", member{in, j}, s.Kind)
			}
			kinds[s.Kind] = true
		}
	}
	return nil
}

func invalid(err error) error {
	return &lockstep.Error{Kind: lockstep.KindInvalid, Op: "plan", Err: err}
}

func refused(err error, hint string) error {
	return &lockstep.Error{Kind: lockstep.KindRefused, Op: "plan", Err: err, Hint: hint}
}

// on lists instances in a sentence: the first three, and how many more.
func on(names []string) string {
	const most = 3
	if len(names) > most+1 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
	}
	return strings.Join(names, ", ")
}
