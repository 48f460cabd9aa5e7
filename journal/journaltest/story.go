package journaltest

import (
	"fmt"
	"time"

	"lockstep"
)

// Story writes the events of one run, numbered and timed. It is a
// convenience of tests, not safe for concurrent use.
type Story struct {
	Run  lockstep.RunID
	Key  lockstep.DeploymentKey
	Seq  uint64
	Term uint64
	// Now is the time of the next event; each one is a second after the last.
	Now  time.Time
	Plan lockstep.Plan
}

// epoch is when the stories begin.
var epoch = time.Date(2026, 11, 22, 14, 42, 41, 123456789, time.UTC)

// NewStory is the story of a run that has not begun.
func NewStory(run lockstep.RunID, key lockstep.DeploymentKey) *Story {
	return &Story{Run: run, Key: key, Term: 1, Now: epoch}
}

// Event is the next event of the run.
func (s *Story) Event(data lockstep.EventData) lockstep.Event {
	s.Seq++
	s.Now = s.Now.Add(time.Second)
	return lockstep.Event{V: lockstep.EventVersion, Run: s.Run, Seq: s.Seq, Term: s.Term, Time: s.Now, Data: data}
}

// Events are the next events of the run.
func (s *Story) Events(data ...lockstep.EventData) []lockstep.Event {
	events := make([]lockstep.Event, 0, len(data))
	for _, d := range data {
		events = append(events, s.Event(d))
	}
	return events
}

// Opened is what begins the run.
func (s *Story) Opened(op lockstep.Operation) lockstep.RunOpened {
	return lockstep.RunOpened{
		Operation: op, Deployment: s.Deployment(), Key: s.Key, Owner: "host, process 1", Policy: lockstep.LockstepPolicy(),
		Request: lockstep.Request{Operation: op, Deployment: s.Deployment()}, Version: "test",
	}
}

// Deployment is the name of the story's deployment.
func (s *Story) Deployment() string { return "name-of-" + string(s.Key) }

// Planned plans a run of one job on so many instances: a wave each of lock,
// work, unlock.
func (s *Story) Planned(op lockstep.Operation, instances int) lockstep.RunPlanned {
	kinds := map[lockstep.Stage]lockstep.ScriptKind{
		lockstep.StageLock: "pre-backup-lock", lockstep.StageWork: "backup", lockstep.StageUnlock: "post-backup-unlock",
	}
	s.Plan = lockstep.Plan{
		Operation: op, Deployment: s.Deployment(), Key: s.Key, Policy: lockstep.LockstepPolicy(),
		Backup: lockstep.NewBackupID(s.Deployment(), epoch),
	}
	for _, stage := range []lockstep.Stage{lockstep.StageLock, lockstep.StageWork, lockstep.StageUnlock} {
		w := lockstep.Wave{Stage: stage, Number: 1}
		for i := range instances {
			step := lockstep.Step{
				ID: StepOf(stage, i), Stage: stage, Wave: 1, Slot: SlotOf(i), Timeout: time.Hour,
				Instance: lockstep.InstanceID(fmt.Sprintf("db/%d", i)),
				Script:   &lockstep.Script{Kind: kinds[stage], Path: "/jobs/pg/bin/" + string(kinds[stage])},
			}
			if stage == lockstep.StageUnlock {
				step.Of = StepOf(lockstep.StageLock, i)
			}
			w.Steps = append(w.Steps, step)
		}
		s.Plan.Waves = append(s.Plan.Waves, w)
	}
	return lockstep.RunPlanned{Plan: s.Plan, Digest: s.Plan.Digest()}
}

// StepOf is the id of a story's step on its i-th instance.
func StepOf(stage lockstep.Stage, i int) lockstep.StepID {
	return lockstep.StepID(fmt.Sprintf("db/%d/pg/%s", i, stage))
}

// SlotOf is the slot of the job on the i-th instance.
func SlotOf(i int) lockstep.Slot {
	return lockstep.Slot{Group: "db", Index: fmt.Sprint(i), Job: "pg"}
}

// Begun are the events of a run up to its plan.
func (s *Story) Begun(op lockstep.Operation, instances int) []lockstep.Event {
	return s.Events(s.Opened(op), s.Planned(op, instances))
}

// Started are the starts of all steps of a stage.
func (s *Story) Started(stage lockstep.Stage) []lockstep.Event {
	var events []lockstep.Event
	for _, step := range s.Plan.Steps(stage) {
		events = append(events, s.Event(lockstep.StepStarted{Step: step.ID, Attempt: 1}))
	}
	return events
}

// Finished are the ends of all steps of a stage.
func (s *Story) Finished(stage lockstep.Stage, o lockstep.Outcome) []lockstep.Event {
	var events []lockstep.Event
	for _, step := range s.Plan.Steps(stage) {
		events = append(events, s.Event(lockstep.StepFinished{Step: step.ID, Attempt: 1, Outcome: o}))
	}
	return events
}

// Ended is the end of the run.
func (s *Story) Ended(state lockstep.RunState) lockstep.Event {
	e := lockstep.Ending{State: state, Data: lockstep.DataVerified, Locks: lockstep.LocksReleased}
	if state != lockstep.RunSucceeded {
		e.Data, e.Error, e.ExitCode = lockstep.DataNone, "it went wrong", lockstep.ExitError
	}
	return s.Event(lockstep.RunEnded{Ending: e})
}
