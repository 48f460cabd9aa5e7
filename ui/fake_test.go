package ui

import (
	"context"
	"errors"
	"io"
	"iter"
	"net/http"
	"strings"
	"sync"
	"time"

	"lockstep"
	"lockstep/access"
)

// fakeService is a Service over one played run. Methods that no page calls
// panic through the nil Service.
type fakeService struct {
	lockstep.Service
	mu      sync.Mutex
	changed chan struct{}
	play    *play
	extra   []lockstep.Event // progress
	runs    []lockstep.RunSummary
	held    []lockstep.Hold
	lost    []lockstep.LostRun
	backup  []lockstep.Backup
	output  []lockstep.StepOutput
	// entries are lists by artifact, entriesOf those of one backup.
	entries   map[string][]lockstep.Entry
	entriesOf map[lockstep.BackupID]map[string][]lockstep.Entry
	did       []string
	started   []lockstep.Request
	refuse    error
	// built is what is planned for now; nil is the sample shop.
	built func() lockstep.Deployment
}

func newFake(p *play) *fakeService {
	f := &fakeService{play: p, changed: make(chan struct{})}
	for i := range 6 {
		f.backup = append(f.backup, kept(i))
	}
	return f
}

func (f *fakeService) do(what string, args ...string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.did = append(f.did, strings.Join(append([]string{what}, args...), " "))
	return f.refuse
}

func (f *fakeService) Deployments(context.Context) ([]lockstep.DeploymentInfo, error) {
	return []lockstep.DeploymentInfo{
		{Name: "cf", Key: "bosh:https://10.0.0.6:25555:cf", Source: "bosh"},
		{Name: "shop", Key: "ssh:/etc/lockstep/config.yaml:shop", Source: "ssh"},
		{Name: "wiki", Key: "local:/etc/lockstep/config.yaml:wiki", Source: "local"},
	}, nil
}

func (f *fakeService) Plan(_ context.Context, req lockstep.Request) (lockstep.PlanReport, error) {
	op := lockstep.OperationBackup
	if req.ForRestore {
		op = lockstep.OperationRestore
	}
	shop := sampleShop
	if f.built != nil {
		shop = f.built
	}
	plan, err := planned(shop(), op)
	return lockstep.PlanReport{
		Run: playedRun, Plan: plan, Digest: plan.Digest(), Since: "0198c0de-7a11-7000-8000-00000000beef",
		Changes: []string{"job web on web/2 is new", "job postgres on db/0: its script backup has changed"}, Windows: []float64{9.2, 8.9, 31},
	}, err
}

func (f *fakeService) Start(_ context.Context, req lockstep.Request) (lockstep.RunID, error) {
	f.mu.Lock()
	f.started = append(f.started, req)
	f.mu.Unlock()
	return playedRun, f.do("start", string(req.Operation), req.Deployment)
}

func (f *fakeService) Run(_ context.Context, id lockstep.RunID) (*lockstep.Run, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.play == nil || id != playedRun {
		return nil, &lockstep.Error{Kind: lockstep.KindNotFound, Op: "find run", Err: errors.New("not in the journal"), Hint: "`lockstep runs list` shows what is there"}
	}
	return lockstep.FoldRun(f.play.events)
}

func (f *fakeService) Runs(_ context.Context, filter lockstep.RunFilter) ([]lockstep.RunSummary, error) {
	var out []lockstep.RunSummary
	for _, r := range f.runs {
		if (filter.State == "" || r.State == filter.State) && (filter.Deployment == "" || r.Deployment == filter.Deployment) &&
			(filter.Operation == "" || r.Operation == filter.Operation) && (filter.Limit == 0 || len(out) < filter.Limit) {
			out = append(out, r)
		}
	}
	return out, nil
}

// emit adds events to the played run, for those who watch.
func (f *fakeService) emit(change func(*play)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(f.play)
	close(f.changed)
	f.changed = make(chan struct{})
}

func (f *fakeService) Events(ctx context.Context, _ lockstep.RunID, after uint64) iter.Seq2[lockstep.Event, error] {
	return func(yield func(lockstep.Event, error) bool) {
		at, extra := int(after), 0
		for {
			f.mu.Lock()
			fresh, changed := f.play.events[at:], f.changed
			fresh = append(append([]lockstep.Event(nil), fresh...), f.extra[extra:]...)
			extra = len(f.extra)
			f.mu.Unlock()
			for _, e := range fresh {
				if e.Seq > 0 {
					at++
				}
				if !yield(e, nil) {
					return
				}
				if _, end := e.Data.(lockstep.RunEnded); end {
					return
				}
			}
			select {
			case <-changed:
			case <-ctx.Done():
				yield(lockstep.Event{}, ctx.Err())
				return
			}
		}
	}
}

func (f *fakeService) Cancel(_ context.Context, id lockstep.RunID, by string) error {
	return f.do("cancel", string(id), by)
}

func (f *fakeService) Settle(_ context.Context, req lockstep.SettleRequest) ([]lockstep.RunSummary, error) {
	return nil, f.do("settle", req.Deployment)
}

func (f *fakeService) Held(context.Context, string) ([]lockstep.Hold, error) { return f.held, nil }

func (f *fakeService) LostRuns(context.Context) ([]lockstep.LostRun, error) { return f.lost, nil }

func (f *fakeService) Acknowledge(_ context.Context, a lockstep.Acknowledgement) error {
	return f.do("acknowledge", a.Job, a.By, a.Reason)
}

func (f *fakeService) Output(context.Context, lockstep.RunID, lockstep.StepID) ([]lockstep.StepOutput, error) {
	return f.output, nil
}

func (f *fakeService) Backups(_ context.Context, deployment string) ([]lockstep.Backup, error) {
	if deployment == "" || deployment == "shop" {
		return f.backup, nil
	}
	if deployment == "cf" {
		b := kept(9)
		b.Deployment, b.ID = "cf", "cf_20261113T024241Z"
		return []lockstep.Backup{b}, nil
	}
	return nil, nil
}

func (f *fakeService) Backup(_ context.Context, _ string, id lockstep.BackupID) (lockstep.Backup, error) {
	for _, b := range f.backup {
		if b.ID == id {
			return b, nil
		}
	}
	return lockstep.Backup{}, &lockstep.Error{Kind: lockstep.KindNotFound, Op: "find backup", Err: errors.New("not in the repository")}
}

func (f *fakeService) Verify(_ context.Context, id lockstep.BackupID) (lockstep.VerifyReport, error) {
	return lockstep.VerifyReport{Backup: id, OK: true, Bytes: 4711, Artifacts: 4, At: begin}, f.do("verify", string(id))
}

func (f *fakeService) Forget(_ context.Context, id lockstep.BackupID) error {
	return f.do("forget", string(id))
}

func (f *fakeService) Entries(_ context.Context, id lockstep.BackupID, name string) iter.Seq2[lockstep.Entry, error] {
	return func(yield func(lockstep.Entry, error) bool) {
		list, ok := f.entriesOf[id][name]
		if !ok {
			list = f.entries[name]
		}
		for _, e := range list {
			if !yield(e, nil) {
				return
			}
		}
	}
}

func (f *fakeService) OpenArtifact(_ context.Context, _ lockstep.BackupID, name string) (io.ReadCloser, error) {
	return io.NopCloser(strings.NewReader("tar of " + name)), nil
}

// history is runs of the shop before now, one a day.
func history(n int) []lockstep.RunSummary {
	var out []lockstep.RunSummary
	for i := range n {
		at := begin.Add(-time.Duration(i+1) * 24 * time.Hour)
		r := lockstep.RunSummary{
			ID: lockstep.RunID(strings.Replace(string(playedRun), "c0de-", "c0d", 1)), Deployment: "shop", Operation: lockstep.OperationBackup,
			State: lockstep.RunSucceeded, Data: lockstep.DataVerified, Locks: lockstep.LocksReleased,
			StartedAt: at, EndedAt: at.Add(73 * time.Second), LockWindow: 8 + float64(i*i%7)*1.3, Backup: kept(i + 1).ID,
		}
		if i == 4 {
			r.State, r.Data, r.LockWindow, r.Error = lockstep.RunFailedState, lockstep.DataNone, 31.2, "web/1/web/pre-backup-lock: exit 1: cannot connect to /run/web.sock"
		}
		out = append(out, r)
	}
	return out
}

// asAdmin serves everybody as somebody who may do everything.
func asAdmin(h http.Handler) http.Handler { return as(h, access.RoleAdmin, access.RoleApprover) }

func as(h http.Handler, roles ...access.Role) http.Handler { return person(h, "night-shift", roles...) }
