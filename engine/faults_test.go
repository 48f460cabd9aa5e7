package engine_test

import (
	"time"

	"lockstep"
)

// strike makes a fault happen. The journal's lock is held.
func (s *simulation) strike(f fault, by *driver) {
	w := s.world
	w.mu.Lock()
	defer w.mu.Unlock()
	in := s.plan.Instances[s.below(len(s.plan.Instances), "victim", int(f.at))].Name()
	m := w.machines[in]
	switch f.kind {
	case "crash":
		by.die()
	case "cancel":
		by.cancel()
	case "second cancel":
		by.cancel()
		by.tell(lockstep.CancelRequested{By: "somebody impatient"})
	case "lease reported":
		if s.plan.Policy.Lease > 0 {
			by.tell(lockstep.LeaseFired{Instance: in})
		}
	case "unreachable for a while":
		s.cut(m, s.delay(4*time.Minute, "cut", int(f.at)), false)
	case "unreachable for long":
		s.cut(m, s.delay(3*time.Hour, "cut", int(f.at)), false)
	case "unreachable for ever":
		m.gone = true
		s.cut(m, time.Second, false)
	case "reboot":
		s.cut(m, s.delay(5*time.Minute, "cut", int(f.at)), true)
	case "taken over":
		if f.at > 3 { // somebody who knows that there is a run to displace
			m.takeOver()
		}
	case "deploy":
		if w.changed.IsZero() {
			w.changed = time.Now()
		}
	case "rival":
		s.rival(f)
	}
}

// cut makes a machine unreachable after a moment, and reachable again later.
func (s *simulation) cut(m *machine, long time.Duration, reboot bool) {
	locked := func(do func()) func() {
		return func() {
			m.mu.Lock()
			defer m.mu.Unlock()
			do()
		}
	}
	soon := s.delay(3*time.Second, "cut soon", string(m.id), len(m.acts))
	time.AfterFunc(soon, locked(func() {
		if reboot {
			m.reboot()
		}
		m.reach(false)
	}))
	time.AfterFunc(soon+long, locked(func() { m.reach(true) }))
}

// rival lets another orchestrator take the run over while this one lives.
func (s *simulation) rival(f fault) {
	n := 100 + int(f.at)
	s.drives.Add(1)
	time.AfterFunc(s.delay(3*time.Second, "rival", int(f.at)), func() {
		defer s.drives.Done()
		if !s.endedNow() {
			s.recover(n)
		}
	})
}

func (s *simulation) endedNow() bool {
	s.journal.mu.Lock()
	defer s.journal.mu.Unlock()
	n := len(s.journal.events)
	_, ended := s.journal.events[n-1].Data.(lockstep.RunEnded)
	return ended
}
