package engine_test

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"lockstep"
)

// scenario is everything that a seed decides before its run begins.
type scenario struct {
	dice
	plan   *lockstep.Plan
	found  lockstep.Deployment
	odds   odds
	faults []fault
	// real: the planner made the plan.
	real bool
	away time.Duration // how long nobody notices that a driver died, about
}

var faultKinds = []string{
	"crash", "crash", "crash", "cancel", "cancel", "second cancel", "disk full", "acknowledgement lost",
	"unreachable for a while", "unreachable for a while", "unreachable for long", "unreachable for ever", "reboot", "rival", "lease reported",
	"deploy", "taken over",
}

var goneKinds = []string{
	"unreachable for a while", "unreachable for long", "unreachable for long", "unreachable for ever", "reboot",
}

func newScenario(seed uint64) *scenario {
	s := &scenario{dice: dice{seed}}
	s.plan = s.newPlan()
	switch s.below(5, "mood") {
	case 0: // nothing goes wrong by itself
	case 1:
		s.odds = odds{fail: 0.02, hang: 0.01, panics: 0.01, lost: 0.01, stuck: 0.01, empty: 0.01}
	case 2:
		s.odds = odds{fail: 0.1, hang: 0.05, panics: 0.02, lost: 0.05, stuck: 0.05, empty: 0.1}
	case 3:
		s.odds = odds{hang: 0.2, stuck: 0.1}
	case 4:
		s.odds = odds{panics: 0.1, lost: 0.15}
	}
	s.newFaults()
	s.away = s.delay(10*time.Second, "away")
	if s.chance(0.4, "away long") {
		s.away = s.delay(30*time.Minute, "away")
	}
	return s
}

// newFaults decides what goes wrong, and when: anywhere in the run; or, in some
// backups, an instance goes while it is unlocked, and all else later.
func (s *scenario) newFaults() {
	steps := map[lockstep.Stage]int{}
	all := 0
	for _, w := range s.plan.Waves {
		steps[w.Stage] += len(w.Steps)
		all += len(w.Steps)
	}
	begin, width := 3, 2*all+6
	late := s.plan.Operation == lockstep.OperationBackup && s.chance(0.3, "late")
	if late {
		before := 2 * (steps[lockstep.StageCheck] + steps[lockstep.StageLock] + steps[lockstep.StageWork])
		begin, width = begin+before, width-before
		s.addFault(goneKinds, begin, 2*(steps[lockstep.StageUnlock]+1))
	}
	for range s.below(5, "faults") {
		s.addFault(faultKinds, begin, width)
	}
}

func (s *scenario) addFault(kinds []string, begin, width int) {
	i := len(s.faults)
	s.faults = append(s.faults, fault{
		kind:   kinds[s.below(len(kinds), "fault", i)],
		at:     uint64(begin + s.below(width, "fault at", i)),
		before: s.chance(0.5, "fault before", i),
	})
}

func (s *scenario) policy(op lockstep.Operation) lockstep.Policy {
	p := lockstep.LockstepPolicy()
	if s.chance(0.25, "bbr") {
		p = lockstep.BBRPolicy()
	}
	p.ScriptTimeout = 30 * time.Minute
	if s.chance(0.3, "max lock") {
		p.MaxLock = 20 * time.Second
	}
	p.HoldFailedRestore = op == lockstep.OperationRestore && s.chance(0.4, "hold")
	if op == lockstep.OperationRestore || s.chance(0.1, "no lease") {
		p.Lease = 0
	}
	return p
}

// site is one job on one instance, with the scripts it ships.
type site struct {
	in                 lockstep.Instance
	job                int // jobs are numbered; a lower level is locked earlier
	lock, work, unlock bool
}

func (s site) slot() lockstep.Slot { return lockstep.SlotOf(s.in, s.name()) }
func (s site) name() string        { return "job" + strconv.Itoa(s.job) }

func (s *scenario) newPlan() *lockstep.Plan {
	op := []lockstep.Operation{
		lockstep.OperationBackup, lockstep.OperationBackup, lockstep.OperationBackup, lockstep.OperationBackup,
		lockstep.OperationRestore, lockstep.OperationRestore, lockstep.OperationRestore,
		lockstep.OperationCheck, lockstep.OperationCleanup,
	}[s.below(9, "operation")]
	p := &lockstep.Plan{Operation: op, Deployment: "shop", Key: "file:shop", Policy: s.policy(op)}
	sites := s.sites(p)
	s.found = s.deployment(sites)
	if s.chance(0.6, "planner") {
		if real := s.planned(op, p.Policy); real != nil {
			s.real = true
			return real
		}
	}
	if op == lockstep.OperationBackup || op == lockstep.OperationRestore {
		p.Backup = "shop_20260101T000000Z"
	}
	b := builder{scenario: s, plan: p, sites: sites}
	b.build()
	return p
}

func (s *scenario) sites(p *lockstep.Plan) []site {
	var out []site
	instances, jobs := 1+s.below(3, "instances"), 1+s.below(3, "jobs")
	if s.chance(0.1, "large") {
		instances, jobs = 1+s.below(6, "instances"), 1+s.below(4, "jobs")
	}
	for i := range instances {
		in := lockstep.Instance{Group: "g" + strconv.Itoa(i%2), ID: strconv.Itoa(i), Index: strconv.Itoa(i / 2)}
		p.Instances = append(p.Instances, in)
		for j := range jobs {
			if s.chance(0.2, "no job", i, j) {
				continue
			}
			out = append(out, site{
				in: in, job: j,
				lock:   s.chance(0.85, "lock", i, j),
				work:   s.chance(0.8, "work", i, j),
				unlock: s.chance(0.9, "unlock", i, j),
			})
		}
	}
	return out
}

// level is the lock wave that a job belongs to.
func (s *scenario) level(job int) int { return s.below(3, "level", job) }

// builder lays out a plan as the planner promises to.
type builder struct {
	*scenario
	plan  *lockstep.Plan
	sites []site
}

func (b *builder) build() {
	backup := b.plan.Operation == lockstep.OperationBackup
	restore := b.plan.Operation == lockstep.OperationRestore
	if b.plan.Operation != lockstep.OperationCleanup {
		b.perInstance(lockstep.StageCheck)
	}
	if restore {
		b.perArtifact(lockstep.StageRead)
		b.perArtifact(lockstep.StagePlace)
	}
	if (backup || restore) && b.plan.Policy.ConfirmInstances {
		b.wave(lockstep.StageCheck, lockstep.Step{ID: lockstep.StepInstances, Timeout: 5 * time.Minute})
	}
	if backup || restore {
		b.locks(lockstep.StageLock)
		b.works(restore)
	}
	if b.plan.Operation != lockstep.OperationCheck {
		b.locks(lockstep.StageUnlock)
	}
	if backup {
		b.perArtifact(lockstep.StageCollect)
		b.perArtifact(lockstep.StageVerify)
		b.wave(lockstep.StageCommit, lockstep.Step{ID: "repository/commit", Timeout: time.Hour})
	}
	b.perInstance(lockstep.StageClean)
	b.order()
}

func (b *builder) wave(stage lockstep.Stage, steps ...lockstep.Step) {
	if len(steps) == 0 {
		return
	}
	n := 1
	for _, w := range b.plan.Waves {
		if w.Stage == stage {
			n++
		}
	}
	for i := range steps {
		steps[i].Stage, steps[i].Wave = stage, n
	}
	b.plan.Waves = append(b.plan.Waves, lockstep.Wave{Stage: stage, Number: n, Steps: steps})
}

func (b *builder) perInstance(stage lockstep.Stage) {
	var steps []lockstep.Step
	for _, in := range b.plan.Instances {
		steps = append(steps, lockstep.Step{
			ID: lockstep.StepID(fmt.Sprintf("%s/%s", in.Name(), stage)), Instance: in.Name(), Timeout: 5 * time.Minute,
		})
	}
	b.wave(stage, steps...)
}

func (b *builder) perArtifact(stage lockstep.Stage) {
	of := map[lockstep.Stage]lockstep.Stage{
		lockstep.StageVerify: lockstep.StageCollect, lockstep.StagePlace: lockstep.StageRead,
	}[stage]
	var steps []lockstep.Step
	for i, s := range b.sites {
		if !s.work {
			continue
		}
		name := fmt.Sprintf("%s-%s-%s", s.in.Group, s.in.Index, s.name())
		if stage == lockstep.StageCollect || stage == lockstep.StageRead {
			b.plan.Artifacts = append(b.plan.Artifacts, lockstep.PlannedArtifact{Slot: s.slot(), Instance: s.in.Name(), Name: name})
		}
		st := lockstep.Step{
			ID: b.id(s, string(stage)), Instance: s.in.Name(), Slot: s.slot(), Artifact: name, Timeout: time.Hour,
			MayBeEmpty: b.chance(0.3, "may be empty", i),
		}
		if of != "" {
			st.Of = b.id(s, string(of))
		}
		steps = append(steps, st)
	}
	b.wave(stage, steps...)
}

func (b *builder) id(s site, what string) lockstep.StepID {
	return lockstep.StepID(fmt.Sprintf("%s/%s/%s", s.in.Name(), s.name(), what))
}

// locks adds the waves of lock in the order of levels, or those of unlock in
// the reverse one.
func (b *builder) locks(stage lockstep.Stage) {
	kinds := map[lockstep.Stage]lockstep.ScriptKind{
		lockstep.StageLock: lockstep.ScriptPreBackupLock, lockstep.StageUnlock: lockstep.ScriptPostBackupUnlock,
	}
	if b.plan.Operation == lockstep.OperationRestore {
		kinds = map[lockstep.Stage]lockstep.ScriptKind{
			lockstep.StageLock: lockstep.ScriptPreRestoreLock, lockstep.StageUnlock: lockstep.ScriptPostRestoreUnlock,
		}
	}
	levels := []int{0, 1, 2}
	if stage == lockstep.StageUnlock {
		slices.Reverse(levels)
	}
	for _, level := range levels {
		var steps []lockstep.Step
		for _, s := range b.sites {
			if b.level(s.job) != level || stage == lockstep.StageLock && !s.lock || stage == lockstep.StageUnlock && !s.unlock {
				continue
			}
			st := b.script(s, kinds[stage])
			if stage == lockstep.StageUnlock && s.lock && b.plan.Operation != lockstep.OperationCleanup {
				st.Of = b.id(s, string(kinds[lockstep.StageLock]))
			}
			steps = append(steps, st)
		}
		b.wave(stage, steps...)
	}
}

// works adds one wave of backup scripts; of restore scripts one chain for each
// job, instance after instance.
func (b *builder) works(restore bool) {
	var steps []lockstep.Step
	last := map[int]lockstep.StepID{}
	kind := lockstep.ScriptBackup
	if restore {
		kind = lockstep.ScriptRestore
	}
	for _, s := range b.sites {
		if !s.work {
			continue
		}
		st := b.script(s, kind)
		if restore {
			st.After = last[s.job]
			last[s.job] = st.ID
		}
		steps = append(steps, st)
	}
	b.wave(lockstep.StageWork, steps...)
}

func (b *builder) script(s site, kind lockstep.ScriptKind) lockstep.Step {
	return lockstep.Step{
		ID: b.id(s, string(kind)), Instance: s.in.Name(), Slot: s.slot(), Timeout: b.plan.Policy.ScriptTimeout,
		Script: &lockstep.Script{Kind: kind, Path: "/jobs/" + s.name() + "/" + string(kind)},
	}
}

func (b *builder) order() {
	for x := range 4 {
		for y := range 4 {
			if b.level(x) < b.level(y) {
				b.plan.Order = append(b.plan.Order, lockstep.Precedence{First: "job" + strconv.Itoa(x), Then: "job" + strconv.Itoa(y)})
			}
		}
	}
}
