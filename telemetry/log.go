package telemetry

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"lockstep"
)

// Log writes a line for what happens to runs: their begin, each try of a step
// that ended, warnings, and their end, with the run, the deployment, and of a
// step its stage, instance, job, script and attempt. A try that ended well is
// of level debug, all else is of info or above. What a script printed is in no
// line.
type Log struct {
	log    *slog.Logger
	known  Runs
	events chan lockstep.Event
	lost   atomic.Int64
	runs   map[lockstep.RunID]*logged
}

// logged is what is known of a run that has not ended.
type logged struct {
	deployment string
	steps      map[lockstep.StepID]lockstep.Step
}

// logLength is how many events may wait to be written: a reader of the log that
// is slower loses lines, and is told how many.
const logLength = 4096

// NewLog makes a log; Drain makes it work. known tells of runs whose begin was not
// seen here.
func NewLog(log *slog.Logger, known Runs) *Log {
	return &Log{log: log, known: known, events: make(chan lockstep.Event, logLength), runs: map[lockstep.RunID]*logged{}}
}

// Observe takes note of an event. It never waits and never fails, and may be
// called concurrently.
func (l *Log) Observe(e lockstep.Event) {
	if e.Data == nil || e.Seq == 0 {
		return
	}
	select {
	case l.events <- e:
	default:
		l.lost.Add(1)
	}
}

// Drain writes until ctx ends, and then what still waits. It is called once.
func (l *Log) Drain(ctx context.Context) {
	for {
		select {
		case e := <-l.events:
			l.write(e)
			continue
		default:
		}
		select {
		case e := <-l.events:
			l.write(e)
		case <-ctx.Done():
			return
		}
	}
}

func (l *Log) write(e lockstep.Event) {
	if n := l.lost.Swap(0); n > 0 {
		l.log.Warn("lines of this log are missing: it is read too slowly", "lines", n)
	}
	r := l.runs[e.Run]
	if _, takenOver := e.Data.(lockstep.RunRecovering); takenOver && r == nil {
		r = l.lookUp(e.Run)
		l.runs[e.Run] = r
	}
	if r == nil {
		r = &logged{} // what follows a run's end is not kept
	}
	log := l.log.With("run_id", e.Run, "deployment", r.deployment)
	switch d := e.Data.(type) {
	case lockstep.RunOpened:
		r.deployment, l.runs[e.Run] = d.Deployment, r
		l.log.Info("run begins", "run_id", e.Run, "deployment", d.Deployment, "operation", d.Operation, "by", d.Request.By)
	case lockstep.RunPlanned:
		r.planned(d.Plan)
		log.Debug("run is planned", "steps", len(r.steps), "digest", d.Digest)
	case lockstep.StepFinished:
		r.step(log, d)
	case lockstep.Noted:
		if d.Level == "warn" {
			log.Warn("run tells", "instance", d.Instance, "job", d.Job, "text", d.Message)
		}
	case lockstep.LeaseFired:
		log.Warn("the lease of an instance ran out; if it is up, it unlocks by itself", "instance", d.Instance)
	case lockstep.CancelRequested:
		log.Info("run is canceled", "by", d.By)
	case lockstep.RunRecovering:
		log.Warn("run of a dead orchestrator is taken over", "by", d.Owner)
	case lockstep.RunEnded:
		delete(l.runs, e.Run)
		level := slog.LevelInfo
		if d.State != lockstep.RunSucceeded {
			level = slog.LevelError
		}
		log.Log(context.Background(), level, "run has ended", "state", d.State, "data", d.Data, "locks", d.Locks, "exit_code", d.ExitCode)
	}
}

// lookUp is what is known of a run that another orchestrator began. If that cannot
// be read, its id and the steps' names have to do.
func (l *Log) lookUp(id lockstep.RunID) *logged {
	r := &logged{}
	run, err := l.known.Run(context.Background(), id)
	if err != nil {
		return r
	}
	r.deployment = run.Opened.Deployment
	if run.Plan != nil {
		r.planned(*run.Plan)
	}
	return r
}

func (r *logged) planned(plan lockstep.Plan) {
	r.deployment, r.steps = plan.Deployment, map[lockstep.StepID]lockstep.Step{}
	for _, w := range plan.Waves {
		for _, s := range w.Steps {
			r.steps[s.ID] = s
		}
	}
}

// step writes how a try of a step ended.
func (r *logged) step(log *slog.Logger, d lockstep.StepFinished) {
	level := slog.LevelDebug
	if !d.Outcome.OK() {
		level = slog.LevelWarn
	}
	attributes := []any{"step", d.Step, "attempt", d.Attempt, "outcome", d.Outcome.String()}
	if s, ok := r.steps[d.Step]; ok {
		attributes = append(attributes, "stage", s.Stage, "instance", s.Instance, "job", s.Job())
		if s.Script != nil {
			attributes = append(attributes, "script", s.Script.Kind)
		}
	}
	if d.Busy > 0 {
		attributes = append(attributes, "seconds", d.Busy.Round(time.Millisecond).Seconds())
	}
	log.Log(context.Background(), level, "step has ended", attributes...)
}
