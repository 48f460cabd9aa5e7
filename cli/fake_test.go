package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"lockstep"
	"lockstep/serve"
	"lockstep/show/showtest"
)

// fakeService is a Service over one play. Methods that a test does not expect
// panic through the nil Service.
type fakeService struct {
	lockstep.Service
	play *showtest.Play

	mu      sync.Mutex
	changed chan struct{}
	log     []lockstep.Event
	started []lockstep.Request
	cancels int
	held    []lockstep.Hold
	runs    []lockstep.RunSummary
	output  []lockstep.StepOutput
	refuse  error
	forgot  []lockstep.BackupID
	bad     map[lockstep.BackupID]string
	forget  error
	more    []lockstep.Backup
}

func newFake() *fakeService {
	f := &fakeService{play: showtest.NewPlay(), changed: make(chan struct{}), bad: map[lockstep.BackupID]string{}}
	f.play.Emit = func(e lockstep.Event) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.log = append(f.log, e)
		close(f.changed)
		f.changed = make(chan struct{})
	}
	return f
}

func (f *fakeService) Start(_ context.Context, req lockstep.Request) (lockstep.RunID, error) {
	f.started = append(f.started, req)
	if f.refuse != nil {
		return "", f.refuse
	}
	f.play.Open(req)
	go f.play.Drive("")
	return f.play.Run.ID, nil
}

func (f *fakeService) Run(_ context.Context, id lockstep.RunID) (*lockstep.Run, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.log) == 0 || id != f.log[0].Run {
		return nil, &lockstep.Error{Kind: lockstep.KindNotFound, Op: fmt.Sprintf("find run %q", id), Err: errors.New("not in the journal"), Hint: "`lockstep runs list` shows what is there"}
	}
	var durable []lockstep.Event
	for _, e := range f.log {
		if e.Seq > 0 {
			durable = append(durable, e)
		}
	}
	return lockstep.FoldRun(durable)
}

func (f *fakeService) Events(ctx context.Context, _ lockstep.RunID, after uint64) iter.Seq2[lockstep.Event, error] {
	return func(yield func(lockstep.Event, error) bool) {
		for at := int(after); ; {
			f.mu.Lock()
			fresh, changed := f.log[min(at, len(f.log)):], f.changed
			f.mu.Unlock()
			for _, e := range fresh {
				at++
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

func (f *fakeService) Cancel(_ context.Context, _ lockstep.RunID, by string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.cancels++
	f.play.Cancel <- by
	return nil
}

func (f *fakeService) Runs(_ context.Context, filter lockstep.RunFilter) ([]lockstep.RunSummary, error) {
	var out []lockstep.RunSummary
	for _, r := range f.runs {
		if filter.State == "" || r.State == filter.State {
			out = append(out, r)
		}
	}
	return out, nil
}

func (f *fakeService) Held(context.Context, string) ([]lockstep.Hold, error) { return f.held, nil }

func (f *fakeService) Output(context.Context, lockstep.RunID, lockstep.StepID) ([]lockstep.StepOutput, error) {
	return f.output, nil
}

func (f *fakeService) Plan(_ context.Context, req lockstep.Request) (lockstep.PlanReport, error) {
	plan := showtest.PlanFor(req)
	return lockstep.PlanReport{
		Run: "0198c0de-0002", Plan: plan, Digest: plan.Digest(), Since: "0198c0de-0000",
		Changes: []string{"job uaa lost its lock script"}, Windows: []float64{1.42, 61.5},
	}, nil
}

func (f *fakeService) Backups(context.Context, string) ([]lockstep.Backup, error) {
	return append([]lockstep.Backup{showtest.Kept()}, f.more...), nil
}

func (f *fakeService) Backup(_ context.Context, _ string, id lockstep.BackupID) (lockstep.Backup, error) {
	if id != showtest.Kept().ID && id != "latest" {
		return lockstep.Backup{}, &lockstep.Error{Kind: lockstep.KindNotFound, Op: fmt.Sprintf("find backup %q", id), Err: errors.New("not in the repository")}
	}
	return showtest.Kept(), nil
}

func (f *fakeService) Verify(_ context.Context, id lockstep.BackupID) (lockstep.VerifyReport, error) {
	rep := lockstep.VerifyReport{Backup: id, OK: true, Data: lockstep.DataVerified, Problems: []string{}, Bytes: 129399398, Artifacts: 2, At: showtest.Begin}
	if p := f.bad[id]; p != "" {
		rep.OK, rep.Damaged, rep.Problems = false, true, []string{p}
	}
	return rep, nil
}

func (f *fakeService) Forget(_ context.Context, id lockstep.BackupID) error {
	f.forgot = append(f.forgot, id)
	return f.forget
}

func (f *fakeService) Entries(context.Context, lockstep.BackupID, string) iter.Seq2[lockstep.Entry, error] {
	return func(func(lockstep.Entry, error) bool) {}
}

func (f *fakeService) OpenArtifact(_ context.Context, _ lockstep.BackupID, name string) (io.ReadCloser, error) {
	return io.NopCloser(strings.NewReader("tar of " + name)), nil
}

func (f *fakeService) Deployments(context.Context) ([]lockstep.DeploymentInfo, error) {
	return []lockstep.DeploymentInfo{{Name: "shop", Key: "ssh:shop", Source: "ssh"}}, nil
}

// result is what one command line gave.
type result struct {
	code           int
	stdout, stderr string
}

// runWith runs a command line against a service, without a terminal.
func runWith(t *testing.T, svc lockstep.Service, signals <-chan os.Signal, args ...string) result {
	t.Helper()
	var out, errs lockedBuffer
	p := Program{
		Version: "1.2.3", Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs,
		Signals: signals, Now: func() time.Time { return showtest.Begin.Add(time.Minute) },
		Setup: Setup{Open: func(context.Context, serve.Options) (serve.Orchestrator, error) {
			return serve.Orchestrator{Service: svc}, nil
		}},
	}
	code := p.Run(t.Context(), args)
	return result{code, out.String(), errs.String()}
}

// lockedBuffer may be read while it is written.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
