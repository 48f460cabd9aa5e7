package bbr

import (
	"fmt"
	"slices"
	"strings"

	"lockstep"
)

// line is one log line.
type line struct{ level, text string }

// sights are what a log line needs and events do not carry: it lies on disk, or
// in the journal beside the events.
type sights interface {
	// placedSize is the allocated size of a local artifact, for people.
	placedSize(artifact string) string
	// members are the files in a local artifact, by their member names.
	members(artifact string) []string
	// printed is what one try of a script printed.
	printed(step lockstep.StepID, attempt int) (stdout, stderr string)
}

// narrator turns the events of one run into the log lines of the original, in
// its order. It is a fold: equal events and sights make equal lines. It is not
// safe for concurrent use.
type narrator struct {
	name     string // of the deployment
	director bool
	debug    bool // lines of level DEBUG are wanted
	sights   sights

	run   *lockstep.Run
	at    part
	moves map[lockstep.StepID]*move
	out   []line
}

// part is the part of the original's workflow that a run is in.
type part int

const (
	partFind part = iota
	partCheck
	partPlace
	partLock
	partWork
	partUnlock
	partDrain
	partEnd
)

func newNarrator(name string, director, debug bool, s sights) *narrator {
	return &narrator{
		name: name, director: director, debug: debug, sights: s,
		run: &lockstep.Run{}, moves: map[lockstep.StepID]*move{},
	}
}

// take folds one event and returns the lines that it makes.
func (n *narrator) take(e lockstep.Event) []line {
	n.out = nil
	if p, ok := e.Data.(lockstep.Progress); ok {
		n.progress(p)
		return n.out
	}
	if err := n.run.Apply(e); err != nil {
		n.say(debug, "cannot tell of event %d: %v", e.Seq, err)
		return n.out
	}
	switch d := e.Data.(type) {
	case lockstep.RunOpened:
		n.say(info, "Looking for scripts")
	case lockstep.Noted:
		n.noted(d)
	case lockstep.RunPlanned:
		n.planned(d)
	case lockstep.RunFailed:
		if strings.Contains(d.Error, discontinued) {
			n.say(fail, "%s", d.Error[strings.Index(d.Error, discontinued):])
		}
	case lockstep.StepStarted:
		n.advance(e)
		n.started(d)
	case lockstep.StepFinished:
		n.finished(d)
	case lockstep.LeaseFired:
		n.say(warn, "Instance %s: its lease ran out; if it is up, it unlocks by itself.", d.Instance)
	}
	n.advance(e)
	return n.out
}

const discontinued = "discontinued metadata keys"

func (n *narrator) say(level, format string, args ...any) {
	if level == debug && !n.debug {
		return
	}
	n.out = append(n.out, line{level, fmt.Sprintf(format, args...)})
}

func (n *narrator) noted(d lockstep.Noted) {
	switch op := n.run.Opened.Operation; {
	case d.Phase == lockstep.PhasePlan && (op == lockstep.OperationBackup || op == lockstep.OperationCheck):
		n.say(info, "Running pre-checks for backup of %s...\n", n.name)
	case d.Phase != "":
	case d.Level == "debug":
		n.say(debug, "%s", d.Message)
	case d.Level == "warn":
		n.say(warn, "%s", d.Message)
	default:
		n.say(info, "%s", d.Message)
	}
}

// planned tells of the plan's warnings that no note has told of.
func (n *narrator) planned(d lockstep.RunPlanned) {
	for _, w := range d.Plan.Warnings {
		if !slices.Contains(d.Found.Warnings, w) {
			n.say(warn, "%s", w)
		}
	}
	n.at = partCheck
	if d.Plan.Operation == lockstep.OperationCleanup {
		n.enter(partUnlock)
	}
}

// advance tells of each part that has ended, and of the one that begins.
func (n *narrator) advance(e lockstep.Event) {
	if n.run.Plan == nil || n.run.Opened.Operation == lockstep.OperationPlan {
		return
	}
	for n.at != partEnd && n.over(n.at) {
		next := n.after(n.at)
		n.leave(n.at, e)
		n.enter(next)
	}
}

// over reports whether nothing more of a part will happen.
func (n *narrator) over(p part) bool {
	switch p {
	case partCheck:
		return n.done(lockstep.StageCheck)
	case partPlace:
		return n.done(lockstep.StageRead) && n.done(lockstep.StagePlace)
	case partLock:
		return n.done(lockstep.StageLock)
	case partWork:
		return n.done(lockstep.StageWork)
	case partUnlock:
		return n.unlocked()
	case partDrain:
		return n.tally(lockstep.StageCommit).ended > 0 || n.gone()
	case partFind, partEnd:
	}
	return false
}

// after is the part that follows.
func (n *narrator) after(p part) part {
	well := !n.run.Broken()
	restore := n.run.Opened.Operation == lockstep.OperationRestore
	switch {
	case n.run.Opened.Operation == lockstep.OperationCheck:
		return partEnd
	case p == partCheck && well && restore:
		return partPlace
	case p == partCheck && well, p == partPlace && well:
		return partLock
	case p == partLock && well:
		return partWork
	case p == partLock, p == partWork:
		return partUnlock
	case p == partUnlock && n.run.Opened.Operation == lockstep.OperationBackup && n.worked():
		return partDrain
	}
	return partEnd
}

// worked reports whether all that makes a backup worth collecting went well.
func (n *narrator) worked() bool {
	lock, work := n.tally(lockstep.StageLock), n.tally(lockstep.StageWork)
	return lock.well == lock.steps && work.well == work.steps && !n.run.Canceled && !n.run.Overrun && len(n.run.Failures) == 0
}

// enter tells of the part that begins.
func (n *narrator) enter(p part) {
	n.at = p
	kind := "backup"
	if n.restoring() {
		kind = "restore"
	}
	free := n.run.Plan.Policy.LockFree
	switch {
	case p == partUnlock && free && n.worked():
		n.say(info, "Skipping unlock after successful backup for deployment")
	case p == partUnlock && free:
		n.say(info, "Skipping unlock after unsuccessful backup for deployment")
	case p == partUnlock:
		n.say(info, "Running post-%s-unlock scripts...", kind)
	case p == partWork:
		n.say(info, "Running %s scripts...", kind)
	}
	switch {
	case p == partLock && free:
		n.say(info, "Skipping lock for deployment")
	case p == partLock:
		n.say(info, "Running pre-%s-lock scripts...", kind)
	}
}

// leave tells of the part that has ended.
func (n *narrator) leave(p part, e lockstep.Event) {
	kind := "backup"
	if n.restoring() {
		kind = "restore"
	}
	free := n.run.Plan.Policy.LockFree
	switch {
	case p == partLock && !free:
		n.say(info, "Finished running pre-%s-lock scripts.", kind)
	case p == partWork:
		n.say(info, "Finished running %s scripts.", kind)
		if work := n.tally(lockstep.StageWork); kind == "restore" && work.well == work.steps {
			n.say(info, "Completed restore of %s\n", n.name)
		}
	case p == partUnlock && !free:
		n.say(info, "Finished running post-%s-unlock scripts.", kind)
	case p == partDrain && n.drained():
		n.say(info, "Backup created of %s on %v\n", n.name, e.Time.Local())
	case p == partDrain:
		n.say(info, "Failed to create backup of %s on %v, failed during drain step\n", n.name, e.Time.Local())
	}
}

// restoring reports whether the run is a restore or undoes one.
func (n *narrator) restoring() bool {
	o := n.run.Opened
	return o.Operation == lockstep.OperationRestore || o.Request.ForRestore
}

func (n *narrator) drained() bool {
	verify, commit := n.tally(lockstep.StageVerify), n.tally(lockstep.StageCommit)
	return verify.well == verify.steps && commit.well == commit.steps
}

// gone reports whether the run is past its last part of interest.
func (n *narrator) gone() bool {
	return n.run.Ending != nil || n.tally(lockstep.StageClean).tried > 0
}

// tally counts the steps of a stage.
type tally struct{ steps, tried, running, ended, well int }

func (n *narrator) tally(stage lockstep.Stage) tally {
	var t tally
	for _, s := range n.run.Plan.Steps(stage) {
		t.steps++
		last := n.run.Steps[s.ID].Last()
		switch {
		case last == nil:
			continue
		case last.Running() || !last.Outcome.Final():
			t.running++
		default:
			t.ended++
			if last.Outcome.OK() {
				t.well++
			}
		}
		t.tried++
	}
	return t
}

// done reports whether all steps of a stage ended well, or the run is broken
// and none of them runs any more.
func (n *narrator) done(stage lockstep.Stage) bool {
	t := n.tally(stage)
	return t.well == t.steps || n.gone() || n.run.Broken() && t.running == 0
}

// unlocked reports whether no try of an unlock script is running or to come.
func (n *narrator) unlocked() bool {
	if n.gone() || n.tally(lockstep.StageCollect).tried > 0 {
		return true
	}
	for _, s := range n.run.Plan.Steps(lockstep.StageUnlock) {
		rec := n.run.Steps[s.ID]
		last := rec.Last()
		switch {
		case last != nil && last.Outcome.OK() || !n.run.Owed(s):
		case last == nil || last.Running() || len(rec.Tries) < len(n.run.Plan.Policy.UnlockTries):
			return false
		}
	}
	return true
}
