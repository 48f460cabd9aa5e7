package planner

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"lockstep"
)

// deployments generates small deployments whose lock orders are often
// interesting and seldom cyclic: a job asks mostly for jobs behind it.
func deployments(t *rapid.T) lockstep.Deployment {
	d := lockstep.Deployment{Name: "shop", Key: "spec:shop", Locations: lockstep.DefaultLocations()}
	names := []string{"a", "b", "c", "d", "e", "absent"}
	for g := range rapid.IntRange(1, 3).Draw(t, "groups") {
		for i := range rapid.IntRange(1, 3).Draw(t, "instances") {
			in := lockstep.Instance{Group: fmt.Sprintf("g%d", g), ID: fmt.Sprintf("id%d", i), Index: fmt.Sprint(i), Address: "10.0.0.1"}
			for n, job := range names[:5] {
				if rapid.Bool().Draw(t, "has "+job) {
					in.Jobs = append(in.Jobs, jobs(t, job, names[n+1:]))
				}
			}
			d.Instances = append(d.Instances, in)
		}
	}
	return d
}

func jobs(t *rapid.T, name string, later []string) lockstep.Job {
	j := lockstep.Job{Name: name, Release: rapid.SampledFrom([]string{"", "r1", "r2"}).Draw(t, "release")}
	for _, kind := range lockstep.ScriptKinds() {
		if rapid.IntRange(0, 3).Draw(t, string(kind)) > 0 {
			j.Scripts = append(j.Scripts, lockstep.Script{Kind: kind, Path: "/jobs/" + name + "/" + string(kind), Digest: name + string(kind)})
		}
	}
	refs := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) lockstep.JobRef {
		return lockstep.JobRef{
			Job:     rapid.SampledFrom(later).Draw(t, "later"),
			Release: rapid.SampledFrom([]string{"", "r1", "r2"}).Draw(t, "release"),
		}
	}), 0, 2)
	j.Metadata.BackupBefore, j.Metadata.RestoreBefore = refs.Draw(t, "before"), refs.Draw(t, "restore before")
	j.Metadata.RestoreParallel = rapid.Bool().Draw(t, "parallel")
	if rapid.IntRange(0, 40).Draw(t, "loop") == 0 {
		j.Metadata.BackupBefore = append(j.Metadata.BackupBefore, lockstep.JobRef{Job: "a"})
	}
	return j
}

// someBackup is the manifest of a backup that fits the deployment.
func someBackup(d lockstep.Deployment) lockstep.Backup {
	b := lockstep.Backup{ID: "shop_1", Deployment: d.Name, Key: d.Key, Data: lockstep.DataVerified}
	for _, m := range membersOf(sortedInstances(d)) {
		if a := artifactOf(m); m.has(lockstep.ScriptRestore) {
			b.Artifacts = append(b.Artifacts, lockstep.Artifact{Slot: a.Slot, Name: a.Name})
		}
	}
	return b
}

// plans are the plans of all operations that the deployment permits.
func plans(t *rapid.T, d lockstep.Deployment) map[lockstep.Operation]lockstep.Plan {
	p := rapid.SampledFrom([]lockstep.Policy{lockstep.LockstepPolicy(), lockstep.BBRPolicy()}).Draw(t, "policy")
	out := map[lockstep.Operation]lockstep.Plan{}
	keep := func(plan lockstep.Plan, err error) {
		if err == nil {
			out[plan.Operation] = plan
		} else if kind := lockstep.KindOf(err); kind != lockstep.KindInvalid && kind != lockstep.KindRefused {
			t.Fatalf("an error of kind %q: %v", kind, err)
		}
	}
	keep(Backup(d, p, BackupOptions{ID: "shop_2"}))
	keep(Check(d, p))
	keep(Restore(d, p, RestoreOptions{Backup: someBackup(d)}))
	keep(Cleanup(d, p, CleanupOptions{ForRestore: rapid.Bool().Draw(t, "for restore")}))
	if _, ok := out[lockstep.OperationCleanup]; !ok {
		t.Fatal("a cleanup was refused")
	}
	return out
}

var stages = map[lockstep.Operation][]lockstep.Stage{
	lockstep.OperationBackup: {
		lockstep.StageCheck, lockstep.StageLock, lockstep.StageWork, lockstep.StageUnlock,
		lockstep.StageCollect, lockstep.StageVerify, lockstep.StageCommit, lockstep.StageClean,
	},
	lockstep.OperationRestore: {
		lockstep.StageCheck, lockstep.StageRead, lockstep.StagePlace, lockstep.StageCheck, lockstep.StageLock,
		lockstep.StageWork, lockstep.StageUnlock, lockstep.StageClean,
	},
	lockstep.OperationCheck:   {lockstep.StageCheck, lockstep.StageClean},
	lockstep.OperationCleanup: {lockstep.StageUnlock, lockstep.StageClean},
}

func TestPlansAreWellFormed(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		for op, plan := range plans(t, deployments(t)) {
			wellFormed(t, op, plan)
		}
	})
}

// wellFormed: stages in their order, waves numbered from 1 and none of them
// empty or mixed, ids unique, every reference to an earlier step, or for After
// to one of the same wave.
func wellFormed(t *rapid.T, op lockstep.Operation, plan lockstep.Plan) {
	to, number := stages[op], map[lockstep.Stage]int{}
	waveOf := map[lockstep.StepID]int{}
	for n, w := range plan.Waves {
		i := slices.Index(to, w.Stage)
		if i < 0 {
			t.Fatalf("%s: stage %s out of place", op, w.Stage)
		}
		to = to[i:]
		if number[w.Stage]++; w.Number != number[w.Stage] || len(w.Steps) == 0 {
			t.Fatalf("%s: wave %s %d has %d steps and should be number %d", op, w.Stage, w.Number, len(w.Steps), number[w.Stage])
		}
		for _, s := range w.Steps {
			_, seen := waveOf[s.ID]
			of, known := waveOf[s.Of]
			after, inPlan := waveOf[s.After]
			switch {
			case seen:
				t.Fatalf("%s: two steps %s", op, s.ID)
			case s.Stage != w.Stage || s.Wave != w.Number || s.Timeout <= 0:
				t.Fatalf("%s: step %s is of %s %d, in %s %d", op, s.ID, s.Stage, s.Wave, w.Stage, w.Number)
			case s.Of != "" && (!known || of >= n):
				t.Fatalf("%s: step %s answers %s, which does not come before", op, s.ID, s.Of)
			case s.After != "" && (!inPlan || after != n):
				t.Fatalf("%s: step %s waits for %s, which is not before it in its wave", op, s.ID, s.After)
			}
			waveOf[s.ID] = n
		}
	}
}

func TestEveryLockIsUnlockedInReverse(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		d := deployments(t)
		for op, plan := range plans(t, d) {
			if op == lockstep.OperationBackup {
				unlocked(t, d, plan, backingUp)
			}
			if op == lockstep.OperationRestore {
				unlocked(t, d, plan, restoring)
			}
		}
	})
}

func unlocked(t *rapid.T, d lockstep.Deployment, plan lockstep.Plan, k kinds) {
	answers := map[lockstep.StepID][]lockstep.Step{}
	for _, u := range plan.Steps(lockstep.StageUnlock) {
		answers[u.Of] = append(answers[u.Of], u)
	}
	locks := plan.Steps(lockstep.StageLock)
	for _, m := range membersOf(d.Instances) {
		lock := stepID(m.instance, m.job.Name, string(k.lock))
		if _, planned := plan.Step(lock); planned != m.has(k.lock) {
			t.Fatalf("%s planned: %v", lock, planned)
		}
		if _, planned := plan.Step(stepID(m.instance, m.job.Name, string(k.unlock))); planned != m.has(k.unlock) {
			t.Fatalf("unlock of %v planned: %v", m, planned)
		}
		if both := m.has(k.lock) && m.has(k.unlock); both != (len(answers[lock]) == 1) {
			t.Fatalf("%s has %d unlocks", lock, len(answers[lock]))
		}
	}
	for _, a := range locks {
		for _, b := range locks {
			ua, ub := answers[a.ID], answers[b.ID]
			if a.Wave < b.Wave && len(ua) == 1 && len(ub) == 1 && ua[0].Wave <= ub[0].Wave {
				t.Fatalf("%s is locked before %s and not unlocked after it", a.ID, b.ID)
			}
		}
	}
}

func TestLockOrderHolds(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		d := deployments(t)
		for op, plan := range plans(t, d) {
			if op == lockstep.OperationBackup {
				ordered(t, d, plan, backingUp)
			}
			if op == lockstep.OperationRestore {
				ordered(t, d, plan, restoring)
			}
		}
	})
}

// ordered checks each request against the waves by itself, member by member.
func ordered(t *rapid.T, d lockstep.Deployment, plan lockstep.Plan, k kinds) {
	all := membersOf(d.Instances)
	for _, a := range all {
		first, ok := plan.Step(stepID(a.instance, a.job.Name, string(k.lock)))
		for _, ref := range k.requests(a.job) {
			for _, b := range all {
				then, too := plan.Step(stepID(b.instance, b.job.Name, string(k.lock)))
				if ref.Matches(b.job) && ok && too && first.Wave >= then.Wave {
					t.Fatalf("%s in wave %d, %s in wave %d", first.ID, first.Wave, then.ID, then.Wave)
				}
			}
		}
	}
}

// TestRestoreInstancesOneByOne: of one job at most one restore script is not
// waiting for another, and the chain has no fork, unless the job opts out.
func TestRestoreInstancesOneByOne(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		d := deployments(t)
		plan, err := Restore(d, lockstep.LockstepPolicy(), RestoreOptions{Backup: someBackup(d)})
		if err != nil {
			t.Skip(err)
		}
		parallel := map[lockstep.Slot]bool{}
		for _, m := range membersOf(d.Instances) {
			parallel[m.slot()] = m.job.Metadata.RestoreParallel
		}
		heads, followed := map[string]int{}, map[lockstep.StepID]bool{}
		for _, s := range plan.Steps(lockstep.StageWork) {
			switch {
			case parallel[s.Slot] && s.After != "" || followed[s.After] && s.After != "":
				t.Fatalf("%s waits for %s", s.ID, s.After)
			case !parallel[s.Slot] && s.After == "":
				heads[s.Job()]++
			}
			followed[s.After] = true
			if heads[s.Job()] > 1 {
				t.Fatalf("two chains of %s", s.Job())
			}
		}
	})
}
