package planner

import (
	"fmt"

	"lockstep"
)

// BackupOptions are what a backup's plan needs beside deployment and policy.
type BackupOptions struct {
	// ID is what the backup will be called. It is not part of the plan's digest.
	ID lockstep.BackupID
}

// Backup plans a backup: check, lock, work, unlock, collect, verify, commit,
// clean. A deployment with nothing to back up, artifact names that collide and
// scripts that nobody may execute are KindRefused, a cyclic lock order and a
// malformed deployment KindInvalid.
func Backup(d lockstep.Deployment, p lockstep.Policy, o BackupOptions) (lockstep.Plan, error) {
	dr, work, err := draftBackup(d, p, lockstep.OperationBackup)
	if err != nil {
		return lockstep.Plan{}, err
	}
	dr.plan.Backup = o.ID
	dr.check(true)
	if p.BeginLate {
		dr.wave(lockstep.StageCheck, []lockstep.Step{{ID: lockstep.StepBegin, Timeout: briefTimeout}})
	}
	dr.confirm()
	dr.lock()
	var scripts, collects, verifies []lockstep.Step
	for i, m := range work {
		a := dr.plan.Artifacts[i]
		collect, verify := transfer(m, "collect", a), transfer(m, "verify", a)
		verify.Of = collect.ID
		scripts = append(scripts, dr.worked(m, a))
		collects, verifies = append(collects, collect), append(verifies, verify)
	}
	dr.wave(lockstep.StageWork, scripts)
	if !p.LockFree {
		dr.unlock()
	}
	dr.wave(lockstep.StageCollect, collects)
	dr.wave(lockstep.StageVerify, verifies)
	dr.wave(lockstep.StageCommit, []lockstep.Step{{ID: "repository/commit", Timeout: briefTimeout}})
	dr.clean()
	if err := dr.executable(dr.planned()); err != nil {
		return lockstep.Plan{}, err
	}
	return dr.plan, nil
}

// Check plans the question whether the deployment can be backed up now. It
// fails wherever Backup does; its plan names the artifacts that a backup would
// yield, and its steps only look.
func Check(d lockstep.Deployment, p lockstep.Policy) (lockstep.Plan, error) {
	dr, _, err := draftBackup(d, p, lockstep.OperationCheck)
	if err != nil {
		return lockstep.Plan{}, err
	}
	dr.check(true)
	dr.clean()
	if err := dr.executable(dr.all()); err != nil {
		return lockstep.Plan{}, err
	}
	return dr.plan, nil
}

// draftBackup is the part that a backup and a check have in common. The
// members returned are those with a backup script, beside their artifacts.
func draftBackup(d lockstep.Deployment, p lockstep.Policy, op lockstep.Operation) (*draft, []member, error) {
	dr, err := newDraft(d, p, op, backingUp)
	if err != nil {
		return nil, nil, err
	}
	var work []member
	for _, m := range dr.members {
		if m.has(lockstep.ScriptBackup) {
			work = append(work, m)
		}
	}
	if len(work) == 0 {
		return nil, nil, refused(fmt.Errorf("Deployment '%s' has no backup scripts", d.Name),
			fmt.Sprintf("look whether the jobs are deployed and ship scripts in %s", d.Locations.Scripts))
	}
	if err := dr.nameArtifacts(work); err != nil {
		return nil, nil, err
	}
	dr.warnOfRestore()
	return dr, work, nil
}

// warnOfRestore tells of what will make a restore of this backup fail, or be
// other than its jobs' authors think.
func (d *draft) warnOfRestore() {
	d.warnOf(func(m member) bool {
		return m.has(lockstep.ScriptRestore) && !m.has(lockstep.ScriptBackup) && m.job.RestoresFrom == ""
	}, "ships a restore script but no backup script: there will be nothing to restore it from")
	old := func(m member) bool { return m.job.Metadata.DiscontinuedBackupName }
	if !d.plan.Policy.ContractWords {
		d.warnOf(old, "uses the discontinued metadata key backup_name: it is ignored, the artifact has its usual name")
	}
	for _, m := range d.members {
		if old(m) && d.plan.Policy.ContractWords {
			d.warn(fmt.Sprintf("discontinued metadata keys backup_name/restore_name found in job %s. bbr will not be able to restore this backup artifact.", m.job.Name))
		}
	}
	if o := orderOf(d.members, restoring.requests); o.cycle != nil {
		d.warn(fmt.Sprintf("a restore will be refused: %v", o.cycleError(restoring.during)))
	}
}
