package lockstep

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"
)

// StatusFacts are what StatusOf is computed from, each as the Service lists it.
type StatusFacts struct {
	Now         time.Time
	Deployments []DeploymentInfo
	// Runs are of any deployments, newest first, those that are open among them.
	Runs    []RunSummary
	Held    []Hold
	Lost    []LostRun
	Backups []Backup // newest first
	// Unread says why the backups could not be listed; nil: they were.
	Unread    error
	Schedules []ScheduleStatus
}

// LostRun is a run of which the journal has nothing left: nobody knows what it has
// locked.
type LostRun struct {
	Run        RunID
	Key        DeploymentKey
	Deployment string
	// Since is when that was found out.
	Since time.Time
}

// LostRuns is implemented by a Service that knows which runs are lost.
type LostRuns interface {
	LostRuns(ctx context.Context) ([]LostRun, error)
}

// GatherStatus asks for the facts of StatusOf, but for schedules: those of all
// deployments that svc shows. Of ended runs only the last backup and the last
// restore of each deployment count. A repository that cannot be read keeps nothing
// else from being known: the error is in the facts.
func GatherStatus(ctx context.Context, svc Service, now time.Time) (f StatusFacts, err error) {
	f.Now = now
	if f.Deployments, err = svc.Deployments(ctx); err != nil {
		return f, err
	}
	if f.Held, err = svc.Held(ctx, ""); err != nil {
		return f, err
	}
	if l, ok := svc.(LostRuns); ok {
		if f.Lost, err = l.LostRuns(ctx); err != nil {
			return f, err
		}
	}
	filters := []RunFilter{{State: RunRunning}}
	for _, d := range f.Deployments {
		for _, o := range []Operation{OperationBackup, OperationRestore} {
			filters = append(filters, RunFilter{Key: d.Key, Operation: o, Limit: 1})
		}
	}
	for _, filter := range filters {
		runs, err := svc.Runs(ctx, filter)
		if err != nil {
			return f, err
		}
		f.Runs = append(f.Runs, runs...)
	}
	slices.SortFunc(f.Runs, func(a, b RunSummary) int { return cmp.Compare(b.ID, a.ID) })
	f.Runs = slices.CompactFunc(f.Runs, func(a, b RunSummary) bool { return a.ID == b.ID })
	f.Backups, f.Unread = svc.Backups(ctx, "")
	return f, ctx.Err()
}

// DeploymentStatus is what somebody wants to know of a deployment first.
type DeploymentStatus struct {
	Deployment string `json:"deployment"`
	// Running is the run that goes on, if one does.
	Running *StatusRun `json:"running,omitempty"`
	// Locked says what may be locked now; nil: nothing is.
	Locked *StatusLock `json:"locked,omitempty"`
	// LastGood is the newest backup that is restored without being named.
	LastGood *StatusBackup `json:"last_good,omitempty"`
	// LastVerify is the newest time that a backup was read again.
	LastVerify *StatusVerify `json:"last_verify,omitempty"`
	// Next is what a schedule does next, if one does anything.
	Next *StatusNext `json:"next,omitempty"`
	// Unclear: whether the journal knows it, and so what may be locked, nobody
	// knows; see DeploymentInfo.
	Unclear bool `json:"unclear,omitempty"`
	// Unread: the backups could not be listed, so that LastGood and LastVerify are
	// not known.
	Unread bool `json:"unread,omitempty"`
	// Wrong is what somebody has to do something about, the most urgent first.
	Wrong []StatusWrong `json:"wrong"`
}

// StatusRun is a run in a status.
type StatusRun struct {
	ID        RunID     `json:"id"`
	Operation Operation `json:"operation"`
	Since     time.Time `json:"since"`
}

// StatusLock is what may be locked: since when, by which run, which jobs.
type StatusLock struct {
	Run   RunID     `json:"run"`
	Since time.Time `json:"since"`
	// Jobs are none where the run is lost, so that nobody knows which.
	Jobs []string `json:"jobs"`
	// Driven: the run goes on, and unlocks by itself.
	Driven bool `json:"driven"`
	// Type is the command that settles it.
	Type string `json:"type"`
}

// StatusBackup is a backup in a status.
type StatusBackup struct {
	ID BackupID  `json:"id"`
	At time.Time `json:"at"`
	// Age is in seconds.
	Age float64 `json:"age_seconds"`
}

// StatusVerify is how a backup was read again.
type StatusVerify struct {
	Backup BackupID  `json:"backup"`
	At     time.Time `json:"at"`
	OK     bool      `json:"ok"`
}

// StatusNext is the next slot of a schedule.
type StatusNext struct {
	Schedule  string             `json:"schedule"`
	Operation ScheduledOperation `json:"operation"`
	At        time.Time          `json:"at"`
}

// StatusWrong is something that is wrong, in a sentence, and the one command that
// helps.
type StatusWrong struct {
	What string `json:"what"`
	Type string `json:"type"`
}

// ExitCode is ExitHeld where something may be locked, with ExitError where nobody
// knows which backups there are; else 0.
func (s DeploymentStatus) ExitCode() (code int) {
	if s.Locked != nil {
		code |= ExitHeld
	}
	if s.Unread {
		code |= ExitError
	}
	return code
}

// StatusOf says of each deployment how it stands: the configured ones in their
// order, then those that only holds know of. Equal facts make equal statuses.
func StatusOf(f StatusFacts) []DeploymentStatus {
	var out []DeploymentStatus
	known := map[DeploymentKey]bool{}
	for _, d := range f.Deployments {
		known[d.Key] = true
		out = append(out, f.of(d))
	}
	for _, h := range f.Held {
		if !known[h.Key] {
			known[h.Key] = true
			out = append(out, f.of(DeploymentInfo{Name: h.Deployment, Key: h.Key}))
		}
	}
	return out
}

func (f StatusFacts) of(d DeploymentInfo) DeploymentStatus {
	s := DeploymentStatus{Deployment: d.Name, Wrong: []StatusWrong{}}
	if d.Unclear != "" {
		s.Unclear, s.Wrong = true, []StatusWrong{{What: d.Unclear, Type: "lockstep check " + d.Name}} // says what can be done
		return s
	}
	runs := slices.DeleteFunc(slices.Clone(f.Runs), func(r RunSummary) bool { return r.Key != d.Key || r.Operation == OperationPlan })
	backups := slices.DeleteFunc(slices.Clone(f.Backups), func(b Backup) bool {
		return b.Deployment != d.Name || b.Key != "" && b.Key != d.Key
	})
	for _, r := range runs {
		if r.State == RunRunning && !r.Abandoned && s.Running == nil {
			s.Running = &StatusRun{r.ID, r.Operation, r.StartedAt}
		}
	}
	s.lock(f.Held, d, runs)
	s.lose(f.Lost, d)
	s.backups(f.Now, backups)
	for _, x := range f.Schedules {
		if x.Deployment == d.Name && !x.Paused && !x.Next.IsZero() && (s.Next == nil || x.Next.Before(s.Next.At)) {
			s.Next = &StatusNext{x.Name, x.Operation, x.Next}
		}
	}
	s.Unread = f.Unread != nil
	s.judge(d.Name, runs, backups)
	if s.Unread {
		s.Wrong = append(s.Wrong, StatusWrong{"its backups cannot be listed: " + MessageOf(f.Unread).String(), "lockstep repository check"})
	}
	return s
}

// lock says what may be locked. What a run that goes on has locked is its own
// business; of all others the oldest is told.
func (s *DeploymentStatus) lock(held []Hold, d DeploymentInfo, runs []RunSummary) {
	var oldest Hold
	driven := func(h Hold) bool { return s.Running != nil && h.Run == s.Running.ID }
	for _, h := range held {
		if h.Key != d.Key {
			continue
		}
		if s.Locked == nil {
			s.Locked = &StatusLock{}
			oldest = h
		}
		s.Locked.Jobs = append(s.Locked.Jobs, h.Slot.String())
		if driven(oldest) && !driven(h) || driven(oldest) == driven(h) && h.Since.Before(oldest.Since) {
			oldest = h
		}
	}
	if s.Locked == nil {
		return
	}
	l := s.Locked
	l.Run, l.Since, l.Driven = oldest.Run, oldest.Since, driven(oldest)
	left := slices.ContainsFunc(runs, func(r RunSummary) bool { return r.ID == l.Run && r.Abandoned })
	switch {
	case l.Driven:
		l.Type = fmt.Sprintf("lockstep runs watch %s", l.Run)
	case left:
		l.Type = "lockstep recover " + d.Name
	case oldest.Restore:
		l.Type = fmt.Sprintf("lockstep cleanup %s --restore", d.Name)
	default:
		l.Type = "lockstep cleanup " + d.Name
	}
}

// lose says that a lost run may have locked something. What is known to be locked is
// told first.
func (s *DeploymentStatus) lose(lost []LostRun, d DeploymentInfo) {
	for _, l := range lost {
		if l.Key != d.Key {
			continue
		}
		command := fmt.Sprintf("lockstep cleanup %s --take-over", d.Name)
		s.Wrong = append(s.Wrong, StatusWrong{
			fmt.Sprintf("the journal has lost run %s, which may have locked anything; if it was a restore, clean up with --restore, too", l.Run), command,
		})
		if s.Locked == nil {
			s.Locked = &StatusLock{Run: l.Run, Since: l.Since, Jobs: []string{}, Type: command}
		}
	}
}

func (s *DeploymentStatus) backups(now time.Time, backups []Backup) {
	for _, b := range backups {
		if b.Data == DataVerified && s.LastGood == nil {
			at := b.ConsistentAt
			if at.IsZero() {
				at = b.StartedAt
			}
			s.LastGood = &StatusBackup{b.ID, at, now.Sub(at).Seconds()}
		}
		if v := b.Verified; v != nil && (s.LastVerify == nil || v.At.After(s.LastVerify.At)) {
			s.LastVerify = &StatusVerify{b.ID, v.At, v.OK}
		}
	}
}

// judge says what is wrong, the most urgent first: what stands still, what was
// left half done, what cannot be restored.
func (s *DeploymentStatus) judge(name string, runs []RunSummary, backups []Backup) {
	wrong := func(command, format string, args ...any) {
		s.Wrong = append(s.Wrong, StatusWrong{fmt.Sprintf(format, args...), command})
	}
	if l := s.Locked; l != nil && !l.Driven && len(l.Jobs) > 0 {
		wrong(l.Type, "%d of its jobs may still be locked, by run %s", len(l.Jobs), l.Run)
	}
	for _, r := range runs {
		if r.Abandoned && (s.Locked == nil || s.Locked.Run != r.ID) {
			wrong("lockstep recover "+name, "the orchestrator of run %s died", r.ID)
		}
	}
	if r := newest(runs, OperationRestore); r != nil && r.Data == DataPartial {
		wrong(fmt.Sprintf("lockstep restore %s latest", name), "the restore %s ended half-way: the system has data of two times", r.ID)
	}
	if v := s.LastVerify; v != nil && !v.OK {
		wrong(fmt.Sprintf("lockstep backups show %s", v.Backup), "the last verify found that backup %s is damaged", v.Backup)
	}
	switch {
	case s.Unread, s.Running != nil && s.Running.Operation == OperationBackup:
	case s.LastGood == nil:
		wrong("lockstep backup "+name, "there is no backup that can be restored")
	case len(backups) > 0 && backups[0].Data != DataVerified:
		wrong(fmt.Sprintf("lockstep backups show %s", backups[0].ID), "the newest backup, %s, is %s", backups[0].ID, backups[0].Data)
	}
	if r := newest(runs, OperationBackup); r != nil && r.State != RunSucceeded && r.State != RunRunning {
		wrong(fmt.Sprintf("lockstep runs show %s", r.ID), "the last backup run, %s, %s", r.ID, r.State)
	}
}

// newest is the newest run of an operation, nil if there is none.
func newest(runs []RunSummary, o Operation) *RunSummary {
	i := slices.IndexFunc(runs, func(r RunSummary) bool { return r.Operation == o })
	if i < 0 {
		return nil
	}
	return &runs[i]
}
