// Package showtest makes the events of runs, for tests of what is shown of them.
package showtest

import (
	"fmt"
	"strings"
	"time"

	"lockstep"
	"lockstep/planner"
)

// Begin is when all runs of these tests begin.
var Begin = time.Date(2026, 11, 22, 14, 42, 41, 0, time.UTC)

// SampleShop is a deployment of a database with an ordered lock, a web server that
// is only locked, and a file store.
func SampleShop() lockstep.Deployment {
	job := func(name string, kinds ...lockstep.ScriptKind) lockstep.Job {
		j := lockstep.Job{Name: name}
		for _, k := range kinds {
			path := "/var/vcap/jobs/" + name + "/bin/bbr/" + string(k)
			j.Scripts = append(j.Scripts, lockstep.Script{Kind: k, Path: path, Digest: strings.Repeat("ab", 32)})
		}
		return j
	}
	web := job("web", lockstep.ScriptPreBackupLock, lockstep.ScriptPostBackupUnlock,
		lockstep.ScriptPreRestoreLock, lockstep.ScriptPostRestoreUnlock)
	web.Metadata.BackupBefore = []lockstep.JobRef{{Job: "postgres"}}
	return lockstep.Deployment{
		Name: "shop", Key: "ssh:shop", Locations: lockstep.DefaultLocations(),
		Instances: []lockstep.Instance{
			{Group: "db", ID: "0", Index: "0", Address: "10.0.0.11", Jobs: []lockstep.Job{
				job("postgres", lockstep.ScriptPreBackupLock, lockstep.ScriptBackup, lockstep.ScriptPostBackupUnlock, lockstep.ScriptRestore),
			}},
			{Group: "files", ID: "0", Index: "0", Jobs: []lockstep.Job{
				job("blobs", lockstep.ScriptBackup, lockstep.ScriptRestore),
			}},
			{Group: "web", ID: "0", Index: "0", Jobs: []lockstep.Job{web}},
		},
	}
}

// Play makes the events of one run: Run.Next decides, fates say how steps end.
type Play struct {
	Run    *lockstep.Run
	Now    time.Time
	Events []lockstep.Event
	Emit   func(lockstep.Event)
	// Fates are ends of steps other than exit 0, by step.
	Fates map[lockstep.StepID]lockstep.StepFinished
	// Hangs are steps that end only when their channel is closed; canceling
	// ends those that do not unlock as well.
	Hangs  map[lockstep.StepID]chan struct{}
	Cancel chan string
}

func NewPlay() *Play {
	return &Play{Run: &lockstep.Run{}, Now: Begin, Fates: map[lockstep.StepID]lockstep.StepFinished{},
		Hangs: map[lockstep.StepID]chan struct{}{}, Cancel: make(chan string, 8), Emit: func(lockstep.Event) {}}
}

func (p *Play) Fact(d lockstep.EventData) {
	p.Now = p.Now.Add(50 * time.Millisecond)
	e := lockstep.Event{V: 1, Run: "0198c0de-0001", Seq: p.Run.Seq + 1, Term: 1, Time: p.Now, Data: d}
	if err := p.Run.Apply(e); err != nil {
		panic(err)
	}
	p.Events = append(p.Events, e)
	p.Emit(e)
}

func (p *Play) Progress(d lockstep.Progress) {
	e := lockstep.Event{V: 1, Run: "0198c0de-0001", Time: p.Now, Data: d}
	p.Events = append(p.Events, e)
	p.Emit(e)
}

// Open opens and plans a run of the shop.
func (p *Play) Open(req lockstep.Request) { p.OpenOf(SampleShop(), req) }

func (p *Play) OpenOf(dep lockstep.Deployment, req lockstep.Request) {
	policy := lockstep.LockstepPolicy()
	p.Fact(lockstep.RunOpened{Operation: req.Operation, Deployment: req.Deployment, Key: dep.Key, Policy: policy, Request: req})
	plan := planOf(dep, req)
	planned := lockstep.RunPlanned{Plan: plan, Digest: plan.Digest(), Found: dep}
	if req.Operation == lockstep.OperationRestore {
		b := Kept()
		planned.Expected = &b
	}
	p.Fact(planned)
}

func PlanFor(req lockstep.Request) lockstep.Plan { return planOf(SampleShop(), req) }

func planOf(dep lockstep.Deployment, req lockstep.Request) lockstep.Plan {
	policy := lockstep.LockstepPolicy()
	var plan lockstep.Plan
	var err error
	switch {
	case req.Operation == lockstep.OperationRestore || req.ForRestore:
		plan, err = planner.Restore(dep, policy, planner.RestoreOptions{Backup: Kept()})
	case req.Operation == lockstep.OperationCheck:
		plan, err = planner.Check(dep, policy)
	default:
		plan, err = planner.Backup(dep, policy, planner.BackupOptions{})
	}
	if err != nil {
		panic(err)
	}
	return plan
}

// Drive brings the run to its end, or to the start of the step that is named.
func (p *Play) Drive(until lockstep.StepID) {
	for p.Run.Ending == nil {
		d := p.Run.Next(p.Now)
		switch {
		case d.End != nil:
			p.Fact(lockstep.RunEnded{Ending: *d.End})
		case len(d.Start) > 0:
			for _, a := range d.Start {
				p.Fact(lockstep.StepStarted{Step: a.Step.ID, Attempt: a.N})
			}
			for _, a := range d.Start {
				if a.Step.ID == until {
					return
				}
				p.finish(a)
			}
		case !d.Wake.IsZero():
			p.Now = d.Wake
		default:
			panic(fmt.Sprintf("nothing to do after event %d", p.Run.Seq))
		}
	}
}

func (p *Play) finish(a lockstep.Attempt) {
	f, fated := p.Fates[a.Step.ID]
	if hang := p.Hangs[a.Step.ID]; hang != nil {
		cancel := p.Cancel
		if a.Step.Stage == lockstep.StageUnlock {
			cancel = nil
		}
		select {
		case <-hang:
		case by := <-cancel:
			p.Fact(lockstep.CancelRequested{By: by})
			f, fated = lockstep.StepFinished{Outcome: lockstep.Outcome{Kind: lockstep.OutcomeSignal, Signal: "TERM"}}, true
		}
	}
	if !fated || a.N > 1 {
		f = lockstep.StepFinished{Outcome: lockstep.Exited(0), Busy: 20 * time.Millisecond}
	}
	f.Step, f.Attempt = a.Step.ID, a.N
	if a.Step.Stage == lockstep.StageCollect || a.Step.Stage == lockstep.StageVerify {
		for _, art := range Kept().Artifacts {
			if art.Name == a.Step.Artifact {
				f.Artifact = &art
			}
		}
	}
	p.Fact(f)
}

// Kept is the backup that the fake's repository has.
func Kept() lockstep.Backup {
	return lockstep.Backup{
		V: 1, ID: "shop_20261120T010000Z", Deployment: "shop", Key: "ssh:shop", Run: "0198c0de-0000",
		StartedAt: Begin.Add(-61 * time.Hour), Data: lockstep.DataVerified, LockWindow: 1.25, Version: "1.0",
		Instances: SampleShop().Instances, PlanDigest: "sha256:feed",
		Artifacts: []lockstep.Artifact{
			{Slot: lockstep.Slot{Group: "db", Index: "0", Job: "postgres"}, Instance: "db/0", Name: "db-0-postgres", Bytes: 129394278, Entries: 12, Digest: "sha256:01"},
			{Slot: lockstep.Slot{Group: "files", Index: "0", Job: "blobs"}, Instance: "files/0", Name: "files-0-blobs", Bytes: 5120, Entries: 3, Digest: "sha256:02"},
		},
	}
}
