package planner

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"lockstep"
)

// match finds the artifact of each restore script that is to run, and returns
// the members in the order of the plan's artifacts.
func (d *draft) match(o RestoreOptions) ([]member, error) {
	chosen, err := d.choose(o.Request)
	if err != nil {
		return nil, err
	}
	moved, err := d.move(o.Backup, o.Request)
	if err != nil {
		return nil, err
	}
	reasons := d.placeless(moved, o.Request)
	work := d.supply(chosen, moved, o, &reasons)
	if len(reasons) > 0 {
		return nil, d.mismatch(reasons)
	}
	if len(work) == 0 {
		return nil, refused(fmt.Errorf("backup %s: none of its artifacts is for a job to restore", o.Backup.ID), "lockstep backups show "+string(o.Backup.ID))
	}
	if !o.Request.Partial() {
		d.warnUnread(chosen, moved)
	}
	return work, nil
}

// choose are the members with a restore script that the request does not
// exclude.
func (d *draft) choose(req lockstep.Request) ([]member, error) {
	instances, err := d.chooseInstances(req.Instances)
	if err != nil {
		return nil, err
	}
	known := map[string]bool{}
	for _, m := range d.members {
		if m.has(lockstep.ScriptRestore) {
			known[m.job.Name] = true
		}
	}
	for _, j := range req.Jobs {
		if !known[j] {
			return nil, unknown("job with a restore script", j, slices.Sorted(maps.Keys(known)))
		}
	}
	var out []member
	for _, m := range d.members {
		here := len(req.Instances) == 0 || instances[m.instance.Name()]
		this := len(req.Jobs) == 0 || slices.Contains(req.Jobs, m.job.Name)
		if here && this && m.has(lockstep.ScriptRestore) {
			out = append(out, m)
		}
	}
	d.plan.Partial = req.Partial()
	if len(out) == 0 {
		return nil, refused(fmt.Errorf("no restore script is left: %s on %s",
			strings.Join(req.Jobs, ", "), joinIDs(req.Instances)), "name fewer jobs or instances")
	}
	return out, nil
}

// chooseInstances finds instances by id, or by index where no id is meant.
func (d *draft) chooseInstances(ids []lockstep.InstanceID) (map[lockstep.InstanceID]bool, error) {
	names, byPlace := map[lockstep.InstanceID]bool{}, map[string]lockstep.InstanceID{}
	var known []string
	for _, in := range d.instances {
		names[in.Name()] = true
		byPlace[in.Group+"/"+in.Index] = in.Name()
		known = append(known, string(in.Name()))
	}
	out := map[lockstep.InstanceID]bool{}
	for _, id := range ids {
		place, ok := byPlace[string(id)]
		switch {
		case names[id]:
			out[id] = true
		case ok:
			out[place] = true
		default:
			return nil, unknown("instance", string(id), known)
		}
	}
	return out, nil
}

func unknown(what, name string, known []string) error {
	return &lockstep.Error{
		Kind: lockstep.KindNotFound, Op: "plan",
		Err:  fmt.Errorf("no %s is named %s", what, name),
		Hint: "there are: " + strings.Join(known, ", "),
	}
}

func joinIDs(ids []lockstep.InstanceID) string {
	if len(ids) == 0 {
		return "any instance"
	}
	var names []string
	for _, id := range ids {
		names = append(names, string(id))
	}
	return strings.Join(names, ", ")
}

// moving is a backup's artifacts by where they go.
type moving struct {
	bySlot map[lockstep.Slot]lockstep.Artifact // without the custom ones
	slots  []lockstep.Slot                     // the keys of bySlot, in the backup's order
	custom []lockstep.Artifact
	lacks  []lockstep.Slot // those the backup says it lacks
}

// move applies the request's map to the backup's slots. A name in it that does
// not exist, and two artifacts that would go to one slot, are errors.
func (d *draft) move(b lockstep.Backup, req lockstep.Request) (moving, error) {
	if err := d.checkMap(b, req.Map); err != nil {
		return moving{}, err
	}
	to := func(s lockstep.Slot) lockstep.Slot {
		if place, ok := req.Map[s.Group+"/"+s.Index]; ok {
			s.Group, s.Index, _ = strings.Cut(place, "/")
		}
		return s
	}
	out := moving{bySlot: map[lockstep.Slot]lockstep.Artifact{}}
	for _, a := range b.Artifacts {
		slot := to(a.Slot)
		if a.Custom {
			a.Slot = slot
			out.custom = append(out.custom, a)
			continue
		}
		if other, clash := out.bySlot[slot]; clash {
			return moving{}, refused(fmt.Errorf("artifacts %s and %s both go to %s", other.Name, a.Name, slot),
				"give each a place of its own with --map OLDGROUP/INDEX=NEWGROUP/INDEX")
		}
		out.bySlot[slot] = a
		out.slots = append(out.slots, slot)
	}
	for _, s := range b.Missing {
		out.lacks = append(out.lacks, to(s))
	}
	return out, nil
}

func (d *draft) checkMap(b lockstep.Backup, m map[string]string) error {
	from, to := map[string]bool{}, map[string]bool{}
	for _, a := range b.Artifacts {
		from[a.Group+"/"+a.Index] = true
	}
	for _, s := range b.Missing {
		from[s.Group+"/"+s.Index] = true
	}
	for _, in := range d.instances {
		to[in.Group+"/"+in.Index] = true
	}
	for _, old := range slices.Sorted(maps.Keys(m)) {
		if !from[old] {
			return unknown("place in the backup (GROUP/INDEX)", old, slices.Sorted(maps.Keys(from)))
		}
		if !to[m[old]] {
			return unknown("place in the deployment (GROUP/INDEX)", m[old], slices.Sorted(maps.Keys(to)))
		}
	}
	return nil
}

// placeless says which artifacts have no instance to go to, those left aside
// that the request excludes.
func (d *draft) placeless(mv moving, req lockstep.Request) []string {
	places := map[string]bool{}
	for _, in := range d.instances {
		places[in.Group+"/"+in.Index] = true
	}
	var out []string
	for _, s := range mv.slots {
		excluded := len(req.Instances) > 0 || len(req.Jobs) > 0 && !slices.Contains(req.Jobs, s.Job)
		if !excluded && !places[s.Group+"/"+s.Index] {
			out = append(out, fmt.Sprintf("artifact %s: there is no instance with index %s in group %s", mv.bySlot[s].Name, s.Index, s.Group))
		}
	}
	return out
}

// supply plans the artifact of each chosen member. A member whose artifact the
// backup says it lacks is left out where the request allows that; any other
// one without an artifact is a reason to refuse.
func (d *draft) supply(chosen []member, mv moving, o RestoreOptions, reasons *[]string) []member {
	var work []member
	for _, m := range chosen {
		a, ok := mv.artifactFor(m)
		switch {
		case ok:
			planned := lockstep.PlannedArtifact{Slot: m.slot(), Instance: m.instance.Name(), Name: a.Name, Dir: m.job.Name, Digest: cmp.Or(a.Digest, a.Checksums)}
			if a.Custom {
				planned.Dir, planned.Custom = m.job.RestoresFrom, true
			}
			d.plan.Artifacts = append(d.plan.Artifacts, planned)
			work = append(work, m)
		case o.Request.AllowIncomplete && mv.lacking(m):
			d.plan.Partial = true
			d.warn(fmt.Sprintf("%v is not restored: the backup has no artifact for it", m))
		default:
			*reasons = append(*reasons, fmt.Sprintf("%v has a restore script, but the backup has no artifact for %s", m, wanted(m)))
		}
	}
	return work
}

// lacking reports whether the backup itself says that it lacks the artifact of
// that member.
func (mv moving) lacking(m member) bool {
	return slices.ContainsFunc(mv.lacks, func(s lockstep.Slot) bool {
		once := m.job.RestoresFrom != "" && s.Group == m.instance.Group && s.Job == m.job.Name
		return once || s == m.slot()
	})
}

func wanted(m member) string {
	if m.job.RestoresFrom != "" {
		return "it named " + m.job.RestoresFrom
	}
	return m.slot().String()
}

// artifactFor finds what a member is restored from: the custom artifact of its
// job, in its own group if there are several, where the job is backed up once
// for all its instances; else the artifact of its slot.
func (mv moving) artifactFor(m member) (lockstep.Artifact, bool) {
	if m.job.RestoresFrom == "" {
		a, ok := mv.bySlot[m.slot()]
		return a, ok
	}
	for _, a := range mv.custom {
		if a.Group == m.instance.Group && a.Job == m.job.Name {
			return a, true
		}
	}
	for _, a := range mv.custom {
		if a.Name == m.job.RestoresFrom {
			return a, true
		}
	}
	return lockstep.Artifact{}, false
}

// warnUnread tells of artifacts that stay in the repository although nothing
// excluded them, because no restore script asks for them.
func (d *draft) warnUnread(chosen []member, mv moving) {
	used := map[string]bool{}
	for _, a := range d.plan.Artifacts {
		used[a.Name] = true
	}
	once := map[lockstep.Slot]bool{} // restored from a custom artifact instead
	for _, m := range chosen {
		once[m.slot()] = m.job.RestoresFrom != ""
	}
	for _, s := range mv.slots {
		if a := mv.bySlot[s]; !used[a.Name] && !once[s] {
			d.warn(fmt.Sprintf("artifact %s is not restored: no job %s with a restore script is on the instance with index %s of group %s", a.Name, s.Job, s.Index, s.Group))
		}
	}
	for _, a := range mv.custom {
		if !used[a.Name] {
			d.warn(fmt.Sprintf("artifact %s is not restored: no job with a restore script asks for it", a.Name))
		}
	}
}
