package scheduler

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

// service is a Service whose runs last for a while and do nothing.
type service struct {
	mu      sync.Mutex
	runs    []*task
	lasts   time.Duration
	backups []lockstep.Backup
	verify  func(ctx context.Context) (lockstep.VerifyReport, error)
	kept    map[lockstep.BackupID]bool // by object lock
	// refuse, if not nil, is asked before and after a run is begun.
	refuse func(after bool) error
}

type task struct {
	id   lockstep.RunID
	req  lockstep.Request
	ends time.Time
}

func notThere(id lockstep.RunID) error {
	return &lockstep.Error{Kind: lockstep.KindNotFound, Op: "find run " + string(id)}
}

func (s *service) Start(_ context.Context, req lockstep.Request) (lockstep.RunID, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if slices.ContainsFunc(s.runs, func(t *task) bool { return t.id == req.ID }) {
		return req.ID, nil
	}
	if s.refuse != nil {
		if err := s.refuse(false); err != nil {
			return "", err
		}
	}
	if s.runningLocked(req.Deployment) != nil {
		return "", &lockstep.Error{Kind: lockstep.KindConflict, Op: "begin", Err: errors.New("another orchestrator drives a run")}
	}
	s.runs = append(s.runs, &task{id: req.ID, req: req, ends: time.Now().Add(s.lasts)})
	if s.refuse != nil {
		return req.ID, s.refuse(true)
	}
	return req.ID, nil
}

func (s *service) runningLocked(deployment string) *task {
	for _, t := range s.runs {
		if (deployment == "" || t.req.Deployment == deployment) && time.Now().Before(t.ends) {
			return t
		}
	}
	return nil
}

func (s *service) running() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.runningLocked("") != nil
}

func (s *service) Run(_ context.Context, id lockstep.RunID) (*lockstep.Run, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if slices.ContainsFunc(s.runs, func(t *task) bool { return t.id == id }) {
		return &lockstep.Run{ID: id}, nil
	}
	return nil, notThere(id)
}

func (s *service) Runs(_ context.Context, f lockstep.RunFilter) ([]lockstep.RunSummary, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t := s.runningLocked(f.Deployment); t != nil {
		return []lockstep.RunSummary{{ID: t.id, Deployment: t.req.Deployment, Operation: t.req.Operation, State: lockstep.RunRunning}}, nil
	}
	return nil, nil
}

func (s *service) Deployments(context.Context) ([]lockstep.DeploymentInfo, error) {
	return []lockstep.DeploymentInfo{{Name: "shop"}, {Name: "blog"}}, nil
}

// change changes the service under its lock, while a scheduler may be asking it.
func (s *service) change(how func(s *service)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	how(s)
}

// keep adds backups of 100 bytes.
func (s *service) keep(ids ...lockstep.BackupID) {
	s.change(func(s *service) {
		for _, id := range ids {
			s.backups = append(s.backups, lockstep.Backup{ID: id, Deployment: "shop", Artifacts: []lockstep.Artifact{{Bytes: 100}}})
		}
	})
}

// verifies says what a verify gives from now on.
func (s *service) verifies(verify func(context.Context) (lockstep.VerifyReport, error)) {
	s.change(func(s *service) { s.verify = verify })
}

func (s *service) Backups(context.Context, string) ([]lockstep.Backup, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.backups), nil
}

func (s *service) Backup(context.Context, string, lockstep.BackupID) (lockstep.Backup, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.backups) == 0 {
		return lockstep.Backup{}, &lockstep.Error{Kind: lockstep.KindNotFound, Op: "find the latest backup"}
	}
	return s.backups[0], nil
}

func (s *service) Verify(ctx context.Context, id lockstep.BackupID) (lockstep.VerifyReport, error) {
	s.mu.Lock()
	verify := s.verify
	s.mu.Unlock()
	if verify != nil {
		return verify(ctx)
	}
	return lockstep.VerifyReport{Backup: id, OK: true, Artifacts: 2, Bytes: 10}, nil
}

func (s *service) Forget(_ context.Context, id lockstep.BackupID) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.kept[id] {
		return &lockstep.Error{Kind: lockstep.KindRetained, Op: "delete backup"}
	}
	s.backups = slices.DeleteFunc(s.backups, func(b lockstep.Backup) bool { return b.ID == id })
	return nil
}

func (s *service) begun() []*task {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.runs)
}

// world is a service, a store, and a clock that can be wrong.
type world struct {
	t       *testing.T
	service *service
	store   state.Store
	cfg     Config
	mu      sync.Mutex
	wrong   time.Duration
}

// seldom is how often schedules are looked at in tests of hours and days, which
// would otherwise be spent on looks at nothing. What is due is not late for it.
const seldom = 5 * time.Minute

func newWorld(t *testing.T, schedules ...lockstep.Schedule) *world {
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
	w := &world{t: t, service: &service{lasts: 10 * time.Minute}, store: s}
	for i, x := range schedules {
		if schedules[i], err = Complete(x); err != nil {
			t.Fatal(err)
		}
	}
	w.cfg = Config{
		Service: w.service, Store: s, Configured: schedules, Now: w.now, LookEvery: seldom,
		Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	}
	return w
}

func (w *world) now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return time.Now().Add(w.wrong).Round(0)
}

func (w *world) setClock(wrong time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.wrong = wrong
}

// run runs a new scheduler until stop is called.
func (w *world) run() (s *Scheduler, stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var done sync.WaitGroup
	s = New(w.cfg)
	done.Go(func() {
		if err := s.Work(ctx); err != nil && !errors.Is(err, errCrash) {
			w.t.Error(err)
		}
	})
	return s, func() { cancel(); done.Wait() }
}

// history are the records of a schedule, oldest first, as "STATE SLOT COUNT".
func (w *world) history(name string) []string {
	w.t.Helper()
	records, err := w.store.Slots(context.Background(), name, 0, 100_000)
	if err != nil {
		w.t.Fatal(err)
	}
	var list []string
	for _, r := range slices.Backward(records) {
		text := fmt.Sprintf("%s %s", r.State, r.Slot.Format("02 15:04"))
		if r.Count > 1 {
			text += fmt.Sprintf(" x%d", r.Count)
		}
		list = append(list, text)
	}
	return list
}

func (w *world) latest(name string) lockstep.SlotRecord {
	w.t.Helper()
	records, err := w.store.Slots(context.Background(), name, 0, 1)
	if err != nil || len(records) == 0 {
		w.t.Fatalf("no record of %s: %v", name, err)
	}
	return records[0]
}

var errCrash = errors.New("crash")

// table is state.Schedules, under a name that none of its methods has.
type table = state.Schedules

// crashing is a store that fails for good, at a write, before or after it.
type crashing struct {
	table
	mu      sync.Mutex
	left    int
	crashed bool
}

func (c *crashing) write(do func() error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.crashed {
		return errCrash
	}
	c.left--
	if c.left == 0 { // written, and nobody learns of it
		c.crashed = true
		if err := do(); err != nil {
			return err
		}
		return errCrash
	}
	if c.left < 0 {
		c.crashed = true
		return errCrash
	}
	return do()
}

func (c *crashing) PutSchedule(ctx context.Context, x state.Schedule, records ...lockstep.SlotRecord) (kept []lockstep.SlotRecord, err error) {
	err = c.write(func() error { kept, err = c.table.PutSchedule(ctx, x, records...); return err })
	return kept, err
}

func (c *crashing) SettleSlot(ctx context.Context, n int64, to lockstep.SlotState, reason string) error {
	return c.write(func() error { return c.table.SettleSlot(ctx, n, to, reason) })
}
