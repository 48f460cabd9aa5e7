package engine_test

import (
	"strconv"

	"lockstep"
	"lockstep/planner"
)

// planned is the plan that the planner makes for what was found, nil where it
// refuses to make one: then the scenario lays one out itself, which no refusal
// narrows.
func (s *scenario) planned(op lockstep.Operation, policy lockstep.Policy) *lockstep.Plan {
	d := s.found
	var plan lockstep.Plan
	var err error
	switch op {
	case lockstep.OperationBackup:
		plan, err = planner.Backup(d, policy, planner.BackupOptions{ID: "shop_20260101T000000Z"})
	case lockstep.OperationRestore:
		plan, err = planner.Restore(d, policy, planner.RestoreOptions{Backup: s.manifest(d, policy)})
	case lockstep.OperationCheck:
		plan, err = planner.Check(d, policy)
	case lockstep.OperationCleanup:
		plan, err = planner.Cleanup(d, policy, planner.CleanupOptions{})
	case lockstep.OperationPlan:
	}
	if err != nil || len(plan.Waves) == 0 || len(plan.Instances) == 0 {
		return nil
	}
	return &plan
}

// deployment is what discovery would find of those sites.
func (s *scenario) deployment(sites []site) lockstep.Deployment {
	d := lockstep.Deployment{Name: "shop", Key: "file:shop", Locations: lockstep.DefaultLocations()}
	for i, st := range sites {
		if i == 0 || sites[i-1].in.Name() != st.in.Name() {
			d.Instances = append(d.Instances, st.in)
		}
		in := &d.Instances[len(d.Instances)-1]
		in.Jobs = append(in.Jobs, s.shipped(st))
	}
	return d
}

func (s *scenario) shipped(st site) lockstep.Job {
	j := lockstep.Job{Name: st.name()}
	ships := map[lockstep.ScriptKind]bool{
		lockstep.ScriptPreBackupLock: st.lock, lockstep.ScriptPreRestoreLock: st.lock,
		lockstep.ScriptBackup: st.work, lockstep.ScriptRestore: st.work,
		lockstep.ScriptPostBackupUnlock: st.unlock, lockstep.ScriptPostRestoreUnlock: st.unlock,
	}
	for _, kind := range lockstep.ScriptKinds() {
		if ships[kind] {
			j.Scripts = append(j.Scripts, lockstep.Script{Kind: kind, Path: "/var/vcap/jobs/" + st.name() + "/bin/bbr/" + string(kind), Digest: "00"})
		}
	}
	for other := range 4 {
		if s.level(st.job) < s.level(other) && s.chance(0.7, "before", st.job, other) {
			ref := lockstep.JobRef{Job: "job" + strconv.Itoa(other)}
			j.Metadata.BackupBefore = append(j.Metadata.BackupBefore, ref)
			j.Metadata.RestoreBefore = append(j.Metadata.RestoreBefore, ref)
		}
	}
	return j
}

// manifest is that of a backup of the deployment.
func (s *scenario) manifest(d lockstep.Deployment, policy lockstep.Policy) lockstep.Backup {
	b := lockstep.Backup{V: 1, ID: "shop_20260101T000000Z", Deployment: d.Name, Key: d.Key, Data: lockstep.DataVerified}
	plan, err := planner.Backup(d, policy, planner.BackupOptions{ID: b.ID})
	if err != nil {
		return b
	}
	for _, a := range plan.Artifacts {
		b.Artifacts = append(b.Artifacts, lockstep.Artifact{Slot: a.Slot, Instance: a.Instance, Name: a.Name, Entries: 3})
	}
	return b
}
