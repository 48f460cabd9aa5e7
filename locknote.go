package lockstep

import (
	"fmt"
	"slices"
	"strings"
)

// LockNote says how it stands with the locks of an instance that was not
// unlocked in the ordinary way: it did not answer, or its lease ran out. It is
// one statement, whatever tries and lease have told apart; "" where there is
// nothing to say. Without the instance's name, it goes on after a colon.
func (r *Run) LockNote(id InstanceID) string {
	if r.Plan == nil {
		return ""
	}
	ran := slices.Contains(r.Leases, id)
	tries := r.silentTries(id)
	switch held := r.heldOn(id); {
	case held && tries > 0 && ran:
		return "not reached before its lease ran out; if it has stayed up, it has unlocked by itself"
	case held && tries > 0 && r.leased():
		return fmt.Sprintf("it did not answer when it was to be unlocked (%s); if it stays up, it unlocks by itself when its lease of %s runs out",
			triesText(tries), r.Plan.Policy.Lease)
	case held && tries > 0:
		return fmt.Sprintf("it did not answer when it was to be unlocked (%s)", triesText(tries))
	case !ran:
		return ""
	case held && (r.Ending != nil || r.unlockFailed(id)):
		return "its lease ran out, and no unlock since has ended well"
	case r.unlockedByLease(id):
		return "unlocked by itself when its lease ran out"
	}
	return "its lease ran out before it was unlocked"
}

// LockNotes are the notes of all instances, each with its instance's name, in the
// plan's order.
func (r *Run) LockNotes() []string {
	if r.Plan == nil {
		return nil
	}
	var notes []string
	for _, in := range r.Plan.Instances {
		if note := r.LockNote(in.Name()); note != "" {
			notes = append(notes, fmt.Sprintf("%s: %s", in.Name(), note))
		}
	}
	return notes
}

func triesText(n int) string {
	if n == 1 {
		return "1 try"
	}
	return fmt.Sprintf("%d tries", n)
}

// leased reports whether instances of the run unlock by themselves when nobody
// reaches them.
func (r *Run) leased() bool {
	return r.Plan.Operation == OperationBackup && r.Plan.Policy.Lease > 0
}

// silentTries is how often the unlock of an instance that does not answer was
// tried, 0 where one of its unlocks that did not end well was answered.
func (r *Run) silentTries(id InstanceID) int {
	tries := 0
	for _, u := range r.held() {
		switch {
		case u.Instance != id:
		case !r.silent(u):
			return 0
		default:
			tries = max(tries, r.attempts(u.ID))
		}
	}
	return tries
}

// heldOn reports whether a job of the instance may still be locked.
func (r *Run) heldOn(id InstanceID) bool {
	return slices.ContainsFunc(r.held(), func(s Step) bool { return s.Instance == id })
}

// unlockFailed reports whether a try of an unlock that is still owed there has ended
// badly.
func (r *Run) unlockFailed(id InstanceID) bool {
	return slices.ContainsFunc(r.held(), func(u Step) bool {
		rec := r.Steps[u.ID]
		return u.Instance == id && rec != nil && slices.ContainsFunc(rec.Tries, func(t Try) bool { return !t.Running() && !t.Outcome.OK() })
	})
}

// unlockedByLease reports whether an unlock of the instance is known to have been
// run by its lease.
func (r *Run) unlockedByLease(id InstanceID) bool {
	return slices.ContainsFunc(r.Plan.Steps(StageUnlock), func(u Step) bool {
		rec := r.Steps[u.ID]
		return u.Instance == id && rec != nil && slices.ContainsFunc(rec.Tries, func(t Try) bool { return t.LeaseFired && t.Outcome.OK() })
	})
}

// heldWhy says why slots are still locked: a line for each instance of which there
// is more to say than that its unlock did not succeed. It reports whether all of
// them may be unlocked by now.
func (r *Run) heldWhy() (why string, maybe bool) {
	var lines []string
	instances, rest := r.heldInstances(), 0
	maybe = len(instances) > 0
	for _, id := range instances {
		maybe = maybe && r.silentTries(id) > 0
		if note := r.LockNote(id); note != "" {
			lines = append(lines, fmt.Sprintf("%s: %s", id, note))
		} else {
			rest++
		}
	}
	switch {
	case rest > 0 && len(lines) > 0:
		lines = append(lines, "the unlocks of the others did not succeed")
	case len(lines) == 0 && len(r.Ending.Held) == 1:
		lines = append(lines, "its unlock did not succeed")
	case len(lines) == 0:
		lines = append(lines, "their unlocks did not succeed")
	}
	return strings.Join(lines, "\n"), maybe
}

// silentMessage says which instances did not answer when they were to be unlocked,
// and nothing of whether they are locked; empty where none did not.
func (r *Run) silentMessage() Message {
	var m Message
	var lines []string
	for _, id := range r.heldInstances() {
		if n := r.silentTries(id); n > 0 {
			m.What = "not every instance answered when it was to be unlocked"
			lines = append(lines, fmt.Sprintf("%s: no answer in %s", id, triesText(n)))
		}
	}
	m.Why = strings.Join(lines, "\n")
	return m
}

// heldInstances are those with jobs that may still be locked, in the plan's order.
func (r *Run) heldInstances() []InstanceID {
	var ids []InstanceID
	for _, s := range r.held() {
		if !slices.Contains(ids, s.Instance) {
			ids = append(ids, s.Instance)
		}
	}
	return ids
}
