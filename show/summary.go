package show

import (
	"fmt"
	"strings"
	"time"

	"lockstep"
)

// Summarize shows on stdout how a run ended, on stderr what went wrong and what
// to type next.
func (t *Terminal) Summarize(run *lockstep.Run) error {
	rep := run.Report(t.now())
	if t.JSON() {
		if err := t.WriteJSON(rep); err != nil {
			return err
		}
	} else {
		t.SummaryTable(rep)
	}
	t.complainOf(rep)
	return nil
}

// shownAtEnd is how many things that went wrong in a run are told at its end.
const shownAtEnd = 4

// complainOf says what went wrong in a run.
func (t *Terminal) complainOf(rep lockstep.RunReport) {
	if rep.ExitCode == 0 {
		return
	}
	if len(rep.Failures) == 0 {
		t.Complain(lockstep.Message{
			What: about(rep) + string(rep.State), Hint: fmt.Sprintf("`lockstep runs show %s` shows every step", rep.ID),
		})
	}
	told := MostTelling(rep.Failures, shownAtEnd)
	for k, f := range told {
		if f.What+": " != about(rep) {
			f.What = about(rep) + strings.TrimPrefix(f.What, about(rep))
		}
		if f.Tries > 1 {
			f.What += fmt.Sprintf(", %d times", f.Tries)
		}
		if more := len(rep.Failures) - len(told); k == len(told)-1 && more > 0 {
			f.Hint = strings.Trim(fmt.Sprintf("%s\n`lockstep runs show %s` shows %d failures more", f.Hint, rep.ID, more), "\n")
		}
		t.Complain(f.Message)
	}
}

// MostTelling are at most n of what went wrong: the first, and the last, which
// say what is left.
func MostTelling(all []lockstep.Trouble, n int) []lockstep.Trouble {
	if len(all) <= n {
		return all
	}
	return append(all[:n/2:n/2], all[len(all)-(n-n/2):]...)
}

// about begins a message about a run: "backup shop: ".
func about(rep lockstep.RunReport) string {
	return fmt.Sprintf("%s %s: ", rep.Operation, rep.Deployment)
}

// SummaryTable is a run in a few lines, with its artifacts or its jobs.
func (t *Terminal) SummaryTable(rep lockstep.RunReport) {
	rows := NewTable()
	add := func(name string, value any) { rows.Add(Cell{name, t.Out.Faint}, value) }
	add("run", rep.ID)
	add("operation", fmt.Sprintf("%s of %s", rep.Operation, rep.Deployment))
	add("state", Cell{string(rep.State), t.Out.State})
	if rep.Data != nil {
		add("data", Cell{string(*rep.Data), t.Out.State})
	}
	if rep.Locks != nil {
		add("locks", Cell{locksText(rep), func(s string) string { return t.Out.State(s) }})
	}
	if rep.LockWindow != nil {
		add("lock window", windowText(rep))
	}
	if rep.Backup != nil && (rep.Data == nil || *rep.Data != lockstep.DataNone) {
		add("backup", *rep.Backup)
	}
	if rep.EndedAt != nil {
		add("took", Span(rep.EndedAt.Sub(rep.StartedAt)))
	}
	t.Table(rows)
	t.ArtifactTable(rep.Artifacts)
	t.jobTable(rep.Jobs)
	t.warnings(rep.Warnings)
}

// NoLock is shown of a run that ended before it locked anything: "released"
// would read as if something that an earlier run holds had been unlocked.
const NoLock = "none taken"

func locksText(rep lockstep.RunReport) string {
	if rep.SettledBy != "" {
		return fmt.Sprintf("%s, settled by %s", *rep.Locks, rep.SettledBy)
	}
	if *rep.Locks == lockstep.LocksReleased && rep.LockWindow == nil {
		return NoLock
	}
	switch {
	case len(rep.Held) > 0:
	case *rep.Locks == lockstep.LocksHeld:
		return "held by an earlier run"
	default:
		return string(*rep.Locks)
	}
	return string(*rep.Locks) + ": " + strings.Join(SlotNames(rep.Held), ", ")
}

// windowText is the lock window with the orchestrator's own share of it.
func windowText(rep lockstep.RunReport) string {
	text := SpanOfSeconds(*rep.LockWindow)
	if rep.Overhead != nil && *rep.LockWindow > 0 {
		text += fmt.Sprintf(", %s (%.0f%%) of it orchestrator overhead", SpanOfSeconds(*rep.Overhead), 100**rep.Overhead / *rep.LockWindow)
	}
	return text
}

func (t *Terminal) ArtifactTable(artifacts []lockstep.Artifact) {
	if len(artifacts) == 0 {
		return
	}
	fmt.Fprintln(t.stdout)
	rows := NewTable("INSTANCE", "JOB", "ARTIFACT", ">SIZE", ">ENTRIES")
	for _, a := range artifacts {
		rows.Add(a.Instance, a.Job, a.Name, Size(a.Bytes), a.Entries)
	}
	t.Table(rows)
}

func (t *Terminal) jobTable(jobs []lockstep.JobResult) {
	if len(jobs) == 0 {
		return
	}
	fmt.Fprintln(t.stdout)
	rows := NewTable("INSTANCE", "JOB", "DATA")
	for _, j := range jobs {
		rows.Add(j.Instance, j.Job, Cell{string(j.Data), t.Out.State})
	}
	t.Table(rows)
}

func (t *Terminal) warnings(warnings []string) {
	for k, w := range warnings {
		if k == 0 {
			fmt.Fprintln(t.stdout)
		}
		fmt.Fprintf(t.stdout, "%s %s\n", t.Out.Warn("warning:"), Line(w))
	}
}

// StepTook is how long a try took, or has taken so far.
func StepTook(s lockstep.StepView, now time.Time) string {
	switch {
	case s.StartedAt == nil:
		return ""
	case s.EndedAt == nil:
		return Span(now.Sub(*s.StartedAt))
	}
	return Span(s.EndedAt.Sub(*s.StartedAt))
}

// Failures shows on stdout all that went wrong in a run.
func (t *Terminal) Failures(all []lockstep.Trouble) {
	for _, f := range all {
		times := ""
		if f.Tries > 1 {
			times = fmt.Sprintf(", %d times", f.Tries)
		}
		fmt.Fprintf(t.stdout, "\n%s %s%s\n", t.Out.Bad("error:"), Line(f.What), times)
		for _, part := range []struct{ name, text string }{{"why:", f.Why}, {"hint:", t.typed(f.Hint)}} {
			if part.text != "" {
				fmt.Fprintf(t.stdout, "%s %s\n", t.Out.Strong(part.name), Indent(Clean(part.text), "    "))
			}
		}
		if t.look.Verbose && f.Chain != "" {
			fmt.Fprintf(t.stdout, "%s %s\n", t.Out.Faint("chain:"), Indent(Clean(f.Chain), "    "))
		}
	}
}
