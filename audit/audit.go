// Package audit judges runs from the outside: it reads a run's journal, and
// where somebody watched the instances what they really did, and lists the
// promises that were broken.
//
// It shares no code with what drives runs. It uses the root package's plain
// values (events, plans, outcomes) and works out everything else itself: what
// was owed an unlock, what was held, what the data was worth. So a defect in
// the deciding code cannot hide itself here.
//
// Words: a promise is a rule that every run keeps; a violation is a place
// where one did not; truth is what instances and repository really did; an act
// is one script or transfer that really ran; a lapse is an instance that let
// go of its locks by itself.
package audit

import (
	"fmt"
	"time"

	"lockstep"
)

// Promise names one rule that every run keeps.
type Promise string

// The promises.
const (
	Journal  Promise = "journal"  // events are numbered without a gap, terms never fall, tries are well formed
	Terminal Promise = "terminal" // the run has ended
	Unlock   Promise = "unlock"   // what was locked is unlocked afterwards, as often as the policy says
	Barrier  Promise = "barrier"  // nothing begins before what comes before it has ended everywhere
	Straight Promise = "straight" // nothing locks or works unless all before it went well and nobody canceled
	Reverse  Promise = "reverse"  // locks are taken in the plan's order and let go in the reverse one
	Repeat   Promise = "repeat"   // only what may be repeated is
	Bounded  Promise = "bounded"  // no try outlives its deadline, no lock max_lock
	Success  Promise = "success"  // a run that says succeeded did everything, and did it well
	Data     Promise = "data"     // what the run says of its data is so
	Held     Promise = "held"     // the list of held jobs names those that may be locked, and no others
	ExitCode Promise = "exit-code"
	Intent   Promise = "intent" // nothing is done to an instance that was not durable first
	Outcomes Promise = "outcomes"
	Told     Promise = "told"    // unlock scripts are told the truth about the backup scripts
	Uncut    Promise = "uncut"   // no unlock script is killed before its deadline
	Confirm  Promise = "confirm" // the list of instances was read again just before anything was locked, and had not changed
	Clean    Promise = "clean"   // after a clean step that ended well nothing of the run is left
)

// Violation is a promise that a run did not keep.
type Violation struct {
	Promise Promise
	// Seq is the event at which it shows, 0 where there is none.
	Seq     uint64
	Message string
}

// String is one line for people.
func (v Violation) String() string {
	if v.Seq == 0 {
		return fmt.Sprintf("%s: %s", v.Promise, v.Message)
	}
	return fmt.Sprintf("%s: event %d: %s", v.Promise, v.Seq, v.Message)
}

// Truth is what instances and repository really did for one run, on the same
// clock as its events.
type Truth struct {
	Acts   []Act
	Lapses []Lapse
	// Locked are the slots that were really locked when the run had ended.
	Locked []lockstep.Slot
	// Left says what of the run was on each instance when it had ended.
	Left map[lockstep.InstanceID][]string
	// Unwritten: for a part of the run the journal could not be written. What
	// was owed was unlocked and cleaned all the same, and left no trace.
	Unwritten bool
	// Changed is when the deployment's list of instances became another one,
	// zero if it never did.
	Changed time.Time
	// Committed is the manifest in the repository, nil if there is none.
	Committed *lockstep.Backup
}

// Act is one script or transfer that really ran.
type Act struct {
	Step    lockstep.StepID
	Attempt int
	Env     []string
	Started time.Time
	Ended   time.Time // zero: it never ended
	Outcome lockstep.Outcome
	// Killed: the orchestrator sent it a signal.
	Killed bool
}

// Lapse is the moment when an instance let go of its locks by itself: its
// lease ran out, or it restarted.
type Lapse struct {
	Instance lockstep.InstanceID
	At       time.Time
}

// Check judges one run. Events are all of its events in order; truth may be
// nil, and then only what the journal alone can show is judged. A run that is
// still under way shows as a violation of Terminal. No violations, no result.
func Check(events []lockstep.Event, truth *Truth) []Violation {
	h := read(events)
	h.checkUnlocked()
	h.checkPlan()
	h.checkBounds()
	h.checkEnding()
	if truth != nil {
		h.checkTruth(truth)
	}
	return h.violations
}
