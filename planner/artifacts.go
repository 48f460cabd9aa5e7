package planner

import (
	"fmt"
	"strings"

	"lockstep"
)

// nameArtifacts gives each of these members its artifact, in their order. Two
// names that differ in case only collide too: the repository may lie on a file
// system that cannot tell them apart.
func (d *draft) nameArtifacts(work []member) error {
	taken, dirs := map[string]member{}, map[string]member{}
	for _, m := range work {
		a := artifactOf(m)
		if err := lockstep.CheckName("artifact", a.Name); err != nil {
			return refused(fmt.Errorf("%v: %w", m, err), "give the instance group or the job a shorter or plainer name")
		}
		if other, clash := taken[strings.ToLower(a.Name)]; clash {
			if !d.plan.Policy.RenameCollisions {
				return refused(fmt.Errorf("artifact name %s: wanted by %v and by %v", a.Name, other, m), collisionHint(a))
			}
			d.rename(&a, m, taken)
		}
		taken[strings.ToLower(a.Name)] = m
		dir := string(m.instance.Name()) + "/" + a.Dir
		if other, clash := dirs[dir]; clash {
			return refused(fmt.Errorf("artifact folder %s: wanted by %v and by %v", a.Dir, other, m), collisionHint(a))
		}
		dirs[dir] = m
		d.plan.Artifacts = append(d.plan.Artifacts, a)
	}
	return nil
}

// artifactOf is the artifact of a member under its usual name.
func artifactOf(m member) lockstep.PlannedArtifact {
	a := lockstep.PlannedArtifact{Slot: m.slot(), Instance: m.instance.Name()}
	if custom := m.job.CustomArtifact; custom != "" {
		a.Name, a.Dir, a.Custom = custom, custom, true
		return a
	}
	a.Name = fmt.Sprintf("%s-%s-%s", m.instance.Group, m.instance.Index, m.job.Name)
	a.Dir = m.job.Name
	return a
}

// rename finds a free name for an artifact whose name is taken.
func (d *draft) rename(a *lockstep.PlannedArtifact, m member, taken map[string]member) {
	name := a.Name
	for n := 2; ; n++ {
		a.Name = fmt.Sprintf("%s.%d", name, n)
		if _, clash := taken[strings.ToLower(a.Name)]; !clash {
			break
		}
	}
	d.warn(fmt.Sprintf("artifact name %s is wanted by %v and by %v: the latter is kept as %s, which the original program cannot read",
		name, taken[strings.ToLower(name)], m, a.Name))
}

func collisionHint(a lockstep.PlannedArtifact) string {
	if a.Custom {
		return "let the job be backed up once for all its instances in one instance group only"
	}
	return "rename one of the instance groups or jobs"
}
