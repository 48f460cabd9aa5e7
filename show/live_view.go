package show

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"lockstep"
)

// liveView is what a terminal shows of a run that goes on: a fold of the run's
// events, drawn by render. It knows no terminal and no clock.
type liveView struct {
	run    *lockstep.Run
	meter  lockstep.Meter
	colour Palette
	// failed are the failures so far, a line each, oldest first.
	failed []string
	// rows are the instances of the plan with their steps, and at the end the
	// repository and the source with those that have none.
	rows   []liveRow
	stages []lockstep.Stage
	// jobs are the steps' jobs.
	jobs map[lockstep.StepID]string
}

// liveRow is an instance and its steps by stage.
type liveRow struct {
	name  string
	steps map[lockstep.Stage][]lockstep.StepID
}

func newLiveView(colour Palette) *liveView {
	return &liveView{run: &lockstep.Run{}, colour: colour}
}

// Event folds the next event in. One that does not follow is left out.
func (v *liveView) Event(e lockstep.Event) {
	if _, ok := e.Data.(lockstep.Progress); ok {
		v.meter.Follow(e)
		return
	}
	if v.run.Apply(e) != nil {
		return
	}
	switch d := e.Data.(type) {
	case lockstep.RunPlanned:
		v.layOut(&d.Plan)
	case lockstep.StepStarted:
		v.meter.Follow(e)
	case lockstep.StepFinished:
		v.meter.Follow(e)
		if !d.Outcome.OK() && d.Outcome.Final() {
			v.failed = append(v.failed, fmt.Sprintf("%s: %s", d.Step, lastTry(v.run, d.Step).Cause()))
		}
	case lockstep.RunFailed:
		v.failed = append(v.failed, cmp.Or(d.What, d.Error))
	default:
	}
}

// layOut makes the rows: instances in the plan's order, those without a step
// left out.
func (v *liveView) layOut(p *lockstep.Plan) {
	v.stages, v.rows, v.jobs = stages(p), nil, map[lockstep.StepID]string{}
	at := map[string]int{}
	add := func(name string) *liveRow {
		if k, ok := at[name]; ok {
			return &v.rows[k]
		}
		at[name] = len(v.rows)
		v.rows = append(v.rows, liveRow{name, map[lockstep.Stage][]lockstep.StepID{}})
		return &v.rows[len(v.rows)-1]
	}
	for _, i := range p.Instances {
		add(string(i.Name()))
	}
	for _, w := range p.Waves {
		for _, s := range w.Steps {
			row := add(s.Where())
			row.steps[w.Stage] = append(row.steps[w.Stage], s.ID)
			v.jobs[s.ID] = s.Job()
		}
	}
	v.rows = slices.DeleteFunc(v.rows, func(r liveRow) bool { return len(r.steps) == 0 })
}

// tally counts steps by how they stand.
type tally struct{ all, ok, running, failed int }

func (v *liveView) tally(ids []lockstep.StepID) tally {
	t := tally{all: len(ids)}
	for _, id := range ids {
		switch stepState(v.run, id) {
		case "ok":
			t.ok++
		case "running":
			t.running++
		case "failed":
			t.failed++
		}
	}
	return t
}

func (t tally) plus(o tally) tally {
	return tally{t.all + o.all, t.ok + o.ok, t.running + o.running, t.failed + o.failed}
}

// cell is a tally in one or few characters, with how to paint it.
func (v *liveView) cell(t tally) Cell {
	switch {
	case t.all == 0:
		return Cell{}
	case t.failed > 0:
		return Cell{"✗", v.colour.Bad}
	case t.ok == t.all:
		return Cell{"✓", v.colour.Good}
	case t.running > 0 && t.all > 1:
		return Cell{fmt.Sprintf("%d/%d", t.ok, t.all), v.colour.Strong}
	case t.running > 0:
		return Cell{"●", v.colour.Strong}
	case t.ok > 0:
		return Cell{fmt.Sprintf("%d/%d", t.ok, t.all), nil}
	}
	return Cell{"·", v.colour.Faint}
}

// doing says what runs on a row's instance now: the jobs, with how far or how
// long. The stage is known by its column.
func (v *liveView) doing(r liveRow, now time.Time) string {
	var parts []string
	for _, stage := range v.stages {
		for _, id := range r.steps[stage] {
			t := lastTry(v.run, id)
			if t == nil || !t.Running() {
				continue
			}
			text := clock(now.Sub(t.StartedAt))
			if f := v.meter.Of(id); f.Bytes > 0 {
				text = flowShort(f)
			}
			if job := v.jobs[id]; job != "" {
				text = job + " " + text
			}
			parts = append(parts, text)
		}
	}
	return strings.Join(parts, ", ")
}
