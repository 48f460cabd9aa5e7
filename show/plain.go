package show

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"lockstep"
)

// progressEvery is how often plain lines tell of transfers at most.
const progressEvery = 5 * time.Second

// plainReporter writes a timestamped line for each event that means something.
// With JSON logs each line has the event's words as fields too.
type plainReporter struct {
	log    *slog.Logger
	typed  func(hint string) string
	fields bool
	// prefix goes before each line where several runs are followed at once.
	prefix string
	meter  lockstep.Meter
	told   time.Time // of the last line about progress
	// released says that the line about the end of the lock window is out.
	released bool
	// waves are the plan's, by their steps.
	waves map[lockstep.StepID]lockstep.Wave
}

func NewPlainReporter(t *Terminal) *plainReporter {
	return &plainReporter{log: t.Log, typed: t.typed, fields: t.look.LogJSON}
}

func (p *plainReporter) Close() {}

func (p *plainReporter) Say(line string) { p.log.Warn(p.prefix + line) }

// line writes one line with the event's time.
func (p *plainReporter) line(level slog.Level, at time.Time, text string, fields ...any) {
	if !p.log.Enabled(context.Background(), level) {
		return
	}
	rec := slog.NewRecord(at.Local(), level, p.prefix+text, 0)
	if p.fields {
		rec.Add(fields...)
	}
	_ = p.log.Handler().Handle(context.Background(), rec)
}

func (p *plainReporter) Event(run *lockstep.Run, e lockstep.Event, tail []string) {
	base := []any{"run_id", string(e.Run), "deployment", run.Opened.Deployment, "event", e.Data.EventType()}
	say := func(level slog.Level, format string, args ...any) {
		p.line(level, e.Time, fmt.Sprintf(format, args...), base...)
	}
	switch d := e.Data.(type) {
	case lockstep.RunOpened:
		say(slog.LevelInfo, "%s of %s begins: run %s", d.Operation, d.Deployment, e.Run)
	case lockstep.Noted:
		say(noteLevel(d), "%s", noteText(d))
	case lockstep.RunPlanned:
		p.waves = wavesByStep(&d.Plan)
		say(slog.LevelInfo, "planned: %s", planCounts(d))
		for _, w := range d.Plan.Warnings {
			say(slog.LevelWarn, "%s", w)
		}
	case lockstep.StepStarted:
		p.started(run, d, e, say)
	case lockstep.StepFinished:
		p.finished(run, d, e, tail)
	case lockstep.Progress:
		p.progress(d, e, say)
	case lockstep.RunEnded:
		say(slog.LevelInfo, "%s %s after %s", run.Opened.Operation, d.State, Span(run.EndedAt.Sub(run.OpenedAt)))
	default:
		if text, level := factText(e.Data); text != "" {
			say(level, "%s", text)
		}
		if steps, kill := run.Stopping(); stops(e.Data) && len(steps) > 0 {
			say(slog.LevelInfo, "%s", StoppingText(steps, kill, e.Time))
		}
	}
}

// stops reports whether a fact ends scripts that run.
func stops(data lockstep.EventData) bool {
	switch data.(type) {
	case lockstep.CancelRequested, lockstep.LockWindowExceeded, lockstep.LeaseFired:
		return true
	}
	return false
}

// maxStopping is how many scripts that are being stopped are named.
const maxStopping = 3

// StoppingText says what is being stopped, and when it is killed.
func StoppingText(steps []lockstep.StepID, kill, now time.Time) string {
	var names []string
	for _, id := range steps[:min(len(steps), maxStopping)] {
		names = append(names, string(id))
	}
	if more := len(steps) - len(names); more > 0 {
		names = append(names, fmt.Sprintf("%d more", more))
	}
	left := kill.Sub(now).Round(time.Second)
	if left <= 0 {
		return "killing " + strings.Join(names, ", ")
	}
	return fmt.Sprintf("stopping %s, KILL in %s", strings.Join(names, ", "), Span(left))
}

// Follow goes on from where a run is now, with that before each line.
func (p *plainReporter) Follow(run *lockstep.Run, prefix string) {
	p.prefix = prefix
	if run.Plan != nil {
		p.waves = wavesByStep(run.Plan)
	}
}

// watch takes in what later lines need from an event that gets none.
func (p *plainReporter) watch(e lockstep.Event) {
	switch d := e.Data.(type) {
	case lockstep.RunPlanned:
		p.waves = wavesByStep(&d.Plan)
	case lockstep.StepStarted:
		p.meter.Follow(e)
	case lockstep.StepFinished:
		p.meter.Follow(e)
	default:
	}
}

// factText is the line of an event that is about no step, or "".
func factText(data lockstep.EventData) (string, slog.Level) {
	switch d := data.(type) {
	case lockstep.LeaseFired:
		return fmt.Sprintf("%s: its lease ran out; if it is up, it unlocks by itself", d.Instance), slog.LevelWarn
	case lockstep.LockWindowExceeded:
		return "the lock window is longer than max_lock: stopping and unlocking", slog.LevelWarn
	case lockstep.CancelRequested:
		return "canceled by " + d.By, slog.LevelWarn
	case lockstep.RunFailed:
		what, _, _ := strings.Cut(cmp.Or(d.What, d.Error), "\n")
		return what, slog.LevelError
	case lockstep.RunRecovering:
		return "its orchestrator died; taken over by " + d.Owner, slog.LevelWarn
	case lockstep.HoldAcknowledged:
		return fmt.Sprintf("%s said that %s is unlocked: %s", d.By, d.Slot, d.Reason), slog.LevelInfo
	}
	return "", slog.LevelDebug
}

// noteLevel is a note's level. What is found of each job is for those who want
// to know more: the plan says it better.
func noteLevel(n lockstep.Noted) slog.Level {
	switch {
	case n.Level == "warn":
		return slog.LevelWarn
	case n.Level == "debug" || n.Job != "":
		return slog.LevelDebug
	}
	return slog.LevelInfo
}

func noteText(n lockstep.Noted) string {
	where := string(n.Instance)
	if n.Job != "" {
		where = strings.TrimPrefix(where+"/"+n.Job, "/")
	}
	if where == "" {
		return n.Message
	}
	return where + ": " + n.Message
}

type sayFunc func(level slog.Level, format string, args ...any)

// started tells of a wave with its first step, and of steps when verbose.
func (p *plainReporter) started(run *lockstep.Run, d lockstep.StepStarted, e lockstep.Event, say sayFunc) {
	p.meter.Follow(e)
	w, ok := p.waves[d.Step]
	if !ok {
		return
	}
	tries := 0
	for _, s := range w.Steps {
		if rec := run.Steps[s.ID]; rec != nil {
			tries += len(rec.Tries) - rec.Carried
		}
	}
	if tries == 1 {
		say(slog.LevelInfo, "%s: %s", waveName(run.Plan, w.Stage, w.Number), Plural(len(w.Steps), "step"))
	}
	if d.Attempt > 1 {
		say(slog.LevelInfo, "%s: try %d", d.Step, d.Attempt)
		return
	}
	say(slog.LevelDebug, "%s: started", d.Step)
}

// finished tells of what failed, what came in, and of the end of a wave and of
// the lock window.
func (p *plainReporter) finished(run *lockstep.Run, d lockstep.StepFinished, e lockstep.Event, tail []string) {
	p.meter.Follow(e)
	fields := []any{
		"run_id", string(e.Run), "deployment", run.Opened.Deployment, "event", d.EventType(),
		"step", string(d.Step), "attempt", d.Attempt, "outcome", d.Outcome.String(),
	}
	t := lastTry(run, d.Step)
	took := e.Time.Sub(t.StartedAt)
	switch {
	case !d.Outcome.OK():
		p.line(slog.LevelError, e.Time, failureText(run, d, tail), append(fields, "why", t.Cause(), "hint", p.typed(d.Hint))...)
	case d.Artifact != nil && p.waves[d.Step].Stage == lockstep.StageCollect:
		p.line(slog.LevelInfo, e.Time, fmt.Sprintf("%s: %s", d.Step, broughtIn(d.Artifact.Bytes, took)), fields...)
	default:
		p.line(slog.LevelDebug, e.Time, fmt.Sprintf("%s: done in %s", d.Step, Span(took)), fields...)
	}
	for _, w := range d.Warnings {
		p.line(slog.LevelWarn, e.Time, fmt.Sprintf("%s: %s", d.Step, w), fields...)
	}
	base := fields[:6]
	text := waveEnd(run, p.waves[d.Step], e.Time)
	if text == "" {
		return
	}
	p.line(slog.LevelInfo, e.Time, text, base...)
	if p.waves[d.Step].Stage != lockstep.StageUnlock {
		return
	}
	if window, still, ever := lockedFor(run, e.Time); ever && !still && !p.released {
		p.released = true
		p.line(slog.LevelInfo, e.Time, "locks released after "+Span(window), append(base, "lock_window_seconds", window.Seconds())...)
	}
}

// broughtIn is a transfer that is over; the rate of a tiny one says nothing.
func broughtIn(bytes int64, took time.Duration) string {
	text := Size(bytes) + " in " + Span(took)
	if bytes >= 1<<20 && took > 0 {
		text += ", " + rate(float64(bytes)/took.Seconds())
	}
	return text
}

// failureText is a failed try with the end of what its script printed elsewhere
// than to stderr, and what happens next. Why it failed and what to do about it is
// said once, at the run's end.
func failureText(run *lockstep.Run, d lockstep.StepFinished, tail []string) string {
	t := lastTry(run, d.Step)
	text := fmt.Sprintf("%s failed", d.Step)
	if s, ok := run.Plan.Step(d.Step); ok && s.Script != nil {
		text += fmt.Sprintf(" (%s)", d.Outcome)
	}
	if !d.Outcome.Final() {
		text = fmt.Sprintf("%s: its outcome is not known yet; asking its instance", d.Step)
	}
	for _, l := range tail {
		if !strings.Contains(t.Said+t.Error, strings.TrimSpace(l)) {
			text += "\n| " + l
		}
	}
	if again := triedAgain(run, d); again != "" {
		text += "\n" + again
	}
	return text
}

// triedAgain says when a failed unlock is tried again.
func triedAgain(run *lockstep.Run, d lockstep.StepFinished) string {
	s, ok := run.Plan.Step(d.Step)
	if !ok || s.Stage != lockstep.StageUnlock || !d.Outcome.Final() {
		return ""
	}
	tries := run.Plan.Policy.UnlockTries
	done := len(run.Steps[d.Step].Tries) - run.Steps[d.Step].Carried
	if done >= len(tries) {
		return fmt.Sprintf("this was the last of %d tries; it may still be locked", len(tries))
	}
	return fmt.Sprintf("try %d of %d; the next comes %s after the first", done, len(tries), tries[done])
}

// waveEnd is the line of a wave whose last step has just ended, or "".
func waveEnd(run *lockstep.Run, w lockstep.Wave, at time.Time) string {
	var began time.Time
	failed := 0
	for _, s := range w.Steps {
		t := lastTry(run, s.ID)
		if t == nil || t.Running() || !t.Outcome.Final() {
			return ""
		}
		first := run.Steps[s.ID].Tries[0].StartedAt
		if began.IsZero() || first.Before(began) {
			began = first
		}
		if !t.Outcome.OK() {
			failed++
		}
	}
	text := fmt.Sprintf("%s done in %s", waveName(run.Plan, w.Stage, w.Number), Span(at.Sub(began)))
	if failed > 0 {
		text += fmt.Sprintf(", %d of %d failed", failed, len(w.Steps))
	}
	return text
}

func (p *plainReporter) progress(d lockstep.Progress, e lockstep.Event, say sayFunc) {
	p.meter.Follow(e)
	if p.told.IsZero() {
		p.told = e.Time
	}
	if e.Time.Sub(p.told) < progressEvery {
		return
	}
	p.told = e.Time
	if all, n := p.meter.Sum(); n > 0 {
		say(slog.LevelInfo, "%s: %s", Plural(n, "transfer"), flowText(all))
	}
}

func wavesByStep(p *lockstep.Plan) map[lockstep.StepID]lockstep.Wave {
	waves := map[lockstep.StepID]lockstep.Wave{}
	for _, w := range p.Waves {
		for _, s := range w.Steps {
			waves[s.ID] = w
		}
	}
	return waves
}

// planCounts is "2 instances, 3 jobs, 14 steps in 9 waves".
func planCounts(d lockstep.RunPlanned) string {
	jobs, steps := 0, 0
	for _, in := range d.Found.Instances {
		jobs += len(in.Jobs)
	}
	for _, w := range d.Plan.Waves {
		steps += len(w.Steps)
	}
	return fmt.Sprintf("%s, %s, %s in %s", Plural(len(d.Plan.Instances), "instance"), Plural(jobs, "job"),
		Plural(steps, "step"), Plural(len(d.Plan.Waves), "wave"))
}
