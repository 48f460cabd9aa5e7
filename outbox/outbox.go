package outbox

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"log/slog"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"lockstep"
	"lockstep/internal/faultpoint"
	"lockstep/notify"
	"lockstep/state"
)

// Service is what is looked at; lockstep.Service is one.
type Service interface {
	Run(ctx context.Context, id lockstep.RunID) (*lockstep.Run, error)
	Runs(ctx context.Context, filter lockstep.RunFilter) ([]lockstep.RunSummary, error)
	Held(ctx context.Context, deployment string) ([]lockstep.Hold, error)
}

// Store is what is kept; state.Store is one.
type Store interface {
	state.Settings
	state.Outbox
	SlotChanges(ctx context.Context, after int64, limit int) ([]state.SlotChange, error)
	Approvals(ctx context.Context, before string, limit int) ([]state.Approval, error)
}

// Receiver is somebody who is told.
type Receiver struct {
	Name string
	// Kinds and Deployments say of what: any of these kinds, about a deployment
	// that one of these patterns (as in path.Match) matches.
	Kinds       []lockstep.NoticeKind
	Deployments []string
	Sender      notify.Sender
}

// Config is what an Outbox is made of.
type Config struct {
	Service   Service
	Store     Store
	Receivers []Receiver
	// Kept may be nil: then nothing is said of what is kept.
	Kept Kept
	// Schedules may be nil. A deployment with a schedule of backups that
	// OverdueAfter does not name is overdue after twice the longest gap.
	Schedules lockstep.Schedules
	// OverdueAfter is for how long there may be no good backup of a deployment;
	// 0 means for ever.
	OverdueAfter map[string]time.Duration
	// RemindEvery is how often it is said again that something is held.
	RemindEvery time.Duration
	// LookEvery is how often the outbox looks though nobody woke it: other
	// processes write to the journal too, and time alone makes some notices.
	LookEvery time.Duration
	// QueueLimit is how many notices may wait for one receiver.
	QueueLimit int
	// PublicURL, if not "", is where the pages are.
	PublicURL string
	Log       *slog.Logger
	// Now is time.Now, or what stands for it in a test.
	Now func() time.Time
}

// The defaults of a Config.
const (
	DefaultRemindEvery = time.Hour
	DefaultLookEvery   = 30 * time.Second
	DefaultQueueLimit  = 1000
)

// DefaultKinds are what a receiver is told that does not say.
func DefaultKinds() []lockstep.NoticeKind {
	return slices.DeleteFunc(lockstep.NoticeKinds(), func(k lockstep.NoticeKind) bool {
		return k == lockstep.NoticeStarted || k == lockstep.NoticeSucceeded || k == lockstep.NoticeTest
	})
}

// Outbox makes and delivers notices. It implements lockstep.Notices.
type Outbox struct {
	cfg Config
	// woken has room for one token: something may be new.
	woken chan struct{}
	// queued has one channel per receiver, with room for one token each.
	queued map[string]chan struct{}
	// seen are keys of notices that are kept, so that the store need not be
	// asked for each at every look. It belongs to whoever looks.
	seen map[string]bool
	// heldFrom is when Run begins to say what is held: what a dead orchestrator
	// left is settled at a start.
	heldFrom time.Time
	// keptAt is when what is kept was looked at last.
	keptAt time.Time
	// damaged has room for one token: a notice was found that is not what was kept.
	damaged chan struct{}
	// soundAt is when the notices were last looked through for damage.
	soundAt time.Time
}

var _ lockstep.Notices = (*Outbox)(nil)

// New makes an outbox; Run makes it work.
func New(cfg Config) *Outbox {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	if cfg.RemindEvery <= 0 {
		cfg.RemindEvery = DefaultRemindEvery
	}
	if cfg.LookEvery <= 0 {
		cfg.LookEvery = DefaultLookEvery
	}
	if cfg.QueueLimit <= 0 {
		cfg.QueueLimit = DefaultQueueLimit
	}
	slices.SortFunc(cfg.Receivers, func(a, b Receiver) int { return strings.Compare(a.Name, b.Name) })
	o := &Outbox{cfg: cfg, woken: make(chan struct{}, 1), queued: map[string]chan struct{}{}, seen: map[string]bool{}, damaged: make(chan struct{}, 1)}
	for _, r := range cfg.Receivers {
		o.queued[r.Name] = make(chan struct{}, 1)
	}
	return o
}

// Observe takes note that there is a new event. It never waits and may be
// called concurrently.
func (o *Outbox) Observe(e lockstep.Event) {
	switch e.Data.(type) {
	case lockstep.RunOpened, lockstep.RunEnded, lockstep.HoldAcknowledged:
		o.Wake()
	}
}

// Wake makes the outbox look soon. It never waits and may be called
// concurrently.
func (o *Outbox) Wake() { signal(o.woken) }

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// settleTime is how long after its start an orchestrator has taken over what a
// dead one left. Until then nobody is called for what it is about to unlock.
const settleTime = 30 * time.Second

// Run looks and delivers until ctx ends. One process runs one outbox of a state
// folder, once.
func (o *Outbox) Run(ctx context.Context) {
	var workers sync.WaitGroup
	defer workers.Wait()
	o.heldFrom = o.cfg.Now().Add(settleTime)
	o.dropForgotten(ctx)
	for _, r := range o.cfg.Receivers {
		workers.Go(func() { o.deliver(ctx, r) })
	}
	for {
		o.Look(ctx)
		next := o.cfg.LookEvery
		if settling := o.heldFrom.Sub(o.cfg.Now()); settling > 0 {
			next = min(next, settling)
		}
		if !wait(ctx, o.woken, next) {
			return
		}
	}
}

// wait waits for a token or until that much time has passed; it reports false
// when ctx ended.
func wait(ctx context.Context, token <-chan struct{}, atMost time.Duration) bool {
	timer := time.NewTimer(atMost)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-token:
	case <-timer.C:
	}
	return ctx.Err() == nil
}

// Look makes notices of everything that is new. What cannot be read now is
// looked at again the next time. It is not called concurrently.
func (o *Outbox) Look(ctx context.Context) {
	for _, part := range []struct {
		what string
		do   func(context.Context) error
	}{
		{"damage", o.lookAtDamage}, {"runs", o.lookAtRuns}, {"schedules", o.lookAtSlots}, {"approvals", o.lookAtApprovals}, {"what is held", o.lookAtHeld}, {"lost runs", o.lookAtLost},
		{"what is overdue", o.lookAtOverdue}, {"what is kept", o.lookAtKept}, {"old notices", o.prune},
	} {
		if err := part.do(ctx); err != nil && ctx.Err() == nil {
			o.cfg.Log.Error("notices cannot be made", "of", part.what, "error", err)
		}
	}
}

// keepFor is how long notices are kept; longer than anything is looked back at.
const keepFor = 30 * 24 * time.Hour

func (o *Outbox) prune(ctx context.Context) error {
	if len(o.seen) > 100_000 {
		clear(o.seen)
	}
	return o.cfg.Store.PruneNotices(ctx, o.cfg.Now().Add(-keepFor))
}

// add keeps a notice for all whom it concerns, once for each key. make is
// called only where there is none yet.
func (o *Outbox) add(ctx context.Context, key string, make func() (lockstep.Notice, error)) error {
	if o.seen[key] {
		return nil
	}
	there, err := o.cfg.Store.HasNotice(ctx, key)
	if err != nil {
		return err
	}
	if !there {
		n, err := make()
		if err != nil {
			return err
		}
		if err := o.keep(ctx, key, n); err != nil {
			return err
		}
	}
	o.seen[key] = true
	return nil
}

func (o *Outbox) keep(ctx context.Context, key string, n lockstep.Notice) error {
	n.ID, n.Time = o.newID(), o.cfg.Now().UTC()
	if n.URL == "" && o.cfg.PublicURL != "" && n.Run != "" {
		n.URL = strings.TrimRight(o.cfg.PublicURL, "/") + "/runs/" + string(n.Run)
	}
	var names []string
	for _, r := range o.cfg.Receivers {
		if r.wants(n) {
			names = append(names, r.Name)
		}
	}
	faultpoint.Hit("outbox.keep.before")
	if _, err := o.cfg.Store.AddNotice(ctx, key, n, names, o.cfg.QueueLimit); err != nil {
		return err
	}
	for _, name := range names {
		signal(o.queued[name])
	}
	return nil
}

func (o *Outbox) newID() string {
	var random [8]byte
	_, _ = rand.Read(random[:]) // never fails since Go 1.24
	return "ntc_" + string(lockstep.NewRunID(o.cfg.Now(), random))
}

// wants reports whether the receiver is told of that.
func (r Receiver) wants(n lockstep.Notice) bool {
	if !slices.Contains(r.Kinds, n.Kind) {
		return false
	}
	return n.Deployment == "" || slices.ContainsFunc(r.Deployments, func(pattern string) bool {
		ok, err := path.Match(pattern, n.Deployment)
		return ok && err == nil
	})
}

// setting reads a value that the outbox keeps for itself; it reports false
// where there is none.
func setting[T any](ctx context.Context, s state.Settings, name string, into *T) (bool, error) {
	text, err := s.Setting(ctx, name)
	if err != nil || text == nil {
		return false, err
	}
	if err := json.Unmarshal(text, into); err != nil {
		return false, fmt.Errorf("read setting %q: %w", name, err)
	}
	return true, nil
}

func (o *Outbox) setSetting(ctx context.Context, name string, value any) error {
	text, err := json.Marshal(value)
	if err != nil {
		return err
	}
	return o.cfg.Store.SetSetting(ctx, name, text, o.cfg.Now())
}
