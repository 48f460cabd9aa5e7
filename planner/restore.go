package planner

import (
	"fmt"
	"slices"
	"strings"

	"lockstep"
)

// RestoreOptions are what a restore's plan needs beside deployment and policy.
type RestoreOptions struct {
	// Backup is the manifest of what is restored.
	Backup lockstep.Backup
	// Request narrows and permits: Jobs, Instances, From, Map,
	// AllowIncomplete and Proven are read.
	Request lockstep.Request
	// Silent are instances at which nobody answers, as they were found the last time.
	// Their jobs count for the lock order alone; one that the restore needs is
	// KindRefused.
	Silent []lockstep.Instance
}

// Restore plans a restore: check, read, place, lock, work, unlock, clean. What
// can be proven on its way to the one instance where it goes is not read before;
// neither is a backup that was proven a moment ago.
//
// Every artifact goes to its slot, or to where Request.Map says. An artifact
// without an instance to go to, and a restore script without an artifact, are
// KindRefused, as are another deployment's backup without From and an
// incomplete one without AllowIncomplete; with it, jobs whose artifact the
// backup says it lacks are left as they are. An artifact whose job has no
// restore script is not read; a warning says so.
//
// A narrowed restore (Jobs, Instances) places and restores less, but still
// locks every job: what stays must not be used while something beside it is
// replaced. An instance that it does not need (RestoreOptions.Needs) is not in the
// plan. A name that it does not find is KindNotFound.
//
// With Policy.AnyBackup neither the deployment nor the state of the backup is
// judged: places alone must match.
func Restore(d lockstep.Deployment, p lockstep.Policy, o RestoreOptions) (lockstep.Plan, error) {
	d.Instances = append(slices.Clone(d.Instances), o.Silent...)
	dr, err := newDraft(d, p, lockstep.OperationRestore, restoring)
	if err != nil {
		return lockstep.Plan{}, err
	}
	dr.plan.Backup = o.Backup.ID
	if err := dr.restorable(); err != nil {
		return lockstep.Plan{}, err
	}
	if err := dr.permit(o); err != nil {
		return lockstep.Plan{}, err
	}
	work, err := dr.match(o)
	if err != nil {
		return lockstep.Plan{}, err
	}
	if err := dr.narrow(o); err != nil {
		return lockstep.Plan{}, err
	}
	dr.restore(work, o)
	if err := dr.executable(dr.planned()); err != nil {
		return lockstep.Plan{}, err
	}
	return dr.plan, nil
}

// restorable refuses a deployment without restore scripts, or with one that
// relies on names that no longer have an effect.
func (d *draft) restorable() error {
	scripts := false
	for _, in := range d.instances {
		members := membersOf([]lockstep.Instance{in})
		ships := slices.ContainsFunc(members, func(m member) bool { return m.has(lockstep.ScriptRestore) })
		old := slices.ContainsFunc(members, func(m member) bool { return m.job.Metadata.DiscontinuedRestoreName })
		if ships && old {
			return refused(fmt.Errorf("discontinued metadata keys backup_name/restore_name found on instance %s. bbr cannot restore this backup artifact.", in.Group),
				"take restore_name out of the job's metadata")
		}
		scripts = scripts || ships
	}
	if !scripts {
		return refused(fmt.Errorf("Deployment '%s' has no restore scripts", d.plan.Deployment),
			fmt.Sprintf("look whether the jobs are deployed and ship scripts in %s", d.plan.Locations.Scripts))
	}
	return nil
}

// permit refuses a backup that is not this deployment's, or not whole, unless
// the request says that this is known.
func (d *draft) permit(o RestoreOptions) error {
	b, req := o.Backup, o.Request
	if b.Data == lockstep.DataUnproven {
		d.warn(fmt.Sprintf("backup %s was not made by this program: nothing proves that it is whole", b.ID))
	}
	incomplete := b.Data != lockstep.DataVerified && b.Data != lockstep.DataUnproven
	if incomplete && (req.AllowIncomplete || d.plan.Policy.AnyBackup) {
		d.warn(fmt.Sprintf("backup %s is %s: %s", b.ID, b.Data, shortcomings(b)))
		incomplete = false
	}
	if incomplete {
		hint := "restore a verified backup, or add --allow-incomplete"
		if b.Data == lockstep.DataDamaged {
			hint = fmt.Sprintf("restore a verified backup; if it was mended, `lockstep backups verify %s` says so; jobs whose artifacts are whole can be restored with --job and --allow-incomplete", b.ID)
		}
		return refused(fmt.Errorf("backup %s is %s: %s", b.ID, b.Data, shortcomings(b)), hint)
	}
	if d.plan.Policy.AnyBackup {
		return nil
	}
	switch {
	case req.From != "" && req.From != b.Deployment:
		return refused(fmt.Errorf("backup %s is of deployment %s, not of %s", b.ID, b.Deployment, req.From), "--from "+b.Deployment)
	case req.From != "":
		return nil
	case b.Deployment != d.plan.Deployment:
		return refused(fmt.Errorf("backup %s is of deployment %s, not of %s", b.ID, b.Deployment, d.plan.Deployment),
			fmt.Sprintf("if this is meant, add --from %s", b.Deployment))
	case b.Key != "" && b.Key != d.plan.Key:
		return refused(fmt.Errorf("backup %s is of another deployment named %s: %s, while this one is %s", b.ID, b.Deployment, b.Key, d.plan.Key),
			fmt.Sprintf("if this is meant, for example because it was built anew elsewhere, add --from %s", b.Deployment))
	}
	return nil
}

// shortcomings say what an incomplete backup lacks, and why.
func shortcomings(b lockstep.Backup) string {
	var parts []string
	for _, s := range b.Missing {
		parts = append(parts, "missing "+s.String())
	}
	parts = append(append(parts, b.Suspect...), b.Reasons...)
	if len(parts) == 0 {
		return "it does not say why"
	}
	return strings.Join(parts, "; ")
}

// restore adds all stages for the members to restore, which stand beside their
// artifacts.
func (d *draft) restore(work []member, o RestoreOptions) {
	d.check(false)
	places := map[string]int{} // how many each artifact has
	for i := range work {
		places[d.plan.Artifacts[i].Name]++
	}
	var reads, transfers, scripts []lockstep.Step
	last := map[string]lockstep.StepID{} // by job: whom the next one waits for
	for i, m := range work {
		a := d.plan.Artifacts[i]
		place := transfer(m, "place", a)
		kept, _ := o.Backup.Named(a.Name)
		place.Proven = o.Request.Proven
		if !place.Proven && (kept.Digest == "" || places[a.Name] > 1) {
			place.Of = lockstep.StepID("repository/" + a.Name + "/read")
			if !slices.ContainsFunc(reads, func(s lockstep.Step) bool { return s.ID == place.Of }) {
				reads = append(reads, lockstep.Step{ID: place.Of, Artifact: a.Name, Timeout: transferTimeout})
			}
		}
		transfers = append(transfers, place)
		script := d.worked(m, a)
		if !m.job.Metadata.RestoreParallel {
			script.After = last[m.job.Name]
			last[m.job.Name] = script.ID
		}
		scripts = append(scripts, script)
	}
	d.wave(lockstep.StageRead, reads)
	d.wave(lockstep.StagePlace, transfers)
	d.confirm()
	d.lock()
	d.wave(lockstep.StageWork, scripts)
	if !d.plan.Policy.LockFree {
		d.unlock()
	}
	d.clean()
}

// mismatch refuses a backup that does not fit, with all reasons at once.
func (d *draft) mismatch(reasons []string) error {
	hint := "restore a part with --job or --instance, or say where artifacts go with --map OLDGROUP/INDEX=NEWGROUP/INDEX"
	if d.plan.Policy.AnyBackup {
		hint = "" // it has no such options
	}
	return refused(fmt.Errorf("Deployment '%s' does not match the structure of the provided backup: %s",
		d.plan.Deployment, strings.Join(reasons, "; ")), hint)
}
