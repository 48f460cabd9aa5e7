package ui

import (
	"fmt"
	"time"

	"lockstep"
	"lockstep/internal/units"
)

// wide is the width of a timeline in units of its own.
const wide = 1000.0

// Timeline is what became of every try of every step, as bars over time.
type Timeline struct {
	Began time.Time
	Took  string
	// Lock, if it has a width, is the lock window.
	Lock   Bar
	Ticks  []Tick
	Groups []TimelineGroup
}

// Tick is a moment on the scale.
type Tick struct {
	X    float64
	Text string
}

// Percent is where the tick lies in hundredths of the timeline.
func (t Tick) Percent() float64 { return t.X / wide * 100 }

// TimelineGroup is a wave with its tries.
type TimelineGroup struct {
	Title string
	Tries []TimelineTry
}

// TimelineTry is one try of a step.
type TimelineTry struct {
	Bar
	Step     lockstep.StepID
	Instance string
	Job      string
	// What is the script's name, or the stage.
	What    string
	Attempt int
	// Start is when it began, counted from the run's first event.
	Start, Took string
	Outcome     string
	Word        string
	Output      bool
}

// Bar is a piece of the timeline, in its own units.
type Bar struct {
	X, W  float64
	State string
}

// TimelineOf is the timeline of a run at that time. A run without a plan has
// none.
func TimelineOf(r *lockstep.Run, now time.Time) Timeline {
	end := now
	if r.Ending != nil {
		end = r.EndedAt
	}
	t := Timeline{Began: r.OpenedAt, Took: units.Span(end.Sub(r.OpenedAt))}
	if r.Plan == nil {
		return t
	}
	s := scale{r.OpenedAt, max(end.Sub(r.OpenedAt), time.Millisecond)}
	t.Ticks = s.ticks()
	if window := r.LockWindow(end); window > 0 && locks(r.Plan.Operation, lockstep.StageLock) {
		if start := firstStart(r, lockstep.StageLock); !start.IsZero() {
			t.Lock = s.bar(start, start.Add(window), "locked")
		}
	}
	names := columns(r)
	for i, w := range r.Plan.Waves {
		g := TimelineGroup{Title: names[i].Title}
		for _, step := range w.Steps {
			g.Tries = append(g.Tries, s.tries(r, step, end)...)
		}
		if len(g.Tries) > 0 {
			t.Groups = append(t.Groups, g)
		}
	}
	return t
}

func firstStart(r *lockstep.Run, stage lockstep.Stage) time.Time {
	var first time.Time
	for _, s := range r.Plan.Steps(stage) {
		if rec := r.Steps[s.ID]; rec != nil && (first.IsZero() || rec.Tries[0].StartedAt.Before(first)) {
			first = rec.Tries[0].StartedAt
		}
	}
	return first
}

// scale turns moments into places.
type scale struct {
	from time.Time
	span time.Duration
}

func (s scale) x(t time.Time) float64 {
	x := wide * float64(t.Sub(s.from)) / float64(s.span)
	return min(wide, max(0, float64(int(x*10))/10))
}

// bar is never narrower than can be seen.
func (s scale) bar(from, to time.Time, state string) Bar {
	const least = 3
	x := min(s.x(from), wide-least)
	return Bar{X: x, W: float64(int(max(least, s.x(to)-x)*10)) / 10, State: state}
}

// ticks are four to eight round moments.
func (s scale) ticks() []Tick {
	step := time.Duration(0)
	for _, d := range []time.Duration{
		5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 15_000, 30_000, 60_000, 120_000, 300_000, 600_000,
		900_000, 1_800_000, 3_600_000, 7_200_000, 14_400_000, 28_800_000, 86_400_000,
	} {
		if step = d * time.Millisecond; s.span/step <= 6 {
			break
		}
	}
	var out []Tick
	for at := time.Duration(0); at <= s.span && len(out) < 12; at += step {
		text := units.Clock(at)
		if step < time.Second {
			text = fmt.Sprintf("%.*fs", map[bool]int{true: 2, false: 1}[step < 100*time.Millisecond], at.Seconds())
		}
		out = append(out, Tick{X: s.x(s.from.Add(at)), Text: text})
	}
	return out
}

func (s scale) tries(r *lockstep.Run, step lockstep.Step, end time.Time) []TimelineTry {
	rec := r.Steps[step.ID]
	if rec == nil {
		return nil
	}
	var out []TimelineTry
	for _, t := range rec.Tries {
		v := TimelineTry{
			Step: step.ID, Instance: string(step.Instance), Job: step.Job(), What: string(step.Stage), Attempt: t.Attempt,
			Start: "+" + units.Span(t.StartedAt.Sub(s.from)), Output: step.Script != nil,
		}
		if step.Script != nil {
			v.What = string(step.Script.Kind)
		}
		if step.Instance == "" {
			v.Instance = repositoryRow
		}
		state, to := tryState(t), t.FinishedAt
		if state == stateRunning {
			to = end
		}
		v.Bar = s.bar(t.StartedAt, to, state)
		v.Took, v.Outcome, v.Word = units.Span(to.Sub(t.StartedAt)), t.Outcome.String(), words[state]
		if state == stateRunning {
			v.Outcome = "running"
		}
		out = append(out, v)
	}
	return out
}

func tryState(t lockstep.Try) string {
	switch {
	case t.Running():
		return stateRunning
	case t.Outcome.OK():
		return stateOK
	case !t.Outcome.Final():
		return stateUnknown
	}
	return stateFailed
}
