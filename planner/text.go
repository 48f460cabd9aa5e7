package planner

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"lockstep"
)

// Text shows a plan to people: what is run in which order, on which instances,
// why in that order, what comes of it, and what to know. Each line of the
// order is one wave, or a part of one: nothing in a line below starts before
// all of the wave above has ended.
func Text(p lockstep.Plan) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\n", headline(p))
	writeTable(&b, waveRows(p))
	section(&b, "Lock order", orderLines(p))
	section(&b, "Artifacts", artifactLines(p))
	section(&b, "Warnings", p.Warnings)
	return b.String()
}

func headline(p lockstep.Plan) string {
	s := fmt.Sprintf("%s of %s", p.Operation, p.Deployment)
	if p.Operation == lockstep.OperationRestore {
		s += fmt.Sprintf(" from %s", p.Backup)
	}
	s += ", " + count(len(p.Instances), "instance")
	for _, x := range []struct {
		stage lockstep.Stage
		what  string
	}{
		{lockstep.StageLock, "lock script"}, {lockstep.StageWork, string(p.Operation) + " script"}, {lockstep.StageUnlock, "unlock script"},
	} {
		if n := len(p.Steps(x.stage)); n > 0 {
			s += ", " + count(n, x.what)
		}
	}
	if p.Partial {
		s += " (a part only)"
	}
	return s
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// waveRows are the rows of the order: stage and wave, job, script or artifact,
// instances.
func waveRows(p lockstep.Plan) [][]string {
	waves := map[lockstep.Stage]int{}
	for _, w := range p.Waves {
		waves[w.Stage]++
	}
	var rows [][]string
	for _, w := range p.Waves {
		name := string(w.Stage)
		if waves[w.Stage] > 1 {
			name = fmt.Sprintf("%s %d", w.Stage, w.Number)
		}
		for _, g := range groupsOf(p, w.Steps) {
			rows = append(rows, []string{name, g.job, g.what, g.where})
			name = ""
		}
	}
	return rows
}

// group is what one row shows: steps that are alike but for their instances.
type group struct{ job, what, where string }

func groupsOf(p lockstep.Plan, steps []lockstep.Step) []group {
	var out []group
	for _, s := range steps {
		g := describe(p, s)
		i := slices.IndexFunc(out, func(x group) bool { return x.job == g.job && x.what == g.what })
		if i < 0 {
			out = append(out, g)
			continue
		}
		sep := ", "
		if s.After != "" {
			sep = ", then "
		}
		out[i].where += sep + g.where
	}
	return out
}

func describe(p lockstep.Plan, s lockstep.Step) group {
	g := group{s.Job(), "", s.Where()}
	switch {
	case s.Script != nil:
		g.what = fmt.Sprintf("%s (at most %s)", s.Script.Kind, span(s.Timeout))
		if s.Stage == lockstep.StageUnlock && s.Of == "" && p.Operation != lockstep.OperationCleanup {
			g.what += ", has no lock"
		}
	case s.ID == lockstep.StepInstances:
		g.where = "the list of instances again"
	case s.Instance == "" && s.Artifact != "":
		g.where += " " + s.Artifact
	}
	return g
}

// span is a duration without its empty parts: "1h", not "1h0m0s".
func span(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

func orderLines(p lockstep.Plan) []string {
	var lines []string
	if p.Policy.LockFree && p.Operation != lockstep.OperationCleanup {
		return nil
	}
	for _, e := range p.Order {
		lines = append(lines, fmt.Sprintf("%s is locked before %s, and unlocked after it", e.First, e.Then))
	}
	return lines
}

func artifactLines(p lockstep.Plan) []string {
	var lines []string
	for _, a := range p.Artifacts {
		place := fmt.Sprintf("%s on %s, in %s", a.Slot.Job, a.Instance, p.Locations.ArtifactDir(a.Dir))
		link := "<-"
		if p.Operation == lockstep.OperationRestore {
			link = "->"
		}
		line := fmt.Sprintf("%s %s %s", a.Name, link, place)
		if a.Custom {
			line += " (one for all instances)"
		}
		lines = append(lines, line)
	}
	return lines
}

func section(b *strings.Builder, title string, lines []string) {
	if len(lines) == 0 {
		return
	}
	fmt.Fprintf(b, "\n%s\n", title)
	for _, l := range lines {
		fmt.Fprintf(b, "  %s\n", l)
	}
}

// writeTable aligns all columns but the last; a column that is empty in every
// row is left out.
func writeTable(b *strings.Builder, rows [][]string) {
	widths := map[int]int{}
	for _, r := range rows {
		for i, cell := range r {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	for _, r := range rows {
		line := ""
		for i, cell := range r {
			if widths[i] > 0 {
				line += "  " + cell + strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			}
		}
		fmt.Fprintln(b, strings.TrimRight(line, " "))
	}
}
