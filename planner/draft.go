package planner

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"lockstep"
)

// Bounds of the steps that are ours. A transfer may move terabytes over a slow
// link and shows its progress, so its bound only ends what is truly dead;
// checks and removals take seconds.
const (
	transferTimeout = 24 * time.Hour
	briefTimeout    = 10 * time.Minute
)

// kinds are the scripts of the three stages of a backup or a restore.
type kinds struct {
	during             string
	lock, work, unlock lockstep.ScriptKind
	requests           func(lockstep.Job) []lockstep.JobRef
}

var (
	backingUp = kinds{
		"backup", lockstep.ScriptPreBackupLock, lockstep.ScriptBackup, lockstep.ScriptPostBackupUnlock,
		func(j lockstep.Job) []lockstep.JobRef { return j.Metadata.BackupBefore },
	}
	restoring = kinds{
		"restore", lockstep.ScriptPreRestoreLock, lockstep.ScriptRestore, lockstep.ScriptPostRestoreUnlock,
		func(j lockstep.Job) []lockstep.JobRef { return j.Metadata.RestoreBefore },
	}
)

// draft is a plan in the making.
type draft struct {
	plan      lockstep.Plan
	kinds     kinds
	instances []lockstep.Instance
	members   []member
	order     order
}

// newDraft validates the deployment and finds its lock order; a cyclic one is
// an error, except for a cleanup.
func newDraft(d lockstep.Deployment, p lockstep.Policy, op lockstep.Operation, k kinds) (*draft, error) {
	cleanup := op == lockstep.OperationCleanup
	dr := &draft{kinds: k, instances: sortedInstances(d)}
	if err := validate(dr.instances, !cleanup); err != nil {
		return nil, err
	}
	dr.members = membersOf(dr.instances)
	dr.plan = lockstep.Plan{
		Operation: op, Deployment: d.Name, Key: d.Key, Locations: d.Locations, Policy: p,
		Instances: []lockstep.Instance{}, Waves: []lockstep.Wave{}, Warnings: slices.Clone(d.Warnings),
	}
	for _, in := range dr.instances {
		in.Jobs = nil
		dr.plan.Instances = append(dr.plan.Instances, in)
	}
	dr.order = orderOf(dr.members, k.requests)
	if dr.order.cycle != nil && !cleanup {
		return nil, dr.order.cycleError(k.during)
	}
	dr.plan.Order = dr.order.edges
	dr.warn(dr.order.absentWarnings(dr.members, k.during)...)
	return dr, nil
}

func (d *draft) warn(sentences ...string) {
	for _, s := range sentences {
		if !slices.Contains(d.plan.Warnings, s) {
			d.plan.Warnings = append(d.plan.Warnings, s)
		}
	}
}

// warnOf says the same of all members for which it holds, in one sentence per
// job.
func (d *draft) warnOf(holds func(member) bool, says string) {
	where := map[string][]string{}
	for _, m := range d.members {
		if holds(m) {
			where[m.job.Name] = append(where[m.job.Name], string(m.instance.Name()))
		}
	}
	for _, job := range slices.Sorted(maps.Keys(where)) {
		d.warn(fmt.Sprintf("job %s on %s %s", job, on(where[job]), says))
	}
}

// wave adds a wave of that stage; nothing for no steps.
func (d *draft) wave(stage lockstep.Stage, steps []lockstep.Step) {
	if len(steps) == 0 {
		return
	}
	number := 1
	for _, w := range d.plan.Waves {
		if w.Stage == stage {
			number++
		}
	}
	for i := range steps {
		steps[i].Stage, steps[i].Wave = stage, number
	}
	d.plan.Waves = append(d.plan.Waves, lockstep.Wave{Stage: stage, Number: number, Steps: steps})
}

// each makes one step of ours per instance, named after the stage.
func (d *draft) each(stage lockstep.Stage) []lockstep.Step {
	var steps []lockstep.Step
	for _, in := range d.instances {
		steps = append(steps, lockstep.Step{
			ID: stepID(in, string(stage)), Instance: in.Name(), Timeout: briefTimeout,
		})
	}
	return steps
}

// check adds the check stage. Every instance of the plan takes part, those without
// jobs too: each is claimed, so that no other run can use it. A backup needs space
// in the repository as well.
func (d *draft) check(repository bool) {
	steps := d.each(lockstep.StageCheck)
	if repository {
		steps = append(steps, lockstep.Step{ID: "repository/check", Timeout: briefTimeout})
	}
	d.wave(lockstep.StageCheck, steps)
}

// confirm adds the last check before the first lock: that the list of instances
// is still the same. A restore may have placed artifacts for hours by then.
func (d *draft) confirm() {
	if d.plan.Policy.ConfirmInstances {
		d.wave(lockstep.StageCheck, []lockstep.Step{{ID: lockstep.StepInstances, Timeout: briefTimeout}})
	}
}

// lock adds the lock waves, unless the policy is lock free.
func (d *draft) lock() {
	if d.plan.Policy.LockFree {
		d.warn("lock-free: no lock and no unlock script is run, so the jobs' data may not fit together")
		return
	}
	for _, level := range d.order.levels {
		d.wave(lockstep.StageLock, d.scripts(level, d.kinds.lock))
	}
	d.warnOf(func(m member) bool { return m.has(d.kinds.lock) && !m.has(d.kinds.unlock) },
		fmt.Sprintf("ships a %s script but no %s script: nothing unlocks it", d.kinds.lock, d.kinds.unlock))
}

// unlock adds the unlock waves, in the reverse of the lock order. An unlock
// step answers the lock step of its member where the plan has one.
func (d *draft) unlock() {
	locks := map[lockstep.StepID]bool{}
	for _, s := range d.plan.Steps(lockstep.StageLock) {
		locks[s.ID] = true
	}
	for _, level := range slices.Backward(d.order.levels) {
		steps := d.scripts(level, d.kinds.unlock)
		for i, s := range steps {
			lock := s.Instance + lockstep.InstanceID("/"+s.Job()+"/"+string(d.kinds.lock))
			if locks[lockstep.StepID(lock)] {
				steps[i].Of = lockstep.StepID(lock)
			}
		}
		d.wave(lockstep.StageUnlock, steps)
	}
}

// clean adds the clean stage.
func (d *draft) clean() { d.wave(lockstep.StageClean, d.each(lockstep.StageClean)) }

// scripts are the steps of the members that ship a script of that kind.
func (d *draft) scripts(members []member, kind lockstep.ScriptKind) []lockstep.Step {
	var steps []lockstep.Step
	for _, m := range members {
		if m.has(kind) {
			steps = append(steps, d.script(m, kind))
		}
	}
	return steps
}

func (d *draft) script(m member, kind lockstep.ScriptKind) lockstep.Step {
	s, _ := m.job.Script(kind)
	timeout := m.job.Metadata.ScriptTimeout
	if timeout == 0 {
		timeout = d.plan.Policy.ScriptTimeout
	}
	return lockstep.Step{
		ID:       stepID(m.instance, m.job.Name, string(kind)),
		Instance: m.instance.Name(), Slot: m.slot(), Script: &s, Timeout: timeout,
	}
}

// worked is the script that makes or restores an artifact: it is told where
// that lies.
func (d *draft) worked(m member, a lockstep.PlannedArtifact) lockstep.Step {
	s := d.script(m, d.kinds.work)
	dir := d.plan.Locations.ArtifactDir(a.Dir)
	s.Artifact = a.Name
	s.Env = []string{lockstep.EnvLegacyArtifactDir + "=" + dir, lockstep.EnvArtifactDirectory + "=" + dir}
	return s
}

// transfer is a step of ours that moves or proves the artifact of a member. One
// that nothing is restored from, because its job is backed up once for all
// instances, may be empty.
func transfer(m member, what string, a lockstep.PlannedArtifact) lockstep.Step {
	return lockstep.Step{
		ID:       stepID(m.instance, m.job.Name, what),
		Instance: m.instance.Name(), Slot: a.Slot, Artifact: a.Name, Timeout: transferTimeout,
		MayBeEmpty: m.job.Metadata.MayBeEmpty || m.job.RestoresFrom != "" && !a.Custom,
	}
}

func stepID(in lockstep.Instance, rest ...string) lockstep.StepID {
	id := string(in.Name())
	for _, r := range rest {
		id += "/" + r
	}
	return lockstep.StepID(id)
}
