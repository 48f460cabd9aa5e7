package engine_test

import (
	"context"
	"errors"
	"time"

	"lockstep"
	"lockstep/engine"
)

// driver is one orchestrator: it dies without a word, and everything of it
// with it, when dead is closed.
type driver struct {
	*world
	n      int
	dead   chan struct{}
	inbox  chan lockstep.EventData
	ctx    context.Context
	cancel context.CancelFunc
	told   int
}

func (w *world) newDriver(n int) *driver {
	d := &driver{world: w, n: n, dead: make(chan struct{}), inbox: make(chan lockstep.EventData, 64)}
	d.ctx, d.cancel = context.WithCancel(context.Background())
	w.mu.Lock()
	defer w.mu.Unlock()
	w.driver = d
	for _, in := range w.plan.Instances {
		m := w.machines[in.Name()]
		m.reach(m.up)
	}
	return d
}

func (d *driver) isDead() bool {
	select {
	case <-d.dead:
		return true
	default:
		return false
	}
}

// die ends the driver. What it did itself ends with it; scripts go on.
// w.mu is held.
func (d *driver) die() {
	if d.isDead() {
		return
	}
	close(d.dead)
	for _, in := range append(d.plan.Instances, lockstep.Instance{}) {
		id := in.Name()
		if in.Group == "" {
			id = ""
		}
		m := d.machines[id]
		for _, p := range m.running() {
			if p.task.Step.Script == nil {
				p.end(lockstep.Outcome{Kind: lockstep.OutcomeDead})
			}
		}
		m.renew()
	}
}

// tell hands a fact to the driver, a little later. w.mu is held.
func (d *driver) tell(fact lockstep.EventData) {
	d.told++
	time.AfterFunc(d.delay(time.Second, "tell", d.n, d.told), func() {
		select {
		case d.inbox <- fact:
		case <-d.dead:
		}
	})
}

// errGone is what a dead driver gets from its journal.
var errGone = errors.New("this orchestrator is dead")

func (d *driver) engine(j *simJournal) *engine.Engine {
	return &engine.Engine{
		Journal: view{j, d}, Executor: d,
		Conflict: func(err error) bool { return errors.Is(err, errGone) || errors.Is(err, errConflict) },
	}
}

// Do does one try of a step.
func (d *driver) Do(ctx context.Context, t lockstep.Task, broken <-chan struct{}) lockstep.StepFinished {
	f := &follower{driver: d, task: t, ctx: ctx, broken: broken, start: true, fate: d.fateOf(t)}
	return f.follow()
}

// Settle finds out how a try ended.
func (d *driver) Settle(ctx context.Context, t lockstep.Task, stop bool) lockstep.StepFinished {
	f := &follower{driver: d, task: t, ctx: ctx, stopping: stop, wasBroken: true}
	return f.follow()
}

// follower follows one try to its end as the executor promises to.
type follower struct {
	*driver
	task               lockstep.Task
	ctx                context.Context
	broken             <-chan struct{}
	fate               fate // of the worker; none when settling
	start, begins      bool
	stopping           bool
	wasBroken          bool
	begun, seek, asked time.Time
	brokenAt           time.Time
}

func (f *follower) key() tryKey { return tryKey{f.task.Step.ID, f.task.Attempt} }

// pause waits, unless the driver dies.
func (f *follower) pause(what string) bool {
	t := time.NewTimer(f.delay(3*time.Millisecond, what, f.task.Step.ID, f.task.Attempt, f.n))
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-f.dead:
		return false
	}
}

func (f *follower) follow() lockstep.StepFinished {
	lost := lockstep.StepFinished{Outcome: lockstep.Outcome{Kind: lockstep.OutcomeUnknown}}
	if !f.pause("dial") {
		return lost
	}
	f.begun = time.Now()
	f.brokenAt = f.begun
	for {
		f.mu.Lock()
		res, wake := f.look()
		changed := f.machines[f.task.Step.Instance].changed
		f.mu.Unlock()
		if res != nil {
			f.pause("report")
			return *res
		}
		if !f.wait(changed, wake) {
			return lost
		}
		if since := time.Since(f.begun); f.fate.panicsAfter > 0 && since >= f.fate.panicsAfter {
			f.seen.hit("a worker panics")
			panic("a defect in a worker")
		} else if f.fate.lostAfter > 0 && since >= f.fate.lostAfter {
			f.seen.hit("an outcome is unknown")
			return lost
		}
	}
}

// wait waits until it is worth looking again. It reports false if the driver
// has died or let the try go.
func (f *follower) wait(changed <-chan struct{}, wake time.Time) bool {
	for _, after := range []time.Duration{f.fate.panicsAfter, f.fate.lostAfter} {
		if at := f.begun.Add(after); after > 0 && at.Before(wake) && at.After(time.Now()) {
			wake = at
		}
	}
	timer := time.NewTimer(time.Until(wake))
	defer timer.Stop()
	done := f.ctx.Done()
	if f.stopping {
		done = nil
	}
	select {
	case <-f.dead:
		return false
	case <-changed:
		// One change wakes several followers, of a fenced driver too.
		if !f.pause("wake") {
			return false
		}
	case <-timer.C:
	case <-f.broken:
		f.broken, f.wasBroken, f.brokenAt = nil, true, time.Now()
	case <-done:
		f.stopping = true
	}
	return !errors.Is(context.Cause(f.ctx), lockstep.ErrLetGo)
}

// look looks at the machine, does what is due, and returns how the try ended,
// or when to look again at the latest. w.mu is held.
func (f *follower) look() (*lockstep.StepFinished, time.Time) {
	m, now, policy := f.machines[f.task.Step.Instance], time.Now(), f.task.Plan.Policy
	deadline := f.begun.Add(f.task.Step.Timeout)
	if !m.up {
		if f.seek.IsZero() {
			f.seek = now
		}
		limit := deadline.Add(policy.KillGrace)
		if f.wasBroken || f.stopping || f.task.Step.Stage == lockstep.StageUnlock {
			limit = later(f.seek, f.brokenAt).Add(policy.AbandonAfter)
		}
		if !now.Before(limit) {
			f.seen.hit("a try is abandoned")
			return f.result(lockstep.Outcome{Kind: lockstep.OutcomeAbandoned}), limit
		}
		return nil, limit
	}
	f.seek = time.Time{}
	if m.term > f.task.Term {
		f.seen.hit("a machine refuses a fenced orchestrator")
		return f.result(lockstep.Outcome{Kind: lockstep.OutcomeUnknown}), now
	}
	m.term = f.task.Term
	if m.taken && !f.begins && (f.start || f.task.Step.Script != nil) {
		return f.displaced(), now
	}
	if f.stopFirst(m) {
		return nil, deadline.Add(time.Hour)
	}
	p := m.procs[f.key()]
	if p != nil && f.start && !f.begins && f.task.Step.Script == nil {
		p = nil // the launcher keeps no record of what is ours
	}
	switch {
	case p == nil && f.start && !f.stopping && !m.refused[f.key()]:
		p, f.begins = m.start(f.task), true
	case p == nil:
		m.refused[f.key()] = true
		f.seen.hit("a try never started")
		return f.result(lockstep.Outcome{Kind: lockstep.OutcomeNeverStarted}), now
	}
	if !f.start && f.task.Step.Script == nil && f.task.Step.Stage != lockstep.StageCommit {
		// Nobody keeps a record of how a transfer ended whose driver lost it.
		p.end(lockstep.Outcome{Kind: lockstep.OutcomeDead})
		return f.result(lockstep.Outcome{Kind: lockstep.OutcomeDead}), now
	}
	if p.ended {
		return f.result(p.act.Outcome), now
	}
	return nil, f.press(p)
}

// stopFirst stops the abandoned tries that must not outlive the start of this
// one, and reports whether there still are any. w.mu is held.
func (f *follower) stopFirst(m *machine) bool {
	for _, a := range f.task.Stop {
		k := tryKey{a.Step.ID, a.N}
		p := m.procs[k]
		switch {
		case p == nil:
			m.refused[k] = true
		case !p.ended:
			f.seen.hit("an abandoned try is stopped before its unlock")
			p.kill("KILL")
			return true
		}
	}
	return false
}

// press lets a try run until its deadline, or stops it: politely, then not.
// It returns when to look again. w.mu is held.
func (f *follower) press(p *proc) time.Time {
	now, grace := time.Now(), f.task.Plan.Policy.KillGrace
	deadline := p.act.Started.Add(f.task.Step.Timeout)
	if f.begins { // the time until it could be started counts
		deadline = f.begun.Add(f.task.Step.Timeout)
	}
	switch {
	case !f.stopping && now.Before(deadline):
		return deadline
	case f.asked.IsZero():
		f.asked = now
		f.seen.hit("a try is stopped: " + string(f.task.Step.Stage))
		p.kill("TERM")
	case !now.Before(f.asked.Add(grace)):
		p.kill("KILL")
		return now.Add(grace)
	}
	return f.asked.Add(grace)
}

// displaced is what a launcher that another run has claimed says to everything.
func (f *follower) displaced() *lockstep.StepFinished {
	if f.task.Step.Script == nil {
		return &lockstep.StepFinished{Outcome: lockstep.Exited(1)}
	}
	f.seen.hit("a displaced run is refused")
	return &lockstep.StepFinished{Outcome: lockstep.Outcome{Kind: lockstep.OutcomeAbandoned}, Displaced: true}
}

// result is how the try is reported. w.mu is held.
func (f *follower) result(o lockstep.Outcome) *lockstep.StepFinished {
	m, s := f.machines[f.task.Step.Instance], f.task.Step
	r := &lockstep.StepFinished{Outcome: o, LeaseFired: m.lapsed && f.task.Armed && m.up}
	if o.OK() && s.Stage == lockstep.StageCollect {
		r.Artifact = &lockstep.Artifact{Slot: s.Slot, Instance: s.Instance, Name: s.Artifact, Entries: 3}
		if f.chance(f.odds.empty, "empty", s.ID) {
			r.Artifact.Entries = 0
		}
	}
	if o.OK() && s.Stage == lockstep.StageVerify {
		r.Artifact = f.task.Artifact
	}
	return r
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
