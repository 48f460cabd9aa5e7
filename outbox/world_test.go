package outbox

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"lockstep"
	journal "lockstep/journal/sqlite"
	"lockstep/state"
	"lockstep/state/sqlite"
)

// service is a Service of runs that a test makes.
type service struct {
	mu    sync.Mutex
	runs  []*lockstep.Run // oldest first
	holds []lockstep.Hold
	lost  []lockstep.LostRun
	dead  map[lockstep.RunID]bool // runs whose orchestrator is gone
	n     byte
}

func (s *service) open(deployment string) lockstep.RunID {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.n++
	id := lockstep.NewRunID(time.Now(), [8]byte{7: s.n})
	run, err := lockstep.FoldRun([]lockstep.Event{{V: 1, Run: id, Seq: 1, Term: 1, Time: time.Now().UTC(), Data: lockstep.RunOpened{
		Operation: lockstep.OperationBackup, Deployment: deployment, Key: lockstep.DeploymentKey("key of " + deployment),
	}}})
	if err != nil {
		panic(err)
	}
	s.runs = append(s.runs, run)
	return id
}

func (s *service) end(id lockstep.RunID, e lockstep.Ending) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.runs {
		if r.ID != id {
			continue
		}
		if err := r.Apply(lockstep.Event{V: 1, Run: id, Seq: 2, Term: 1, Time: time.Now().UTC(), Data: lockstep.RunEnded{Ending: e}}); err != nil {
			panic(err)
		}
	}
}

// revive has a living orchestrator drive the run.
func (s *service) revive(id lockstep.RunID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.dead, id)
}

func (s *service) hold(holds ...lockstep.Hold) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.holds = holds
}

func (s *service) Run(_ context.Context, id lockstep.RunID) (*lockstep.Run, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.runs {
		if r.ID == id {
			return r, nil
		}
	}
	return nil, errors.New("no such run")
}

func (s *service) Runs(_ context.Context, f lockstep.RunFilter) ([]lockstep.RunSummary, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []lockstep.RunSummary
	for _, r := range slices.Backward(s.runs) {
		x := lockstep.RunSummary{ID: r.ID, Key: r.Opened.Key, Deployment: r.Opened.Deployment, Operation: r.Opened.Operation, State: lockstep.RunRunning, StartedAt: r.OpenedAt, EndedAt: r.EndedAt, Abandoned: s.dead[r.ID]}
		if r.Ending != nil {
			x.State, x.Data, x.Locks = r.Ending.State, r.Ending.Data, r.Ending.Locks
		}
		ok := (f.State == "" || f.State == x.State) && (f.Deployment == "" || f.Deployment == x.Deployment) &&
			(f.Operation == "" || f.Operation == x.Operation) && (f.Before == "" || x.ID < f.Before)
		if ok && (f.Limit == 0 || len(list) < f.Limit) {
			list = append(list, x)
		}
	}
	return list, nil
}

func (s *service) Held(context.Context, string) ([]lockstep.Hold, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.holds), nil
}

func (s *service) LostRuns(context.Context) ([]lockstep.LostRun, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.lost), nil
}

func (s *service) lose(lost ...lockstep.LostRun) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lost = lost
}

// receiver is a Sender that keeps what it is sent.
type receiver struct {
	mu   sync.Mutex
	got  []lockstep.Notice
	at   []time.Time
	fail func() error // nil: it takes everything
}

func (r *receiver) Send(ctx context.Context, n lockstep.Notice) error {
	r.mu.Lock()
	fail := r.fail
	r.mu.Unlock()
	if fail != nil {
		if err := fail(); err != nil {
			return err
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.got, r.at = append(r.got, n), append(r.at, time.Now())
	return nil
}

func (r *receiver) Type() string   { return "webhook" }
func (r *receiver) Target() string { return "https://example.com" }

func (r *receiver) set(fail func() error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fail = fail
}

// told are the notices that arrived, as "kind deployment".
func (r *receiver) told() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var list []string
	for _, n := range r.got {
		list = append(list, fmt.Sprintf("%s %s", n.Kind, n.Deployment))
	}
	return list
}

// world is a service, a store, and one receiver of everything.
type world struct {
	t       *testing.T
	dir     string // of the state
	service *service
	store   state.Store
	hook    *receiver
	cfg     Config
}

func newWorld(t *testing.T) *world {
	t.Helper()
	dir := t.TempDir()
	j, err := journal.Open(context.Background(), journal.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	s, err := sqlite.Open(context.Background(), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close(); _ = j.Close() })
	w := &world{t: t, dir: dir, service: &service{dead: map[lockstep.RunID]bool{}}, store: s, hook: &receiver{}}
	w.cfg = Config{
		Service: w.service, Store: s, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
		Receivers: []Receiver{{Name: "hook", Kinds: lockstep.NoticeKinds(), Deployments: []string{"*"}, Sender: w.hook}},
	}
	return w
}

// seldom is how often an outbox looks in a test of days, which would otherwise
// be spent on thousands of looks at nothing.
const seldom = 10 * time.Minute

// run runs a new outbox until stop is called.
func (w *world) run() (o *Outbox, stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var done sync.WaitGroup
	o = New(w.cfg)
	done.Go(func() { o.Run(ctx) })
	return o, func() { cancel(); done.Wait() }
}

var (
	good = lockstep.Ending{State: lockstep.RunSucceeded, Data: lockstep.DataVerified, Locks: lockstep.LocksReleased}
	bad  = lockstep.Ending{State: lockstep.RunFailedState, Data: lockstep.DataNone, Locks: lockstep.LocksReleased, ExitCode: 1, Error: "db/0/postgres/backup: password=hunter2 - exit code 1"}
)
