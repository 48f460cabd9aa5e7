package bbr

import (
	"fmt"
	"strings"

	"lockstep"
)

// move is how far an artifact has come from an instance.
type move struct {
	total     int64
	known     bool // total has been told
	began     bool
	announced bool // the size has been said
	percent   int  // last said
	ended     bool
}

// progressEvery is how many percent lie between two lines.
const progressEvery = 5

// verbs are the original's words for a script at work.
type verbs struct{ doing, done, failed string }

func verbsOf(s lockstep.Step) verbs {
	job, at := s.Job(), s.Instance
	on := fmt.Sprintf("%s on %s", job, at)
	switch s.Script.Kind {
	case lockstep.ScriptPreBackupLock:
		return verbs{"Locking " + on + " for backup...", "Finished locking " + on + " for backup.", "Error locking " + on + "."}
	case lockstep.ScriptPreRestoreLock:
		return verbs{"Locking " + on + " for restore...", "Finished locking " + on + " for restore.", "Error locking " + on + "."}
	case lockstep.ScriptBackup:
		return verbs{"Backing up " + on + "...", "Finished backing up " + on + ".", "Error backing up " + on + "."}
	case lockstep.ScriptRestore:
		return verbs{"Restoring " + on + "...", "Finished restoring " + on + ".", "Error restoring " + on + "."}
	case lockstep.ScriptPostBackupUnlock, lockstep.ScriptPostRestoreUnlock:
		return verbs{"Unlocking " + on + "...", "Finished unlocking " + on + ".", "Error unlocking " + on + "."}
	case lockstep.ScriptMetadata:
	}
	return verbs{}
}

func (n *narrator) started(d lockstep.StepStarted) {
	s, _ := n.run.Plan.Step(d.Step)
	switch s.Stage {
	case lockstep.StageLock, lockstep.StageWork, lockstep.StageUnlock:
		n.say(debug, "> %s", s.Script.Path)
		n.say(info, "%s", verbsOf(s).doing)
	case lockstep.StageCollect:
		n.move(s.ID).began = true
		n.announce(s)
	case lockstep.StageVerify:
		n.say(info, "Starting validity checks -- for job %s on %s...", n.artifactOf(s), s.Instance)
	case lockstep.StagePlace:
		n.say(info, "Copying backup -- %s uncompressed -- for job %s on %s/%s...", n.sights.placedSize(s.Artifact), n.artifactOf(s), s.Slot.Group, s.Slot.Index)
	case lockstep.StageClean:
		if n.director && n.tally(lockstep.StageClean).tried == 1 {
			n.say(info, "Cleaning up...")
		}
	case lockstep.StageCheck:
		if s.ID == lockstep.StepBegin {
			n.say(info, "Starting backup of %s...\n", n.name)
		}
	case lockstep.StageRead, lockstep.StageCommit:
	}
}

func (n *narrator) finished(d lockstep.StepFinished) {
	s, _ := n.run.Plan.Step(d.Step)
	for _, w := range d.Warnings {
		level := warn
		if s.Stage == lockstep.StageCheck {
			level = debug // the original looks at no free space
		}
		n.say(level, "%s: %s", d.Step, w)
	}
	if s.Script != nil {
		n.finishedScript(s, d)
		return
	}
	if !d.Outcome.OK() {
		return
	}
	switch s.Stage {
	case lockstep.StageCollect:
		n.collected(s, d)
	case lockstep.StageVerify:
		n.verified(s)
	case lockstep.StagePlace:
		n.say(info, "Finished copying backup for job %s on %s/%s.", n.artifactOf(s), s.Slot.Group, s.Slot.Index)
	case lockstep.StageCheck, lockstep.StageRead, lockstep.StageLock, lockstep.StageWork, lockstep.StageUnlock, lockstep.StageCommit, lockstep.StageClean:
	}
}

func (n *narrator) finishedScript(s lockstep.Step, d lockstep.StepFinished) {
	if !d.Outcome.Final() {
		return
	}
	if n.debug {
		stdout, stderr := n.sights.printed(d.Step, d.Attempt)
		n.say(debug, "stdout: %s", strings.TrimRight(stdout, "\n"))
		n.say(debug, "stderr: %s", strings.TrimRight(stderr, "\n"))
	}
	v := verbsOf(s)
	again := s.Stage == lockstep.StageUnlock && d.Attempt < len(n.run.Plan.Policy.UnlockTries)
	switch {
	case d.Outcome.OK():
		n.say(info, "%s", v.done)
	case again:
		n.say(warn, "%s It is tried again.", v.failed)
	default:
		n.say(fail, "%s", v.failed)
	}
}

func (n *narrator) move(id lockstep.StepID) *move {
	if n.moves[id] == nil {
		n.moves[id] = &move{}
	}
	return n.moves[id]
}

// progress may come before its step is known to have started, or not at all.
func (n *narrator) progress(p lockstep.Progress) {
	m := n.move(p.Step)
	if m.ended {
		return
	}
	m.total, m.known = p.Total, true
	if n.run.Plan == nil || !m.began {
		return
	}
	s, ok := n.run.Plan.Step(p.Step)
	if !ok || s.Stage != lockstep.StageCollect {
		return
	}
	n.announce(s)
	if p.Total > 0 {
		n.percent(s, int(min(100, p.Bytes*100/p.Total)))
	}
}

// announce says how much will be copied, once.
func (n *narrator) announce(s lockstep.Step) {
	if m := n.move(s.ID); m.began && m.known && !m.announced {
		m.announced = true
		n.say(info, "Copying backup -- %s uncompressed -- for job %s on %s...", humanSize(m.total), n.artifactOf(s), s.Instance)
	}
}

func (n *narrator) percent(s lockstep.Step, percent int) {
	m := n.move(s.ID)
	if percent < m.percent+progressEvery && (percent < 100 || m.percent == 100) {
		return
	}
	m.percent = percent
	n.say(info, "Copying backup for job %s on %s -- %d%% complete", n.artifactOf(s), s.Instance, percent)
}

func (n *narrator) collected(s lockstep.Step, d lockstep.StepFinished) {
	m := n.move(s.ID)
	if !m.known && d.Artifact != nil {
		m.total, m.known = d.Artifact.Bytes, true
	}
	n.announce(s)
	n.percent(s, 100)
	m.ended = true
	n.say(info, "Finished copying backup -- for job %s on %s...", n.artifactOf(s), s.Instance)
}

func (n *narrator) verified(s lockstep.Step) {
	if n.debug {
		for _, member := range n.sights.members(s.Artifact) {
			n.say(debug, "Calculating shasum for local file %s", member)
		}
	}
	n.say(debug, "Calculating shasum for remote files on %s", s.Instance)
	n.say(debug, "Comparing shasums")
	n.say(info, "Finished validity checks -- for job %s on %s...", n.artifactOf(s), s.Instance)
}

// artifactOf is how the original calls the artifact of a step.
func (n *narrator) artifactOf(s lockstep.Step) string {
	if a, ok := n.run.Plan.Artifact(s.Slot); ok && a.Custom {
		return a.Dir
	}
	return s.Job()
}

// humanSize is a number of bytes as `du -h` shows it: rounded up, with one
// digit behind the point below ten.
func humanSize(n int64) string {
	if n < 1024 {
		return fmt.Sprint(n)
	}
	unit, scale := 0, int64(1024)
	for ; unit < 4 && ceilDiv(n, scale) >= 1024; unit++ {
		scale *= 1024
	}
	if tenths := ceilDiv(n*10, scale); tenths < 100 {
		return fmt.Sprintf("%d.%d%c", tenths/10, tenths%10, "KMGTP"[unit])
	}
	return fmt.Sprintf("%d%c", ceilDiv(n, scale), "KMGTP"[unit])
}

func ceilDiv(a, b int64) int64 { return (a + b - 1) / b }
