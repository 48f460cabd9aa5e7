package cli

import (
	"fmt"
	"strings"
	"time"

	"lockstep"
)

// summarize shows on stdout how a run ended, on stderr what went wrong and what
// to type next, and gives the run's exit code.
func (i *invocation) summarize(run *lockstep.Run) error {
	if run.Ending == nil {
		return nil // no longer watched
	}
	rep := run.Report(i.Now())
	if i.json() {
		if err := i.writeJSON(rep); err != nil {
			return err
		}
	} else {
		i.summaryTable(rep)
	}
	i.complainOf(rep)
	return status(runExitCode(run))
}

// runExitCode is a run's exit code: its own bits, and that of a refusal
// because of held jobs, which is a failure outside of any step.
func runExitCode(run *lockstep.Run) int {
	code := run.Ending.ExitCode
	for _, f := range run.Failures {
		if f.Kind == lockstep.KindHeld {
			code |= lockstep.ExitHeld
		}
	}
	return code
}

// lastLinesShown is how much of a long error is repeated at the very end.
const lastLinesShown = 4

// complainOf says what went wrong in a run.
func (i *invocation) complainOf(rep lockstep.RunReport) {
	hint := rep.Hint
	if len(rep.Held) > 0 {
		hint = joinLines(hint, heldHint(rep))
	}
	switch {
	case rep.Error != nil:
		what := brief(*rep.Error, lastLinesShown)
		if what != *rep.Error {
			hint = joinLines(hint, fmt.Sprintf("`lockstep runs show %s` shows all of it", rep.ID))
		}
		i.complain(about(rep)+strings.TrimPrefix(what, about(rep)), hint)
	case rep.ExitCode != 0:
		i.complain(about(rep)+string(rep.State),
			joinLines(hint, fmt.Sprintf("`lockstep runs show %s` shows every step", rep.ID)))
	}
}

// about begins a message about a run: "backup shop: ".
func about(rep lockstep.RunReport) string {
	return fmt.Sprintf("%s %s: ", rep.Operation, rep.Deployment)
}

func heldHint(rep lockstep.RunReport) string {
	restore := ""
	if rep.Operation == lockstep.OperationRestore {
		restore = " --restore"
	}
	return fmt.Sprintf("still locked: %s; `lockstep cleanup %s%s` tries to unlock again\n"+
		"if you have unlocked by hand: `lockstep runs ack %s --job %s --reason …`",
		strings.Join(slotNames(rep.Held), ", "), rep.Deployment, restore, rep.ID, rep.Held[0])
}

func joinLines(a, b string) string { return strings.Trim(a+"\n"+b, "\n") }

// summaryTable is a run in a few lines, with its artifacts or its jobs.
func (i *invocation) summaryTable(rep lockstep.RunReport) {
	t := newTable()
	add := func(name string, value any) { t.add(cell{name, i.out.faint}, value) }
	add("run", rep.ID)
	add("operation", fmt.Sprintf("%s of %s", rep.Operation, rep.Deployment))
	add("state", cell{string(rep.State), i.out.state})
	if rep.Data != nil {
		add("data", cell{string(*rep.Data), i.out.state})
	}
	if rep.Locks != nil {
		add("locks", cell{locksText(rep), func(s string) string { return i.out.state(s) }})
	}
	if rep.LockWindow != nil {
		add("lock window", windowText(rep))
	}
	if rep.Backup != nil && (rep.Data == nil || *rep.Data != lockstep.DataNone) {
		add("backup", *rep.Backup)
	}
	if rep.EndedAt != nil {
		add("took", span(rep.EndedAt.Sub(rep.StartedAt)))
	}
	t.write(i.Stdout, i.out)
	i.artifactTable(rep.Artifacts)
	i.jobTable(rep.Jobs)
	i.warnings(rep.Warnings)
}

// noLock is shown of a run that ended before it locked anything: "released"
// would read as if something that an earlier run holds had been unlocked.
const noLock = "none taken"

func locksText(rep lockstep.RunReport) string {
	if *rep.Locks == lockstep.LocksReleased && rep.LockWindow == nil {
		return noLock
	}
	switch {
	case len(rep.Held) > 0:
	case *rep.Locks == lockstep.LocksHeld:
		return "held by an earlier run"
	default:
		return string(*rep.Locks)
	}
	return string(*rep.Locks) + ": " + strings.Join(slotNames(rep.Held), ", ")
}

// windowText is the lock window with the orchestrator's own share of it.
func windowText(rep lockstep.RunReport) string {
	text := spanOfSeconds(*rep.LockWindow)
	if rep.Overhead != nil && *rep.LockWindow > 0 {
		text += fmt.Sprintf(", of which %s (%.0f%%) the orchestrator's own", spanOfSeconds(*rep.Overhead), 100**rep.Overhead / *rep.LockWindow)
	}
	return text
}

func (i *invocation) artifactTable(artifacts []lockstep.Artifact) {
	if len(artifacts) == 0 {
		return
	}
	fmt.Fprintln(i.Stdout)
	t := newTable("INSTANCE", "JOB", "ARTIFACT", ">SIZE", ">ENTRIES")
	for _, a := range artifacts {
		t.add(a.Instance, a.Job, a.Name, size(a.Bytes), a.Entries)
	}
	t.write(i.Stdout, i.out)
}

func (i *invocation) jobTable(jobs []lockstep.JobResult) {
	if len(jobs) == 0 {
		return
	}
	fmt.Fprintln(i.Stdout)
	t := newTable("INSTANCE", "JOB", "DATA")
	for _, j := range jobs {
		t.add(j.Instance, j.Job, cell{string(j.Data), i.out.state})
	}
	t.write(i.Stdout, i.out)
}

func (i *invocation) warnings(warnings []string) {
	for k, w := range warnings {
		if k == 0 {
			fmt.Fprintln(i.Stdout)
		}
		fmt.Fprintf(i.Stdout, "%s %s\n", i.out.warn("warning:"), line(w))
	}
}

// stepTook is how long a try took, or has taken so far.
func stepTook(s lockstep.StepView, now time.Time) string {
	switch {
	case s.StartedAt == nil:
		return ""
	case s.EndedAt == nil:
		return span(now.Sub(*s.StartedAt))
	}
	return span(s.EndedAt.Sub(*s.StartedAt))
}
