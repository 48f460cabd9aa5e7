package show

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"lockstep"
)

// narrow is the width below which instances are shown without columns.
const narrow = 64

// shownFailures is how many failures the live view lists.
const shownFailures = 3

// Render draws the view for a terminal of that size. It never makes more lines
// than fit, nor longer ones.
func (v *liveView) Render(now time.Time, width, height int) string {
	if v.run.ID == "" {
		return "starting …"
	}
	top := []string{v.title(now, width)}
	if v.run.Plan == nil {
		return strings.Join(append(top, Clip("finding instances and their scripts …", width)), "\n")
	}
	top = append(top, v.stageBar(width), v.lockLine(now, width))
	bottom := v.bottom(width)
	rows := v.table(now, width, height-len(top)-len(bottom)-1)
	return strings.Join(append(append(append(top, ""), rows...), bottom...), "\n")
}

// title names the run, with its running time at the right.
func (v *liveView) title(now time.Time, width int) string {
	end := now
	if v.run.Ending != nil {
		end = v.run.EndedAt
	}
	name := fmt.Sprintf("%s %s", v.run.Opened.Operation, Line(v.run.Opened.Deployment))
	id := "  " + string(v.run.ID)
	took := clock(end.Sub(v.run.OpenedAt))
	if utf8.RuneCountInString(name+id+took)+1 > width {
		id = ""
	}
	name = Clip(name, max(1, width-len(took)-1))
	gap := max(1, min(width, 100)-utf8.RuneCountInString(name+id+took))
	return v.colour.Strong(name) + v.colour.Faint(id) + strings.Repeat(" ", gap) + took
}

// stageBar is every stage with how far it is.
func (v *liveView) stageBar(width int) string {
	var plain, painted []string
	for _, stage := range v.stages {
		var t tally
		for _, r := range v.rows {
			t = t.plus(v.tally(r.steps[stage]))
		}
		c := v.cell(t)
		text := string(stage) + " " + c.Text
		if t.failed > 0 {
			text = fmt.Sprintf("%s %s%d", stage, c.Text, t.failed)
		}
		plain = append(plain, text)
		painted = append(painted, paintIf(c.Paint, text))
	}
	if bar := strings.Join(plain, "  "); utf8.RuneCountInString(bar) > width {
		return Clip(v.currentStage(), width)
	}
	return strings.Join(painted, "  ")
}

// currentStage is the stage bar of a narrow terminal: the stages that run.
func (v *liveView) currentStage() string {
	var now []string
	for k, stage := range v.stages {
		for _, r := range v.rows {
			if v.tally(r.steps[stage]).running > 0 {
				now = append(now, fmt.Sprintf("%s (%d/%d)", stage, k+1, len(v.stages)))
				break
			}
		}
	}
	return strings.Join(now, ", ")
}

func paintIf(paint func(string) string, s string) string {
	if paint == nil {
		return s
	}
	return paint(s)
}

// lockLine tells how long the deployment has stood still.
func (v *liveView) lockLine(now time.Time, width int) string {
	window, still, ever := lockedFor(v.run, now)
	switch {
	case !ever && len(v.run.Plan.Steps(lockstep.StageLock)) == 0:
		return Clip("nothing is locked in this run", width)
	case !ever:
		return Clip("not locked yet", width)
	case !still:
		return v.colour.Good(Clip("locks released after "+Span(window), width))
	}
	text := "locked for " + clock(window)
	if most := v.run.Plan.Policy.MaxLock; most > 0 {
		text += " of at most " + clock(most)
	}
	if steps, kill := v.run.Stopping(); len(steps) > 0 {
		text += ": " + StoppingText(steps, kill, now)
	} else if v.run.Broken() {
		text += ": unlocking " + strings.Join(SlotNames(v.run.Locked()), ", ")
	}
	return v.colour.Warn(Clip(text, width))
}

// table is a row for each instance; of more than fit, those in which something
// happens or went wrong come first.
func (v *liveView) table(now time.Time, width, height int) []string {
	room := max(1, height-1) // the heading
	rows, left := v.chosen(room)
	var out []string
	if width < narrow {
		out = v.narrowRows(rows, now, width)
	} else {
		out = v.wideRows(rows, now, width)
	}
	if left > 0 {
		out = append(out, v.colour.Faint(Clip(fmt.Sprintf("… and %d more", left), width)))
	}
	return out
}

// chosen are the rows to show, and how many are left out.
func (v *liveView) chosen(room int) (rows []liveRow, left int) {
	if len(v.rows) <= room {
		return v.rows, 0
	}
	room = max(1, room-1) // the line that counts the others
	var busy, idle []liveRow
	for _, r := range v.rows {
		var t tally
		for _, ids := range r.steps {
			t = t.plus(v.tally(ids))
		}
		if t.running > 0 || t.failed > 0 {
			busy = append(busy, r)
		} else {
			idle = append(idle, r)
		}
	}
	rows = append(busy, idle...)[:room]
	return rows, len(v.rows) - room
}

func (v *liveView) wideRows(rows []liveRow, now time.Time, width int) []string {
	nameWidth := len("INSTANCE")
	for _, r := range rows {
		nameWidth = max(nameWidth, min(utf8.RuneCountInString(r.name), 24))
	}
	head := pad("INSTANCE", nameWidth)
	for _, stage := range v.stages {
		head += " " + strings.ToUpper(string(stage))
	}
	out := []string{v.colour.Strong(Clip(head, width))}
	for _, r := range rows {
		text, used := pad(Clip(Line(r.name), nameWidth), nameWidth), nameWidth
		for _, stage := range v.stages {
			c := v.cell(v.tally(r.steps[stage]))
			n := len(stage)
			text += " " + paintIf(c.Paint, c.Text) + strings.Repeat(" ", max(0, n-utf8.RuneCountInString(c.Text)))
			used += 1 + n
		}
		if room := width - used - 2; room > 8 {
			text += "  " + Clip(Line(v.doing(r, now)), room)
		}
		out = append(out, strings.TrimRight(text, " "))
	}
	return out
}

func (v *liveView) narrowRows(rows []liveRow, now time.Time, width int) []string {
	var out []string
	for _, r := range rows {
		var all tally
		for _, ids := range r.steps {
			all = all.plus(v.tally(ids))
		}
		text := fmt.Sprintf("%s %d/%d %s", r.name, all.ok, all.all, v.doing(r, now))
		if all.failed > 0 {
			text = "✗ " + text
		}
		out = append(out, Clip(strings.TrimRight(Line(text), " "), width))
	}
	return out
}

// bottom is the sum of the transfers and the last failures.
func (v *liveView) bottom(width int) []string {
	var out []string
	if all, n := v.meter.Sum(); n > 1 {
		out = append(out, "", Clip(fmt.Sprintf("%s: %s", Plural(n, "transfer"), flowText(all)), width))
	}
	if len(v.failed) == 0 || v.run.Ending != nil { // what comes after the view says it all
		return out
	}
	out = append(out, "")
	first := max(0, len(v.failed)-shownFailures)
	if first > 0 {
		out = append(out, v.colour.Faint(Clip(fmt.Sprintf("%s before", Plural(first, "failure")), width)))
	}
	for _, f := range v.failed[first:] {
		out = append(out, v.colour.Bad(Clip("✗ "+Line(f), width)))
	}
	return out
}

func pad(s string, width int) string {
	return s + strings.Repeat(" ", max(0, width-utf8.RuneCountInString(s)))
}
