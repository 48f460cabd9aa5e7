package bbr

import (
	"archive/tar"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"lockstep"
)

// How long a cleanup waits for instances to unlock by themselves, before it
// takes them over, and how often it looks.
const (
	cleanupPatience = 30 * time.Second
	cleanupPause    = time.Second
)

// perform does the task and returns when everything has been let go of.
func (t *task) perform(ctx context.Context) result {
	if t.action == actionRestore {
		t.log.log(info, fmt.Sprintf("Starting restore of %s...\n", t.name))
	}
	options, err := t.options()
	if err != nil {
		return failed(err)
	}
	o, err := t.Setup.Open(ctx, options)
	if err != nil {
		return failed(err)
	}
	t.enter(o, t.source)
	defer func() { _ = o.Close() }()
	if t.action == actionRestore {
		if err := t.validate(ctx, o); err != nil {
			return failed(err)
		}
	}
	run, err := t.attempts(ctx, o)
	r := t.judge(ctx, o, run, err)
	if len(r.faults) == 0 && (t.action == actionBackupCleanup || t.action == actionRestoreCleanup) {
		t.log.log(info, fmt.Sprintf("'%s' cleaned up\n", t.name))
	}
	return r
}

// validate reads the whole local backup and compares it with its record, before
// anything is contacted.
func (t *task) validate(ctx context.Context, o Orchestrator) error {
	t.log.log(info, fmt.Sprintf("Validating backup artifact for %s...\n", t.name))
	rep, err := o.Service.Verify(ctx, o.Backup)
	if err != nil {
		return fmt.Errorf("Could not validate backup: %w", err)
	}
	switch {
	case rep.Damaged:
		return &lockstep.Error{Op: "Backup is corrupted", Hint: strings.Join(rep.Problems, "\n")}
	case !rep.OK:
		return fmt.Errorf("Could not validate backup: %s", strings.Join(rep.Problems, "\n"))
	}
	return nil
}

// attempts runs the request. A cleanup is patient with instances that are
// unlocking by themselves, and takes over those that do not come to an end.
func (t *task) attempts(ctx context.Context, o Orchestrator) (*lockstep.Run, error) {
	req := t.request(o)
	cleanup := req.Operation == lockstep.OperationCleanup
	for deadline := t.Now().Add(cleanupPatience); ; {
		run, err := t.once(ctx, o, req)
		over := t.Now().After(deadline)
		if !cleanup || !held(run, err) || req.TakeOver || ctx.Err() != nil || over && err != nil {
			return run, err
		}
		t.log.log(info, "An earlier run has not let go yet; waiting for it.")
		select {
		case <-time.After(cleanupPause):
		case <-ctx.Done():
		}
		req.TakeOver = over
	}
}

// held reports whether a run could not be begun because another one holds the
// deployment here (the error says so), or an instance of it.
func held(run *lockstep.Run, err error) bool {
	if err != nil {
		return lockstep.KindOf(err) == lockstep.KindConflict
	}
	return run.Plan == nil && run.Ending != nil && len(run.Failures) > 0 && run.Failures[0].Kind == lockstep.KindConflict
}

// once runs the request once, and returns when it has ended.
func (t *task) once(ctx context.Context, o Orchestrator, req lockstep.Request) (*lockstep.Run, error) {
	id, err := o.Service.Start(context.WithoutCancel(ctx), req)
	if err != nil {
		return nil, err
	}
	t.began(o, id)
	t.follow(ctx, o, id)
	o.Wait()
	return o.Service.Run(context.WithoutCancel(ctx), id)
}

// judge says how a run ended, removes what was made remotely for it, and leaves
// the local folder of a failed backup as the original does.
func (t *task) judge(ctx context.Context, o Orchestrator, run *lockstep.Run, err error) result {
	ctx = context.WithoutCancel(ctx)
	var r result
	switch {
	case err != nil:
		r = failed(err)
	case run.Ending == nil:
		r.faults = append(faultsOf(run, t.name), fault{text: fmt.Sprintf("run %s did not come to its end", run.ID)})
		r.code = lockstep.ExitError
	default:
		r = result{faultsOf(run, t.name), run.Ending.ExitCode}
	}
	if t.left() {
		return r // what is on the instances is theirs to remove
	}
	if err := t.source.release(ctx); err != nil {
		f, code := t.unreleased(err)
		r.faults, r.code = append(r.faults, f), r.code|code
	}
	if run != nil && o.Finish != nil {
		if err := o.Finish(ctx, run); err != nil {
			r.faults, r.code = append(r.faults, faultOf(err)), r.code|lockstep.ExitError
		}
	}
	return r
}

// unreleased is the fault of something remote that could not be removed.
func (t *task) unreleased(err error) (fault, int) {
	text := listedTexts([]string{err.Error()})
	if t.action == actionBackupCleanup || t.action == actionRestoreCleanup {
		return fault{text: text}, lockstep.ExitError
	}
	return fault{class: classCleanup, text: cleanupText(t.name, text)}, lockstep.ExitClean
}

// follow logs a run until it has ended.
func (t *task) follow(ctx context.Context, o Orchestrator, id lockstep.RunID) {
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	go func() {
		o.Wait()
		// What is not in the journal by now never will be; what is, is read.
		time.AfterFunc(time.Second, stop)
	}()
	n := newNarrator(t.name, t.mode.director(), t.log.debug, &nearby{ctx: ctx, task: t, service: o.Service, id: id})
	var after uint64
	for ctx.Err() == nil {
		for e, err := range o.Service.Events(ctx, id, after) {
			if err != nil {
				break
			}
			for _, l := range n.take(e) {
				t.log.log(l.level, l.text)
			}
			after = max(after, e.Seq)
			if _, ended := e.Data.(lockstep.RunEnded); ended {
				return
			}
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
		}
	}
}

// nearby answers the narrator from the local disk and the journal.
type nearby struct {
	ctx     context.Context
	task    *task
	service lockstep.Service
	id      lockstep.RunID
}

func (l *nearby) placedSize(artifact string) string {
	return humanSize(allocated(filepath.Join(l.task.inDir(l.task.order.own.text["artifact-path"]), artifact+".tar")))
}

// members reads the names in a tar that lies in the folder of the run's backup.
func (l *nearby) members(artifact string) []string {
	run, err := l.service.Run(l.ctx, l.id)
	if err != nil {
		return nil
	}
	base := l.task.inDir(l.task.order.own.text["artifact-path"])
	f, err := os.Open(filepath.Join(base, string(run.BackupID()), artifact+".tar"))
	if err != nil {
		return nil
	}
	defer f.Close()
	var names []string
	for r := tar.NewReader(f); ; {
		h, err := r.Next()
		if err != nil {
			return names
		}
		if h.Typeflag != tar.TypeDir {
			names = append(names, h.Name)
		}
	}
}

func (l *nearby) printed(step lockstep.StepID, attempt int) (stdout, stderr string) {
	outputs, err := l.service.Output(l.ctx, l.id, step)
	if err != nil {
		return "", ""
	}
	for _, o := range outputs {
		text := string(o.Head)
		if o.Dropped > 0 {
			text += fmt.Sprintf("\n[%d bytes are not kept]\n", o.Dropped)
		}
		text += string(o.Tail)
		switch {
		case o.Attempt != attempt:
		case o.Stream == "stdout":
			stdout = text
		default:
			stderr = text
		}
	}
	return stdout, stderr
}
