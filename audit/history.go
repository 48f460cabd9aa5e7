package audit

import (
	"fmt"
	"time"

	"lockstep"
)

// history is what the journal says, in a form that promises can be checked on.
// It is built by one walk over the events, which checks on the way what can be
// said of each event by what came before it.
type history struct {
	violations []Violation

	last   lockstep.Event
	opened lockstep.RunOpened
	plan   *lockstep.Plan
	steps  map[lockstep.StepID]lockstep.Step
	// inOrder are the planned steps in the plan's order.
	inOrder []lockstep.Step
	waveOf  map[lockstep.StepID]int
	tries   map[lockstep.StepID][]*try
	// busy counts the tries of each wave that have not ended, good its steps
	// whose last try ended with exit 0.
	busy, good []int

	// The first event of each kind, 0 for none.
	canceled, overrun, lapsed, failed, recovered, suspected uint64
	overrunAt, canceledAt                                   time.Time
	// upset is the first event after which nothing may lock or work.
	upset      uint64
	recoveries []uint64
	ending     *lockstep.Ending
	endSeq     uint64
	endAt      time.Time
}

// try is one attempt at a step. Its end is that of its final outcome.
type try struct {
	step           lockstep.Step
	n              int
	startSeq       uint64
	endSeq         uint64 // 0 while it has none
	start, end     time.Time
	outcome        lockstep.Outcome
	artifact       *lockstep.Artifact
	lapsed         bool
	displaced      bool
	recoveriesSeen int // number of recoveries before it started
	// found: the journal had lost it, and its instance told of it.
	found bool
	// adopted: it ran when a recovery began, the last time at adoptedAt.
	adopted   bool
	adoptedAt time.Time
}

func (t *try) ended() bool { return t.endSeq != 0 }
func (t *try) ok() bool {
	return t.ended() && t.outcome.Kind == lockstep.OutcomeExit && t.outcome.Code == 0
}

func read(events []lockstep.Event) *history {
	h := &history{
		steps: map[lockstep.StepID]lockstep.Step{}, waveOf: map[lockstep.StepID]int{},
		tries: map[lockstep.StepID][]*try{},
	}
	if len(events) == 0 {
		h.breaks(Journal, 0, "there are no events")
	}
	for _, e := range events {
		h.envelope(e)
		h.event(e)
		h.last = e
	}
	return h
}

func (h *history) breaks(p Promise, seq uint64, format string, args ...any) {
	h.violations = append(h.violations, Violation{p, seq, fmt.Sprintf(format, args...)})
}

func (h *history) envelope(e lockstep.Event) {
	_, opens := e.Data.(lockstep.RunOpened)
	_, recovers := e.Data.(lockstep.RunRecovering)
	_, acknowledges := e.Data.(lockstep.HoldAcknowledged)
	switch {
	case e.Seq != h.last.Seq+1:
		h.breaks(Journal, e.Seq, "it follows event %d", h.last.Seq)
	case opens != (e.Seq == 1):
		h.breaks(Journal, e.Seq, "%s out of place", e.Data.EventType())
	case h.last.Run != "" && e.Run != h.last.Run:
		h.breaks(Journal, e.Seq, "it is of run %s, the one before of %s", e.Run, h.last.Run)
	case e.Term < h.last.Term, recovers && e.Term == h.last.Term:
		h.breaks(Journal, e.Seq, "its term is %d after %d", e.Term, h.last.Term)
	case e.Term > h.last.Term && !opens && !recovers && h.plan != nil:
		// Until it has a plan, a run looks for a term that is higher than any
		// instance has seen.
		h.breaks(Journal, e.Seq, "its term is %d after %d without a recovery", e.Term, h.last.Term)
	case h.ending != nil && !acknowledges && !releases(e.Data):
		h.breaks(Journal, e.Seq, "%s after the run's end", e.Data.EventType())
	}
}

// releases reports whether the fact is that a resource is gone: what only the
// run's last connection could remove goes after its end.
func releases(d lockstep.EventData) bool {
	_, released := d.(lockstep.ResourceReleased)
	return released
}

func (h *history) event(e lockstep.Event) {
	switch d := e.Data.(type) {
	case lockstep.RunOpened:
		h.opened = d
	case lockstep.RunPlanned:
		h.planned(e, d)
	case lockstep.StepStarted:
		h.started(e, d)
	case lockstep.StepFinished:
		h.finished(e, d)
	case lockstep.CancelRequested:
		first(&h.canceled, e.Seq)
		if h.canceledAt.IsZero() {
			h.canceledAt = e.Time
		}
		h.upsetBy(e)
	case lockstep.LockWindowExceeded:
		first(&h.overrun, e.Seq)
		h.overrunAt = e.Time
		h.upsetBy(e)
	case lockstep.LeaseFired:
		first(&h.lapsed, e.Seq)
		h.upsetBy(e)
	case lockstep.RunFailed:
		first(&h.failed, e.Seq)
		h.upsetBy(e)
	case lockstep.RunRecovering:
		h.recovering(e)
	case lockstep.RunEnded:
		h.ending, h.endSeq, h.endAt = &d.Ending, e.Seq, e.Time
	}
}

func first(at *uint64, seq uint64) {
	if *at == 0 {
		*at = seq
	}
}

func (h *history) upsetBy(e lockstep.Event) { first(&h.upset, e.Seq) }

func (h *history) planned(e lockstep.Event, d lockstep.RunPlanned) {
	if h.plan != nil {
		h.breaks(Journal, e.Seq, "a second plan")
		return
	}
	plan := d.Plan
	h.plan = &plan
	h.busy, h.good = make([]int, len(plan.Waves)), make([]int, len(plan.Waves))
	for i, w := range plan.Waves {
		h.inOrder = append(h.inOrder, w.Steps...)
		for _, s := range w.Steps {
			if _, twice := h.steps[s.ID]; twice {
				h.breaks(Journal, e.Seq, "step %s is planned twice", s.ID)
			}
			h.steps[s.ID], h.waveOf[s.ID] = s, i
		}
	}
}

func (h *history) recovering(e lockstep.Event) {
	first(&h.recovered, e.Seq)
	h.recoveries = append(h.recoveries, e.Seq)
	h.upsetBy(e)
	for _, tries := range h.tries {
		if t := tries[len(tries)-1]; !t.ended() {
			t.adopted, t.adoptedAt = true, e.Time
		}
	}
}

func (h *history) started(e lockstep.Event, d lockstep.StepStarted) {
	s, ok := h.steps[d.Step]
	if !ok {
		h.breaks(Journal, e.Seq, "step %q is not planned", d.Step)
		return
	}
	before := h.tries[d.Step]
	if d.Attempt != len(before)+1 {
		h.breaks(Journal, e.Seq, "try %d of %s after %d tries", d.Attempt, d.Step, len(before))
	}
	t := &try{step: s, n: d.Attempt, startSeq: e.Seq, start: e.Time, recoveriesSeen: len(h.recoveries)}
	h.checkRepeat(t)
	if d.Adopted {
		h.adopts(t)
	} else {
		h.checkBarrier(t)
		h.checkStraight(t)
		h.checkAfterUnlock(t)
		h.checkConfirmed(t)
	}
	if h.good[h.waveOf[d.Step]] > 0 && len(before) > 0 && before[len(before)-1].ok() {
		h.good[h.waveOf[d.Step]]--
	}
	h.tries[d.Step] = append(before, t)
	h.busy[h.waveOf[d.Step]]++
}

// adopts: nobody knows when the try really began, so that its order is judged by
// nobody; only a recovery learns of one, and what is in order after it is not.
func (h *history) adopts(t *try) {
	if len(h.recoveries) == 0 {
		h.breaks(Intent, t.startSeq, "try %d of %s is adopted without a recovery", t.n, t.step.ID)
	}
	t.adopted, t.adoptedAt, t.recoveriesSeen = true, t.start, t.recoveriesSeen-1
	t.found = true
}

func (h *history) finished(e lockstep.Event, d lockstep.StepFinished) {
	t := h.lastTry(d.Step)
	if t == nil || t.n != d.Attempt || t.ended() {
		h.breaks(Journal, e.Seq, "try %d of %s ends and did not run", d.Attempt, d.Step)
		return
	}
	t.lapsed, t.displaced = t.lapsed || d.LeaseFired, d.Displaced
	if d.LeaseFired {
		first(&h.lapsed, e.Seq)
	}
	if d.LeaseFired || d.Outcome != (lockstep.Outcome{Kind: lockstep.OutcomeExit}) {
		h.upsetBy(e)
	}
	if d.Outcome.Kind == lockstep.OutcomeUnknown || d.Outcome.Kind == "" {
		return
	}
	if len(d.Suspect) > 0 {
		first(&h.suspected, e.Seq)
	}
	t.endSeq, t.end, t.outcome, t.artifact = e.Seq, e.Time, d.Outcome, d.Artifact
	h.busy[h.waveOf[d.Step]]--
	if t.ok() {
		h.good[h.waveOf[d.Step]]++
	}
}

func (h *history) lastTry(id lockstep.StepID) *try {
	if n := len(h.tries[id]); n > 0 {
		return h.tries[id][n-1]
	}
	return nil
}

// ok reports whether the step's last try ended with a received exit 0.
func (h *history) ok(id lockstep.StepID) bool {
	t := h.lastTry(id)
	return t != nil && t.ok()
}

// all reports whether every planned step of these stages ended well.
func (h *history) all(stages ...lockstep.Stage) bool {
	for i, w := range h.plan.Waves {
		for _, stage := range stages {
			if w.Stage == stage && h.good[i] != len(w.Steps) {
				return false
			}
		}
	}
	return true
}

// any reports whether a step of these stages was ever tried.
func (h *history) any(stages ...lockstep.Stage) bool {
	for _, w := range h.plan.Waves {
		for _, stage := range stages {
			for i := 0; w.Stage == stage && i < len(w.Steps); i++ {
				if len(h.tries[w.Steps[i].ID]) > 0 {
					return true
				}
			}
		}
	}
	return false
}
