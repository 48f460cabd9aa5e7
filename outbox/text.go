package outbox

import (
	"fmt"
	"strings"
	"time"

	"lockstep"
)

func started(r lockstep.RunSummary) lockstep.Notice {
	return lockstep.Notice{
		Kind: lockstep.NoticeStarted, Deployment: r.Deployment, Key: r.Key, Operation: string(r.Operation), Run: r.ID,
		State: lockstep.RunRunning, StartedAt: r.StartedAt,
		Title: fmt.Sprintf("%s of %s has begun", r.Operation, r.Deployment),
		Hint:  fmt.Sprintf("lockstep runs watch %s", r.ID),
	}
}

// ended is the notice of a run's end. What a script printed is not in it: that
// may be anything, a secret too.
func ended(run *lockstep.Run) lockstep.Notice {
	e := run.Ending
	if e == nil {
		e = &lockstep.Ending{State: lockstep.RunRunning}
	}
	n := lockstep.Notice{
		Kind: lockstep.NoticeFailed, Deployment: run.Opened.Deployment, Key: run.Opened.Key, Operation: string(run.Opened.Operation),
		Run: run.ID, State: e.State, Data: e.Data, Locks: e.Locks, ExitCode: e.ExitCode,
		StartedAt: run.OpenedAt, EndedAt: run.EndedAt, LockWindow: run.LockWindow(run.EndedAt).Seconds(), Held: names(e.Held),
		Hint: fmt.Sprintf("lockstep runs show %s", run.ID),
	}
	if e.Data != lockstep.DataNone {
		n.Backup = run.BackupID()
	}
	took := run.EndedAt.Sub(run.OpenedAt).Round(time.Second)
	if e.State == lockstep.RunSucceeded {
		n.Kind = lockstep.NoticeSucceeded
		n.Title = fmt.Sprintf("%s of %s has succeeded", n.Operation, n.Deployment)
		n.Text = fmt.Sprintf("It took %s; the system stood still for %.1f s.", took, n.LockWindow)
		return n
	}
	n.Title = fmt.Sprintf("%s of %s %s", n.Operation, n.Deployment, map[lockstep.RunState]string{
		lockstep.RunFailedState: "has failed", lockstep.RunCanceled: "was canceled", lockstep.RunInterrupted: "was interrupted",
	}[e.State])
	n.Text = cause(run)
	if len(e.Held) > 0 {
		n.Title += ", and something may still be locked"
		all := run.Troubles()
		n.Hint += "; " + all[len(all)-1].Hint // what is still locked comes last
	}
	return n
}

// failures say what a failure outside of steps was, by its kind: its own words
// may hold what a script printed.
var failures = map[lockstep.Kind]string{
	lockstep.KindConflict:    "Another run, or its leftovers, stood in the way.",
	lockstep.KindHeld:        "Jobs may still be locked by an earlier run.",
	lockstep.KindRefused:     "A safety rule refused it.",
	lockstep.KindInvalid:     "The deployment's specification or a job's metadata is wrong.",
	lockstep.KindNotFound:    "Something that it needs is not there.",
	lockstep.KindUnavailable: "Something that it needs did not answer.",
}

// cause says what went wrong, in the orchestrator's words alone.
func cause(run *lockstep.Run) string {
	var said []string
	if len(run.Failures) > 0 {
		text, ok := failures[run.Failures[0].Kind]
		if !ok {
			text = "It failed outside of its steps."
		}
		said = append(said, text)
	}
	if run.Overrun {
		said = append(said, "The lock window was longer than max_lock.")
	}
	if run.Recovered {
		said = append(said, "Its orchestrator died; another one has settled it.")
	}
	for _, note := range run.LockNotes() {
		said = append(said, note+".")
	}
	said = append(said, failedSteps(run)...)
	return strings.Join(said, " ")
}

// toldSteps is how many failed steps a notice names.
const toldSteps = 5

func failedSteps(run *lockstep.Run) []string {
	if run.Plan == nil {
		return nil
	}
	told := map[lockstep.StepID]bool{} // what did not answer is told with its locks
	for _, t := range run.Troubles() {
		told[t.Step] = true
	}
	var said []string
	more := 0
	for _, w := range run.Plan.Waves {
		for _, s := range w.Steps {
			last := run.Steps[s.ID].Last()
			if last == nil || last.Running() || last.Outcome.OK() || !told[s.ID] {
				continue
			}
			if len(said) == toldSteps {
				more++
				continue
			}
			said = append(said, fmt.Sprintf("%s: %s.", s.ID, last.Outcome))
		}
	}
	if more > 0 {
		said = append(said, fmt.Sprintf("%d more steps failed.", more))
	}
	return said
}

func names(slots []lockstep.Slot) []string {
	var list []string
	for _, s := range slots {
		list = append(list, s.String())
	}
	return list
}
