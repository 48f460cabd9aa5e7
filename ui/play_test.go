package ui

import (
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"time"

	"lockstep"
	"lockstep/planner"
)

// begin is when the runs of these tests begin.
var begin = time.Date(2026, 11, 22, 2, 42, 41, 0, time.UTC)

// sampleShop has web servers that are locked before the queue, which is locked
// before the databases; a file store has no locks.
func sampleShop() lockstep.Deployment {
	job := func(name string, kinds ...lockstep.ScriptKind) lockstep.Job {
		j := lockstep.Job{Name: name}
		for _, k := range kinds {
			path := "/var/vcap/jobs/" + name + "/bin/bbr/" + string(k)
			j.Scripts = append(j.Scripts, lockstep.Script{Kind: k, Path: path, Digest: strings.Repeat("ab", 32)})
		}
		return j
	}
	locked := []lockstep.ScriptKind{lockstep.ScriptPreBackupLock, lockstep.ScriptPostBackupUnlock, lockstep.ScriptPreRestoreLock, lockstep.ScriptPostRestoreUnlock}
	saved := []lockstep.ScriptKind{lockstep.ScriptBackup, lockstep.ScriptRestore}
	web, queue := job("web", locked...), job("queue", append(locked, saved...)...)
	web.Metadata.BackupBefore = []lockstep.JobRef{{Job: "queue"}}
	queue.Metadata.BackupBefore = []lockstep.JobRef{{Job: "postgres"}}
	d := lockstep.Deployment{Name: "shop", Key: "ssh:/etc/lockstep/config.yaml:shop", Locations: lockstep.DefaultLocations()}
	add := func(group string, n int, jobs ...lockstep.Job) {
		for i := range n {
			d.Instances = append(d.Instances, lockstep.Instance{
				Group: group, ID: fmt.Sprint(i), Index: fmt.Sprint(i), Address: fmt.Sprintf("10.0.0.%d", len(d.Instances)+11), Jobs: jobs,
			})
		}
	}
	add("db", 2, job("postgres", append(locked, saved...)...))
	add("files", 1, job("blobs", saved...))
	add("queue", 1, queue)
	add("web", 3, web)
	return d
}

// play makes the events of one run over time that passes by itself.
type play struct {
	run    *lockstep.Run
	now    time.Time
	events []lockstep.Event
	fates  map[lockstep.StepID]lockstep.StepFinished
	slow   map[lockstep.StepID]time.Duration
	cancel lockstep.StepID // cancels when that step ends
	// running are the tries under way, with when each ends.
	running []ending
}

func newPlay() *play {
	return &play{
		run: &lockstep.Run{}, now: begin, fates: map[lockstep.StepID]lockstep.StepFinished{}, slow: map[lockstep.StepID]time.Duration{},
	}
}

// ending is a try under way and when it ends.
type ending struct {
	at time.Time
	lockstep.Attempt
}

const playedRun lockstep.RunID = "0198c0de-7a11-7000-8000-00000000c0de"

func (p *play) fact(d lockstep.EventData) {
	e := lockstep.Event{V: 1, Run: playedRun, Seq: p.run.Seq + 1, Term: 1, Time: p.now, Data: d}
	if err := p.run.Apply(e); err != nil {
		panic(err)
	}
	p.events = append(p.events, e)
}

// open opens and plans a run of the shop.
func (p *play) open(op lockstep.Operation) *play {
	d := sampleShop()
	p.fact(lockstep.RunOpened{
		Operation: op, Deployment: d.Name, Key: d.Key, Policy: lockstep.LockstepPolicy(), Version: "1.0",
		Request: lockstep.Request{Operation: op, Deployment: d.Name, By: "token:night-shift"},
	})
	plan, err := planned(d, op)
	if err != nil {
		panic(err)
	}
	p.now = p.now.Add(420 * time.Millisecond)
	p.fact(lockstep.RunPlanned{Plan: plan, Digest: plan.Digest(), Found: d})
	return p
}

func planned(d lockstep.Deployment, op lockstep.Operation) (lockstep.Plan, error) {
	policy := lockstep.LockstepPolicy()
	switch op {
	case lockstep.OperationRestore:
		return planner.Restore(d, policy, planner.RestoreOptions{Backup: kept(0)})
	case lockstep.OperationCheck:
		return planner.Check(d, policy)
	case lockstep.OperationBackup, lockstep.OperationPlan:
		plan, err := planner.Backup(d, policy, planner.BackupOptions{})
		plan.Backup = kept(0).ID
		return plan, err
	case lockstep.OperationCleanup:
	}
	return lockstep.Plan{}, errors.New("not played")
}

// drive goes on until that moment of the run, or to its end if it is 0.
func (p *play) drive(until time.Duration) *play {
	for steps := 0; p.run.Ending == nil; steps++ {
		if steps > 10_000 {
			panic("the play has no end")
		}
		d := p.run.Next(p.now)
		for _, a := range d.Start {
			p.fact(lockstep.StepStarted{Step: a.Step.ID, Attempt: a.N})
			p.running = append(p.running, ending{p.now.Add(p.takes(a.Step)), a})
		}
		if d.End != nil {
			p.fact(lockstep.RunEnded{Ending: *d.End})
			break
		}
		slices.SortStableFunc(p.running, func(a, b ending) int { return a.at.Compare(b.at) })
		next := d.Wake
		if len(p.running) > 0 && (next.IsZero() || p.running[0].at.Before(next)) {
			next = p.running[0].at
		}
		if until > 0 && next.After(begin.Add(until)) {
			p.now = begin.Add(until)
			break
		}
		p.now = next
		if len(p.running) > 0 && p.running[0].at.Equal(next) {
			p.finish(p.running[0].Attempt)
			p.running = p.running[1:]
		}
	}
	return p
}

// takes is how long a step takes: always the same, and different for each.
func (p *play) takes(s lockstep.Step) time.Duration {
	if d := p.slow[s.ID]; d > 0 {
		return d
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(s.ID))
	d := time.Duration(150+h.Sum32()%900) * time.Millisecond
	switch s.Stage {
	case lockstep.StageWork:
		d *= 9
	case lockstep.StageCollect, lockstep.StageRead, lockstep.StagePlace:
		d *= 6
	default:
	}
	return d
}

func (p *play) finish(a lockstep.Attempt) {
	f, fated := p.fates[a.Step.ID]
	if !fated || a.N > 1 && f.Outcome.Kind != lockstep.OutcomeAbandoned {
		f = lockstep.StepFinished{Outcome: lockstep.Exited(0), Busy: p.takes(a.Step) * 95 / 100}
	}
	f.Step, f.Attempt = a.Step.ID, a.N
	if a.Step.Stage == lockstep.StageCollect || a.Step.Stage == lockstep.StageVerify {
		b := kept(0)
		if art, ok := b.Named(a.Step.Artifact); ok {
			f.Artifact = &art
		}
	}
	p.fact(f)
	if a.Step.ID == p.cancel {
		p.fact(lockstep.CancelRequested{By: "token:night-shift"})
	}
}

// kept are backups of the shop, the newest first.
func kept(n int) lockstep.Backup {
	d := sampleShop()
	at := begin.Add(-time.Duration(n) * 24 * time.Hour)
	b := lockstep.Backup{
		V: 1, ID: lockstep.NewBackupID("shop", at), Deployment: "shop", Key: d.Key, Run: playedRun,
		StartedAt: at, ConsistentAt: at.Add(3 * time.Second), FinishedAt: at.Add(time.Minute), Data: lockstep.DataVerified,
		LockWindow: 9.25, Version: "1.0", Instances: d.Instances, PlanDigest: "sha256:" + strings.Repeat("feed", 16),
	}
	for i, in := range d.Instances {
		for _, j := range in.Jobs {
			if _, ok := j.Script(lockstep.ScriptBackup); ok {
				b.Artifacts = append(b.Artifacts, lockstep.Artifact{
					Slot: lockstep.SlotOf(in, j.Name), Instance: in.Name(), Name: in.Group + "-" + in.Index + "-" + j.Name,
					Bytes: 1293942780 / int64(i*i+1), Entries: 12 + i, Digest: "sha256:" + strings.Repeat("0a1b", 16),
				})
			}
		}
	}
	return b
}
