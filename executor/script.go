package executor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"lockstep"
	"lockstep/launcher"
)

// maxErrorText bounds how much of a script's stderr goes into an event, in bytes:
// the end of it, where scripts say what went wrong.
const maxErrorText = 4 << 10

// ranLonger says of a script that its time was over.
const ranLonger = "the script ran longer than "

// runScript runs one script to its end, over as many connections as it takes.
func (e *Executor) runScript(ctx context.Context, t lockstep.Task, broken <-chan struct{}) lockstep.StepFinished {
	c, err := e.client(t)
	if err != nil {
		return abandoned(err)
	}
	running, cancel := context.WithTimeoutCause(ctx, t.Step.Timeout, errors.New(ranLonger+t.Step.Timeout.String()))
	defer cancel()
	running, giveUp := context.WithCancelCause(running)
	defer giveUp(nil)
	go e.giveUpUnreachable(running, c, t, giveUp, broken)
	go e.tellSilence(running, c, t)

	out := &output{}
	status, err := e.startAndWait(running, c, t, out)
	if errors.Is(err, launcher.ErrFenced) {
		return displaced(t, err)
	}
	if err != nil {
		status, err = e.stopScript(ctx, c, t, err, context.Cause(running))
	}
	e.keepOutput(t, out)
	if err != nil {
		return abandoned(err)
	}
	e.leases.ended(t, status)
	return withHint(t, status, finished(status, out, context.Cause(running)))
}

// startAndWait starts the script, unless it was, and waits for its end.
func (e *Executor) startAndWait(ctx context.Context, c *launcher.Client, t lockstep.Task, out *output) (launcher.Status, error) {
	if _, err := e.owned(ctx, t); err != nil {
		return launcher.Status{}, err
	}
	if err := e.stopAbandoned(ctx, c, t); err != nil {
		return launcher.Status{}, err
	}
	if t.Step.Script.Kind == lockstep.ScriptBackup {
		if err := c.MakeDir(ctx, t.Plan.Locations.Artifacts, artifactDir(t)); err != nil {
			return launcher.Status{}, fmt.Errorf("make the artifact's folder: %w", err)
		}
	}
	// It may be there all the same: what cannot be brought is tried.
	brought := e.bringUnlock(ctx, c, t)
	env, err := absoluteEnv(ctx, c, t)
	if err != nil {
		return launcher.Status{}, err
	}
	step := launcher.Step{StepRef: refOf(t), Path: t.Step.Script.Path, Digest: t.Step.Script.Digest, Env: env}
	_, err = c.Start(ctx, step)
	if err != nil && !errors.Is(err, launcher.ErrUnanswered) {
		return launcher.Status{}, err
	}
	status, waited := c.Wait(ctx, refOf(t), out.write)
	if err != nil && status.Absent { // that nobody answered was the truth
		return launcher.Status{}, err
	}
	if waited == nil && brought != nil && !status.Outcome.OK() {
		return status, brought
	}
	return status, waited
}

// absoluteEnv is the task's environment with the artifact's folder absolute:
// scripts do not run in the login directory that a relative one is relative to.
func absoluteEnv(ctx context.Context, c *launcher.Client, t lockstep.Task) ([]string, error) {
	if strings.HasPrefix(t.Plan.Locations.Artifacts, "/") {
		return t.Env, nil
	}
	login, err := c.LoginDir(ctx)
	if err != nil {
		return nil, fmt.Errorf("find the login directory: %w", err)
	}
	env := slices.Clone(t.Env)
	for i, v := range env {
		name, value, _ := strings.Cut(v, "=")
		if name == lockstep.EnvArtifactDirectory || name == lockstep.EnvLegacyArtifactDir {
			env[i] = name + "=" + strings.TrimSuffix(login, "/") + "/" + value
		}
	}
	return env, nil
}

// stopAbandoned makes sure that no script of this run which was given up on
// still runs, or only now begins to, on an instance that is about to be
// unlocked: it would lock it again.
func (e *Executor) stopAbandoned(ctx context.Context, c *launcher.Client, t lockstep.Task) error {
	for _, a := range t.Stop {
		given := ref(t, a.Step.ID, a.N)
		status, err := c.Settle(ctx, given)
		if err == nil && status.Running {
			_, err = c.Kill(ctx, given, e.cfg.Policy.KillGrace)
		}
		if err != nil {
			return fmt.Errorf("stop %s, which was given up on: %w", a.Step.ID, err)
		}
	}
	return nil
}

// giveUpUnreachable ends the wait for a script once the run is broken and its
// instance has not been reached for the policy's time: others must be
// unlocked. An unlock, which is tried again, is given up on in any run.
func (e *Executor) giveUpUnreachable(ctx context.Context, c *launcher.Client, t lockstep.Task, giveUp context.CancelCauseFunc, broken <-chan struct{}) {
	var patience <-chan time.Time
	if t.Step.Stage == lockstep.StageUnlock {
		patience = time.After(e.cfg.Policy.AbandonAfter)
	}
	select {
	case <-ctx.Done():
		return
	case <-broken:
	case <-patience:
	}
	for ctx.Err() == nil {
		probe, cancel := until(ctx, e.cfg.Policy.AbandonAfter)
		_, err := c.Status(probe, refOf(t))
		<-probeInterval(probe, err)
		cancel()
		if err != nil && ctx.Err() == nil {
			giveUp(errUnreachable)
			return
		}
	}
}

// probeInterval is ready when the next probe is due: at once after one that
// failed, else when its time is over.
func probeInterval(probe context.Context, err error) <-chan struct{} {
	if err == nil {
		return probe.Done()
	}
	ready := make(chan struct{})
	close(ready)
	return ready
}

var errUnreachable = errors.New("the instance cannot be reached")

// stopScript finds out how a script ended that is not waited for any longer,
// after stopping it: at its deadline, on a cancel, or because its instance
// seems gone.
func (e *Executor) stopScript(ctx context.Context, c *launcher.Client, t lockstep.Task, err, cause error) (launcher.Status, error) {
	if errors.Is(cause, errUnreachable) || errors.Is(cause, lockstep.ErrLetGo) {
		return launcher.Status{}, cause
	}
	if cause == nil { // the launcher refused it: it says why, and nothing runs
		return e.settleRefused(ctx, c, t, err)
	}
	stopping, cancel := until(context.WithoutCancel(ctx), e.cfg.Policy.KillGrace+e.cfg.Policy.AbandonAfter)
	defer cancel()
	if _, err := c.Settle(stopping, refOf(t)); err != nil {
		return launcher.Status{}, fmt.Errorf("%w: %w", cause, err)
	}
	status, err := c.Kill(stopping, refOf(t), e.cfg.Policy.KillGrace)
	if err != nil {
		return status, fmt.Errorf("%w: stop it: %w", cause, err)
	}
	return status, nil
}

// settleRefused makes sure that a script whose start was refused can never
// start later, and passes the refusal on.
func (e *Executor) settleRefused(ctx context.Context, c *launcher.Client, t lockstep.Task, refusal error) (launcher.Status, error) {
	settling, cancel := until(context.WithoutCancel(ctx), e.cfg.Policy.AbandonAfter)
	defer cancel()
	status, err := c.Settle(settling, refOf(t))
	if err != nil {
		return status, errors.Join(refusal, err)
	}
	if status.Outcome.Kind == lockstep.OutcomeNeverStarted && status.Reason == "settled" {
		status.Reason = refusal.Error()
	}
	return status, nil
}

// Settle finds out how a try ended whose end nobody here has seen.
func (e *Executor) Settle(ctx context.Context, t lockstep.Task, stop bool) lockstep.StepFinished {
	if t.Step.Script == nil {
		return e.settleOwn(ctx, t)
	}
	c, err := e.client(t)
	if err != nil {
		return abandoned(err)
	}
	status, err := e.settleScript(ctx, c, t, stop)
	if errors.Is(err, launcher.ErrFenced) {
		return displaced(t, err)
	}
	if err != nil {
		return abandoned(err)
	}
	out := &output{}
	if status.Outcome.Kind == lockstep.OutcomeExit && !status.Outcome.OK() {
		_, _ = c.Wait(ctx, refOf(t), out.write) // the output of what ended long ago
		e.keepOutput(t, out)
	}
	e.leases.ended(t, status)
	return withHint(t, status, finished(status, out, nil))
}

func (e *Executor) settleScript(ctx context.Context, c *launcher.Client, t lockstep.Task, stop bool) (launcher.Status, error) {
	asking, cancel := until(ctx, e.cfg.Policy.AbandonAfter)
	_, err := e.owned(asking, t)
	var status launcher.Status
	if err == nil {
		status, err = c.Settle(asking, refOf(t))
	}
	cancel()
	if err != nil || !status.Running {
		return status, err
	}
	if !stop {
		waiting, cancel := until(ctx, t.Step.Timeout)
		status, err = c.Wait(waiting, refOf(t), nil)
		cancel()
		if err == nil {
			return status, nil
		}
	}
	killing, cancel := until(ctx, e.cfg.Policy.KillGrace+e.cfg.Policy.AbandonAfter)
	defer cancel()
	return c.Kill(killing, refOf(t), e.cfg.Policy.KillGrace)
}

// settleOwn settles a step of ours: a transfer ended with the orchestrator
// that made it, and only a commit may have taken effect.
func (e *Executor) settleOwn(ctx context.Context, t lockstep.Task) lockstep.StepFinished {
	if t.Step.Stage == lockstep.StageCommit {
		if b, err := e.cfg.Repository.Get(ctx, t.Plan.Backup); err == nil {
			return lockstep.StepFinished{Outcome: lockstep.Exited(0), Suspect: b.Suspect}
		}
	}
	return lockstep.StepFinished{
		Outcome: lockstep.Outcome{Kind: lockstep.OutcomeDead}, Error: "it ended with the orchestrator that did it",
	}
}

func refOf(t lockstep.Task) launcher.StepRef {
	return ref(t, t.Step.ID, t.Attempt)
}

func ref(t lockstep.Task, id lockstep.StepID, attempt int) launcher.StepRef {
	return launcher.StepRef{Run: string(t.Run), ID: string(id), Attempt: attempt}
}

func abandoned(err error) lockstep.StepFinished {
	return lockstep.StepFinished{
		Outcome: lockstep.Outcome{Kind: lockstep.OutcomeAbandoned}, Error: err.Error(), Why: shortly(err), Hint: lockstep.HintOf(err),
	}
}

// shortly is an error in few words, or "" where it has no more.
func shortly(err error) string {
	if m := lockstep.MessageOf(err); m.Chain != "" {
		return m.String()
	}
	return ""
}

// displaced is the end of a try on an instance that another run owns now.
func displaced(t lockstep.Task, err error) lockstep.StepFinished {
	f := abandoned(err)
	f.Displaced = true
	if t.Step.Stage == lockstep.StageUnlock {
		f.Hint = "whoever took the instance over unlocks it; if nobody does: `lockstep cleanup " + t.Plan.Deployment + " --take-over`"
	}
	return f
}

// finished says how a script ended. Where it was stopped, cause says why.
func finished(s launcher.Status, out *output, cause error) lockstep.StepFinished {
	f := lockstep.StepFinished{Outcome: s.Outcome, Busy: s.Elapsed, LeaseFired: s.ByLease}
	if !f.Outcome.Final() { // KILL did not help, or all trace of it is gone
		f.Outcome = lockstep.Outcome{Kind: lockstep.OutcomeAbandoned}
	}
	if !f.Outcome.OK() {
		f.Error, f.Said = scriptError(f.Outcome, reason(s), cause), out.lastWords(maxErrorText)
	}
	return f
}

// reason is why a script is dead or never started, for people.
func reason(s launcher.Status) string {
	if sum, changed := strings.CutPrefix(s.Reason, "digest:"); changed {
		return "the script has changed since it was planned (its SHA-256 is now " + sum + ")"
	}
	return s.Reason
}

// withHint says what to type where a script is not the planned one any more, or
// cannot be run by what its first line names.
func withHint(t lockstep.Task, s launcher.Status, f lockstep.StepFinished) lockstep.StepFinished {
	cleanup := "`lockstep cleanup " + t.Plan.Deployment
	if t.Plan.Operation == lockstep.OperationRestore {
		cleanup += " --restore"
	}
	switch {
	case f.Outcome.Kind == lockstep.OutcomeSignal && strings.Contains(f.Error, ranLonger):
		f.Hint = fmt.Sprintf("look why it is slow; if it needs longer: script_timeout of job %s, or of the deployment", t.Step.Job())
	case noInterpreter(t, f):
		f.Hint = fmt.Sprintf("its first line names a program that is not on the instance: `head -n 1 %s` there; install that, or mend the line (a carriage return at its end does the same)", t.Step.Script.Path)
	case !strings.HasPrefix(s.Reason, "digest:"):
	case t.Step.Stage == lockstep.StageUnlock:
		f.Hint = "if it was mended: when this run has ended, " + cleanup + "` runs it as it is now"
	default:
		f.Hint = "a deploy may have changed it; when that is complete, begin again"
	}
	return f
}

// noInterpreter reports whether a shell said, on our behalf, that it could not
// run the script itself.
func noInterpreter(t lockstep.Task, f lockstep.StepFinished) bool {
	if f.Outcome.Kind != lockstep.OutcomeExit || f.Outcome.Code != 126 && f.Outcome.Code != 127 {
		return false
	}
	last := f.Said[strings.LastIndexByte(f.Said, '\n')+1:]
	_, after, ok := strings.Cut(last, t.Step.Script.Path+": ")
	return ok && (strings.HasPrefix(after, "not found") || strings.HasPrefix(after, "No such file") || strings.Contains(after, "bad interpreter"))
}

// scriptError says how a script ended, and why where we know it.
func scriptError(o lockstep.Outcome, message string, cause error) string {
	ended := o.String()
	if o.Kind == lockstep.OutcomeExit {
		ended = fmt.Sprintf("exit code %d", o.Code)
	}
	if message != "" {
		ended += ": " + message
	}
	if cause != nil && !errors.Is(cause, context.Canceled) {
		return fmt.Sprintf("%v (%s)", cause, ended)
	}
	return ended
}

// keepOutput hands what the script printed to whoever keeps it.
func (e *Executor) keepOutput(t lockstep.Task, out *output) {
	if e.cfg.Output == nil {
		return
	}
	for _, o := range out.kept(t.Attempt) {
		e.cfg.Output(t.Step.ID, o)
	}
}
