package ui

import (
	"strconv"

	"lockstep"
	"lockstep/internal/units"
)

// Picture is a run as it is drawn: waves as columns, instances as rows, a
// barrier between columns, the lock window as a bracket over those it spans.
type Picture struct {
	Stages  []StageMark
	Columns []Column
	Rows    []Row
	// Before, Inside and After are how many table columns (barriers counted)
	// lie before, inside and behind the lock window; Inside is 0 if nothing is
	// locked in this run.
	Before, Inside, After int
	Lock                  Mark
	Flow                  Mark
}

// Mark is a place of the picture that changes while the run goes on. It
// depends on the run's facts alone, never on the time of looking.
type Mark struct {
	// Key names the place in the page and in the stream.
	Key string `json:"k"`
	// State is the mark's class for the stylesheet: waiting, running, ok,
	// failed, skipped, unknown; open or closed for barriers.
	State string `json:"s"`
	// Text is what is to be read, Word the state for those who cannot see it.
	Text string `json:"t,omitempty"`
	Word string `json:"w,omitempty"`
	// Since, if not 0, is the Unix time in milliseconds from which a clock
	// counts, shown behind or in place of the text.
	Since int64 `json:"c,omitempty"`
}

// StageMark is a stage in the strip above the picture.
type StageMark struct {
	Mark
	Stage lockstep.Stage
}

// Column is a wave.
type Column struct {
	Stage lockstep.Stage
	// Title is "lock", or "lock 2/3" where the stage has several waves.
	Title string
	// Barrier stands before the column; the first one has none.
	Barrier *Mark
	// Within says that the barrier lies between waves of one stage.
	Within bool
	// Locked says that the column lies in the lock window, Walled that its
	// barrier does too.
	Locked, Walled bool
}

// Row is an instance, or the repository for steps without one.
type Row struct {
	Name string
	// Job is the only job on the instance; its chips bear no name then.
	Job   string
	Cells []Cell
}

// Cell is what one instance does in one wave.
type Cell struct {
	Column
	Chips []Chip
}

// Chip is a step.
type Chip struct {
	Mark
	Step lockstep.StepID
	// Name is the step's job, or "" for a step of ours.
	Name string
	// Script says that the step is a script, which may print something.
	Script bool
}

// repositoryRow is the row of steps that are on no instance.
const repositoryRow = "repository"

// PictureOf draws a run that has a plan; of one that has none it is empty.
func PictureOf(r *lockstep.Run, meter *lockstep.Meter) Picture {
	var p Picture
	if r.Plan == nil {
		return p
	}
	p.Stages = stageMarks(r)
	p.Columns = columns(r)
	p.Rows = rows(r, meter)
	p.Before, p.Inside, p.After = bracket(p.Columns)
	p.Lock, p.Flow = lockMark(r), flowMark(meter)
	return p
}

// Marks are the places of the picture that may change, each once.
func (p Picture) Marks() []Mark {
	var marks []Mark
	if len(p.Columns) == 0 {
		return nil
	}
	for _, s := range p.Stages {
		marks = append(marks, s.Mark)
	}
	for _, c := range p.Columns {
		if c.Barrier != nil {
			marks = append(marks, *c.Barrier)
		}
	}
	for _, r := range p.Rows {
		for _, c := range r.Cells {
			for _, chip := range c.Chips {
				marks = append(marks, chip.Mark)
			}
		}
	}
	return append(marks, p.Lock, p.Flow)
}

// columns are the plan's waves with the barriers before them.
func columns(r *lockstep.Run) []Column {
	var out []Column
	waves := map[lockstep.Stage]int{}
	for _, w := range r.Plan.Waves {
		waves[w.Stage]++
	}
	left := 0 // steps before the column that have not ended
	for i, w := range r.Plan.Waves {
		c := Column{Stage: w.Stage, Title: string(w.Stage), Locked: locks(r.Plan.Operation, w.Stage)}
		if waves[w.Stage] > 1 {
			c.Title += " " + strconv.Itoa(w.Number) + "/" + strconv.Itoa(waves[w.Stage])
		}
		if i > 0 {
			before := r.Plan.Waves[i-1].Stage
			c.Within, c.Walled = before == w.Stage, c.Locked && locks(r.Plan.Operation, before)
			c.Barrier = barrier(r, i, left)
		}
		left += unended(r, w)
		out = append(out, c)
	}
	return out
}

// locks reports whether a stage of that operation lies in the lock window.
func locks(op lockstep.Operation, stage lockstep.Stage) bool {
	if op != lockstep.OperationBackup && op != lockstep.OperationRestore {
		return false
	}
	return stage == lockstep.StageLock || stage == lockstep.StageWork || stage == lockstep.StageUnlock
}

// barrier is the mark before wave i: closed until something behind it was
// started, or everything before it has ended.
func barrier(r *lockstep.Run, i, left int) *Mark {
	m := &Mark{Key: "b" + strconv.Itoa(i), State: "closed"}
	for _, s := range r.Plan.Waves[i].Steps {
		if r.Steps[s.ID] != nil {
			m.State = "open"
		}
	}
	switch {
	case m.State == "open":
		m.Word = "barrier, passed"
	case r.Ending != nil:
		m.Word = "barrier, never passed"
	case left == 0:
		m.Word = "barrier, all before it have ended"
	default:
		m.Text, m.Word = strconv.Itoa(left), "barrier, waits for "+units.Plural(left, "step")
	}
	return m
}

// unended counts the steps of a wave that have not ended.
func unended(r *lockstep.Run, w lockstep.Wave) int {
	n := 0
	for _, s := range w.Steps {
		if t := r.Steps[s.ID].Last(); t == nil || t.Running() || !t.Outcome.Final() {
			n++
		}
	}
	return n
}

// bracket counts the table columns before, inside and behind the lock window.
func bracket(columns []Column) (before, inside, after int) {
	for _, c := range columns {
		width := 1
		if c.Barrier != nil {
			width = 2
		}
		switch {
		case c.Locked && inside == 0:
			before += width - 1 // its barrier stands before the window
			inside++
		case c.Locked:
			inside += width
		case inside == 0:
			before += width
		default:
			after += width
		}
	}
	return before, inside, after
}

// rows are the instances in the plan's order, those without a step left out.
func rows(r *lockstep.Run, meter *lockstep.Meter) []Row {
	columns := columns(r)
	at := map[string]int{}
	var all []Row
	add := func(name string) {
		if _, ok := at[name]; !ok {
			at[name] = len(all)
			row := Row{Name: name, Cells: make([]Cell, len(columns))}
			for i := range row.Cells {
				row.Cells[i].Column = columns[i]
			}
			all = append(all, row)
		}
	}
	for _, in := range r.Plan.Instances {
		add(string(in.Name()))
	}
	add(repositoryRow)
	used, n := map[string]bool{}, 0
	for i, w := range r.Plan.Waves {
		for _, s := range w.Steps {
			name := string(s.Instance)
			if name == "" {
				name = repositoryRow
			}
			add(name)
			cell := &all[at[name]].Cells[i]
			cell.Chips = append(cell.Chips, chip(r, meter, s, n))
			used[name] = true
			n++
		}
	}
	var out []Row
	for _, row := range all {
		if used[row.Name] {
			row.nameOnce()
			out = append(out, row)
		}
	}
	return out
}

// nameOnce takes a row's only job from its chips to its name.
func (r *Row) nameOnce() {
	jobs := map[string]bool{}
	for _, c := range r.Cells {
		for _, chip := range c.Chips {
			if chip.Name != "" {
				jobs[chip.Name] = true
				r.Job = chip.Name
			}
		}
	}
	if len(jobs) != 1 {
		r.Job = ""
		return
	}
	for _, c := range r.Cells {
		for i := range c.Chips {
			c.Chips[i].Name = ""
		}
	}
}

// chip is a step; n is its number in the plan.
func chip(r *lockstep.Run, meter *lockstep.Meter, s lockstep.Step, n int) Chip {
	c := Chip{Step: s.ID, Name: s.Job(), Script: s.Script != nil, Mark: Mark{Key: "c" + strconv.Itoa(n), State: stepState(r, s)}}
	t := r.Steps[s.ID].Last()
	c.Word = words[c.State]
	switch c.State {
	case stateRunning:
		c.Since = t.StartedAt.UnixMilli()
		if f := meter.Of(s.ID); f.Bytes > 0 {
			c.Text, c.Since = flowShort(f), 0
		} else if t.Attempt > 1 {
			c.Text = "try " + strconv.Itoa(t.Attempt)
		}
	case stateOK:
		c.Text = units.Span(took(*t))
	case stateFailed, stateUnknown:
		c.Text = t.Outcome.String()
	}
	return c
}
