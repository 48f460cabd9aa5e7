package engine_test

import (
	"sync"
	"time"

	"lockstep"
	"lockstep/audit"
)

// world is what a run is about: machines that scripts run on, and a repository.
// Its scripts are models: they have a fate, a duration and a lock of their own.
// All that happens in it follows from the seed and from when it is asked to
// happen; two things that would happen at the same instant are kept apart by
// small delays of their own, because nothing orders goroutines at one instant.
type world struct {
	dice
	mu       sync.Mutex
	plan     *lockstep.Plan
	odds     odds
	machines map[lockstep.InstanceID]*machine
	// driver renews the leases and is told of those that fired.
	driver    *driver
	acts      []*audit.Act
	lapses    []audit.Lapse
	committed *lockstep.Backup
	changed   time.Time // when a deploy changed the list of instances
	seen      *coverage
}

// machine is one instance, or, without a name, the repository.
type machine struct {
	*world
	id      lockstep.InstanceID
	up      bool
	gone    bool // it will never be reachable again
	taken   bool // another run owns it, and has unlocked it
	term    uint64
	locked  map[lockstep.Slot]bool
	owed    map[lockstep.StepID]bool // unlock steps of which no try ended well
	procs   map[tryKey]*proc
	refused map[tryKey]bool // tombstones: these tries can never start
	changed chan struct{}   // closed and made anew whenever something changes

	armed     bool
	lapsed    bool // its lease fired, or was lost
	lease     *time.Timer
	artifacts bool
	claimed   bool
}

type tryKey struct {
	step lockstep.StepID
	n    int
}

// proc is one try of a step on its machine.
type proc struct {
	m     *machine
	task  lockstep.Task
	act   *audit.Act
	fate  fate
	ended bool
	timer *time.Timer
}

func newWorld(d dice, plan *lockstep.Plan, o odds, seen *coverage) *world {
	w := &world{dice: d, plan: plan, odds: o, seen: seen, machines: map[lockstep.InstanceID]*machine{}}
	w.addMachine("")
	for _, in := range plan.Instances {
		w.addMachine(in.Name())
	}
	for _, s := range plan.Steps(lockstep.StageUnlock) {
		w.machines[s.Instance].owed[s.ID] = true
	}
	return w
}

func (w *world) addMachine(id lockstep.InstanceID) {
	w.machines[id] = &machine{
		world: w, id: id, up: true, changed: make(chan struct{}),
		locked: map[lockstep.Slot]bool{}, owed: map[lockstep.StepID]bool{},
		procs: map[tryKey]*proc{}, refused: map[tryKey]bool{},
	}
}

// change wakes whoever waits for something on the machine. w.mu is held.
func (m *machine) change() {
	close(m.changed)
	m.changed = make(chan struct{})
}

// start begins a try. w.mu is held.
func (m *machine) start(t lockstep.Task) *proc {
	p := &proc{m: m, task: t, fate: m.fateOf(t)}
	p.act = &audit.Act{Step: t.Step.ID, Attempt: t.Attempt, Env: t.Env, Started: time.Now()}
	m.acts = append(m.acts, p.act)
	m.procs[tryKey{t.Step.ID, t.Attempt}] = p
	m.claimed = true
	switch t.Step.Stage {
	case lockstep.StageLock:
		if t.Armed {
			m.armed = true
		}
		if p.fate.locksEarly {
			m.locked[t.Step.Slot] = m.hasUnlock(t.Step)
		}
	case lockstep.StageWork, lockstep.StagePlace:
		m.artifacts = true
	}
	if t.Step.ID == lockstep.StepInstances && !m.world.changed.IsZero() {
		p.fate.code = 1
		m.seen.hit("a deploy in the middle is noticed")
	}
	m.renew()
	if !p.fate.hangs {
		p.timer = time.AfterFunc(p.fate.takes, func() {
			m.mu.Lock()
			defer m.mu.Unlock()
			p.end(lockstep.Exited(p.fate.code))
		})
	}
	return p
}

func (w *world) hasUnlock(lock lockstep.Step) bool {
	for _, u := range w.plan.Steps(lockstep.StageUnlock) {
		if u.Slot == lock.Slot {
			return true
		}
	}
	return false
}

// end ends a try that runs, with its effects. w.mu is held.
func (p *proc) end(o lockstep.Outcome) {
	if p.ended {
		return
	}
	p.ended, p.act.Ended, p.act.Outcome = true, time.Now(), o
	m, s := p.m, p.task.Step
	if o.OK() {
		switch s.Stage {
		case lockstep.StageLock:
			m.locked[s.Slot] = m.hasUnlock(s)
		case lockstep.StageUnlock:
			delete(m.locked, s.Slot)
			delete(m.owed, s.ID)
			m.armed = m.armed && len(m.owed) > 0
		case lockstep.StageClean:
			m.armed, m.claimed = false, false
			m.artifacts = m.artifacts && !p.task.Artifacts
		case lockstep.StageCommit:
			m.committed = p.task.Manifest
		}
	}
	m.renew()
	m.change()
}

// kill sends a signal; its effect comes a little later. w.mu is held.
func (p *proc) kill(signal string) {
	p.act.Killed = true
	if signal == "TERM" && p.fate.ignoresTerm {
		p.m.seen.hit("a script ignores TERM")
		return
	}
	time.AfterFunc(p.m.delay(time.Millisecond, "dies", string(p.task.Step.ID), p.task.Attempt), func() {
		p.m.mu.Lock()
		defer p.m.mu.Unlock()
		p.end(lockstep.Outcome{Kind: lockstep.OutcomeSignal, Signal: signal})
	})
}

// reach makes the machine reachable or not. w.mu is held.
func (m *machine) reach(up bool) {
	m.up = up && !m.gone
	m.renew()
	m.change()
	if m.up && m.lapsed && m.driver != nil {
		m.driver.tell(lockstep.LeaseFired{Instance: m.id})
	}
}

// reboot ends all that runs, and the lease, and perhaps the locks.
// w.mu is held.
func (m *machine) reboot() {
	for _, p := range m.running() {
		p.end(lockstep.Outcome{Kind: lockstep.OutcomeDead})
	}
	if m.chance(0.5, "reboot unlocks", string(m.id)) {
		clear(m.locked)
		m.seen.hit("a reboot unlocks")
	}
	m.lapse()
}

// takeOver is another orchestrator's cleanup of the machine: it stops what locks
// and works, lets unlock scripts end, unlocks, and owns it from then on.
// w.mu is held.
func (m *machine) takeOver() {
	for _, p := range m.running() {
		if s := p.task.Step.Stage; s == lockstep.StageLock || s == lockstep.StageWork || s == lockstep.StagePlace {
			p.end(lockstep.Outcome{Kind: lockstep.OutcomeSignal, Signal: "KILL"})
		}
	}
	clear(m.locked)
	m.lapse()
	m.taken, m.claimed, m.artifacts = true, false, false
	m.change()
}

// lapse notes that the lease no longer stands. w.mu is held.
func (m *machine) lapse() {
	if !m.armed {
		return
	}
	m.armed, m.lapsed = false, true
	m.lapses = append(m.lapses, audit.Lapse{Instance: m.id, At: time.Now()})
}

// running are the tries that run, in the order of their start. w.mu is held.
func (m *machine) running() []*proc {
	var out []*proc
	for _, a := range m.acts {
		p := m.procs[tryKey{a.Step, a.Attempt}]
		if p != nil && !p.ended {
			out = append(out, p)
		}
	}
	return out
}

// renew keeps the lease from firing while a living driver reaches the machine,
// and lets it run out otherwise. w.mu is held.
func (m *machine) renew() {
	policy := m.plan.Policy
	renewed := m.up && m.driver != nil && !m.driver.isDead()
	switch {
	case m.lease != nil && (renewed || !m.armed):
		m.lease.Stop()
		m.lease = nil
	case m.lease == nil && m.armed && !renewed:
		m.lease = time.AfterFunc(policy.Lease-m.delay(policy.RenewEvery, "lease", string(m.id)), m.fire)
	}
}

// fire is the lease running out: the machine stops what locks and works, and
// unlocks by itself.
func (m *machine) fire() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.lease == nil || !m.armed {
		return
	}
	m.lease = nil
	m.seen.hit("a lease fires")
	for _, p := range m.running() {
		if s := p.task.Step.Stage; s == lockstep.StageLock || s == lockstep.StageWork {
			p.end(lockstep.Outcome{Kind: lockstep.OutcomeSignal, Signal: "KILL"})
		}
	}
	m.lapse()
	for slot := range m.locked {
		if !m.stuck(slot) {
			delete(m.locked, slot)
		}
	}
	m.change()
}

// stuck reports whether a slot's unlock script fails whatever happens.
func (w *world) stuck(slot lockstep.Slot) bool {
	return w.chance(w.odds.stuck, "stuck", slot.String())
}

// truth is what really happened, and how things stand now.
func (w *world) truth() *audit.Truth {
	w.mu.Lock()
	defer w.mu.Unlock()
	t := &audit.Truth{Lapses: w.lapses, Locked: w.lockedSlots(), Left: map[lockstep.InstanceID][]string{}, Committed: w.committed, Changed: w.changed}
	for _, a := range w.acts {
		t.Acts = append(t.Acts, *a)
	}
	for id, m := range w.machines {
		for what, there := range map[string]bool{"claim": m.claimed, "lease": m.armed, "artifacts": m.artifacts} {
			if there && id != "" {
				t.Left[id] = append(t.Left[id], what)
			}
		}
	}
	return t
}

// lockedSlots are the slots that are locked, in the plan's order. w.mu is held.
func (w *world) lockedSlots() []lockstep.Slot {
	var out []lockstep.Slot
	for _, s := range w.plan.Steps(lockstep.StageUnlock) {
		if w.machines[s.Instance].locked[s.Slot] {
			out = append(out, s.Slot)
		}
	}
	return out
}
