package access

import (
	"context"
	"errors"
	"io"
	"iter"
	"slices"
	"strings"
	"sync"
	"time"

	"lockstep"
	"lockstep/auditlog"
)

// fakeService has the deployments shop and bank, each with one run (of its own
// name) and one backup. It remembers what had an effect.
type fakeService struct {
	mu      sync.Mutex
	effects []string
	last    lockstep.Request
	fail    error
	runs    map[lockstep.RunID]string
}

var _ lockstep.Service = (*fakeService)(nil)

func newFakeService() *fakeService {
	return &fakeService{runs: map[lockstep.RunID]string{"run-shop": "shop", "run-bank": "bank"}}
}

func (f *fakeService) did(what ...string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.effects = append(f.effects, strings.Join(what, " "))
}

func (f *fakeService) known(name string) error {
	if name != "shop" && name != "bank" {
		return &lockstep.Error{Kind: lockstep.KindNotFound, Op: "find deployment " + name, Err: errors.New("no"), Hint: "configured are: bank, shop"}
	}
	return f.fail
}

func (f *fakeService) Deployments(context.Context) ([]lockstep.DeploymentInfo, error) {
	return []lockstep.DeploymentInfo{{Name: "bank"}, {Name: "shop"}}, nil
}

func (f *fakeService) Plan(_ context.Context, req lockstep.Request) (lockstep.PlanReport, error) {
	if err := f.known(req.Deployment); err != nil {
		return lockstep.PlanReport{}, err
	}
	f.last = req
	f.did("plan", req.Deployment, req.By)
	return lockstep.PlanReport{Run: "run-plan", Digest: "sha256:plan-of-" + req.Deployment + "-" + string(req.Backup)}, nil
}

func (f *fakeService) Start(_ context.Context, req lockstep.Request) (lockstep.RunID, error) {
	if err := f.known(req.Deployment); err != nil {
		return "", err
	}
	f.last = req
	f.did("start", string(req.Operation), req.Deployment, req.By)
	return req.ID, nil
}

func (f *fakeService) Run(_ context.Context, id lockstep.RunID) (*lockstep.Run, error) {
	d, ok := f.runs[id]
	if !ok {
		return nil, &lockstep.Error{Kind: lockstep.KindNotFound, Err: errors.New("no run " + string(id)), Hint: "there are run-shop, run-bank"}
	}
	return &lockstep.Run{ID: id, Opened: lockstep.RunOpened{Deployment: d}}, f.fail
}

func (f *fakeService) Runs(_ context.Context, filter lockstep.RunFilter) ([]lockstep.RunSummary, error) {
	var runs []lockstep.RunSummary
	for id, d := range f.runs {
		if filter.Deployment == "" || filter.Deployment == d {
			runs = append(runs, lockstep.RunSummary{ID: id, Deployment: d})
		}
	}
	slices.SortFunc(runs, func(a, b lockstep.RunSummary) int { return strings.Compare(string(b.ID), string(a.ID)) })
	return runs, nil
}

func (f *fakeService) Events(_ context.Context, id lockstep.RunID, _ uint64) iter.Seq2[lockstep.Event, error] {
	return func(yield func(lockstep.Event, error) bool) {
		if _, err := f.Run(context.Background(), id); err != nil {
			yield(lockstep.Event{}, err)
			return
		}
		yield(lockstep.Event{Run: id, Seq: 1}, nil)
	}
}

func (f *fakeService) Cancel(_ context.Context, id lockstep.RunID, by string) error {
	f.did("cancel", string(id), by)
	return nil
}

func (f *fakeService) Settle(_ context.Context, req lockstep.SettleRequest) ([]lockstep.RunSummary, error) {
	if req.Deployment != "" {
		if err := f.known(req.Deployment); err != nil {
			return nil, err
		}
	}
	f.did("settle", req.Deployment)
	return nil, nil
}

func (f *fakeService) Held(_ context.Context, deployment string) ([]lockstep.Hold, error) {
	var held []lockstep.Hold
	for _, d := range []string{"bank", "shop"} {
		if deployment == "" || deployment == d {
			held = append(held, lockstep.Hold{Deployment: d})
		}
	}
	return held, nil
}

func (f *fakeService) LostRuns(context.Context) ([]lockstep.LostRun, error) {
	return []lockstep.LostRun{{Deployment: "bank"}, {Deployment: "shop"}}, nil
}

func (f *fakeService) Acknowledge(_ context.Context, ack lockstep.Acknowledgement) error {
	f.did("acknowledge", string(ack.Run), ack.By)
	return nil
}

func (f *fakeService) Audit(_ context.Context, id lockstep.RunID) (lockstep.RunAudit, error) {
	_, err := f.Run(context.Background(), id)
	return lockstep.RunAudit{}, err
}

func (f *fakeService) Output(_ context.Context, id lockstep.RunID, _ lockstep.StepID) ([]lockstep.StepOutput, error) {
	_, err := f.Run(context.Background(), id)
	return nil, err
}

func (f *fakeService) PruneRuns(context.Context, time.Duration) (int, error) {
	f.did("prune")
	return 1, nil
}

func (f *fakeService) Backups(_ context.Context, deployment string) ([]lockstep.Backup, error) {
	var all []lockstep.Backup
	for _, d := range []string{"bank", "shop"} {
		if deployment == "" || deployment == d {
			all = append(all, backupOf(d))
		}
	}
	return all, nil
}

func backupOf(deployment string) lockstep.Backup {
	return lockstep.Backup{ID: lockstep.BackupID(deployment + "_1"), Deployment: deployment, Data: lockstep.DataVerified}
}

func (f *fakeService) Backup(_ context.Context, deployment string, id lockstep.BackupID) (lockstep.Backup, error) {
	switch {
	case id == "latest" && (deployment == "shop" || deployment == "bank"):
		return backupOf(deployment), nil
	case id == "shop_1" || id == "bank_1":
		return backupOf(strings.TrimSuffix(string(id), "_1")), nil
	}
	return lockstep.Backup{}, &lockstep.Error{Kind: lockstep.KindNotFound, Err: errors.New("no"), Hint: "see what is in /backups"}
}

func (f *fakeService) Verify(context.Context, lockstep.BackupID) (lockstep.VerifyReport, error) {
	f.did("verify")
	return lockstep.VerifyReport{OK: true}, nil
}

func (f *fakeService) Forget(_ context.Context, id lockstep.BackupID) error {
	f.did("forget", string(id))
	return nil
}

func (f *fakeService) OpenArtifact(_ context.Context, id lockstep.BackupID, name string) (io.ReadCloser, error) {
	f.did("export", string(id), name)
	return io.NopCloser(strings.NewReader("data")), nil
}

func (f *fakeService) Entries(context.Context, lockstep.BackupID, string) iter.Seq2[lockstep.Entry, error] {
	return func(yield func(lockstep.Entry, error) bool) {
		yield(lockstep.Entry{Path: "a"}, nil)
	}
}

func (f *fakeService) CopyNew(_ context.Context, deployment, to string) ([]lockstep.CopyReport, error) {
	f.did("copy", deployment, to)
	return nil, nil
}

func (f *fakeService) PruneRepository(_ context.Context, begin func(lockstep.Pruning) error) (lockstep.Pruning, error) {
	f.did("prune repository", "", "")
	return lockstep.Pruning{}, begin(lockstep.Pruning{})
}

// memoryLog is an audit log in memory that can be made to fail.
type memoryLog struct {
	mu      sync.Mutex
	entries []auditlog.Entry
	fail    error
}

func (l *memoryLog) Record(_ context.Context, e auditlog.Entry) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fail != nil {
		return l.fail
	}
	l.entries = append(l.entries, e)
	return nil
}

func (l *memoryLog) last() auditlog.Entry {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.entries) == 0 {
		return auditlog.Entry{}
	}
	return l.entries[len(l.entries)-1]
}
