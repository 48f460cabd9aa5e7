// Package lead decides which of several servers on one journal works through schedules
// and notices: the leader, which owns a key of the journal. The others follow: they
// answer whoever asks, and one of them takes over when the leader has stopped, was
// killed, or was cut off.
//
// That one alone leads is the journal's word. A leader that was cut off may not have
// heard that another one leads: what it does meanwhile is bounded by what the journal
// and the state take once, such as a slot of a schedule.
package lead

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"lockstep"
	"lockstep/journal"
)

// Owners is what of a journal is asked; journal.Journal is one.
type Owners interface {
	Own(ctx context.Context, key lockstep.DeploymentKey, owner string) (release func(), err error)
	Owner(ctx context.Context, key lockstep.DeploymentKey) (owner string, err error)
}

// Config is what a Lead is made of.
type Config struct {
	Journal Owners
	// Key is what the leader owns.
	Key lockstep.DeploymentKey
	// Owner is this server's name there; no other one ever has the same.
	Owner string
	// Shared: other servers may follow. Else this one leads from its first Try until
	// the end of Run.
	Shared bool
	// Work is what the leader does. It works until its context ends, and returns when
	// nothing of it works any more; it is called again when this server leads again.
	Work func(ctx context.Context)
	// Every is how often a follower tries to lead, and a leader looks whether it still
	// does; 0 is DefaultEvery.
	Every time.Duration
	Log   *slog.Logger // nil is slog.Default
}

// DefaultEvery is Config.Every where it is 0.
const DefaultEvery = 2 * time.Second

const (
	// othersFirst is how many times Every a server that yields leaves the lead to
	// others before it takes it again.
	othersFirst = 3
	// turn is for how long it leads then.
	turn = 5 * time.Second
)

// Lead is a server's part in it. Its methods may be called concurrently, but for Try
// and Run: first Try, then Run, once.
type Lead struct {
	cfg Config

	mu      sync.Mutex
	release func()             // not nil: this server owns the key
	stop    context.CancelFunc // ends the work of the leader; nil: it does none
	yields  bool
	leader  string // of the last look
	failing bool   // the last look failed, which was told
}

// New makes a Lead.
func New(cfg Config) *Lead {
	if cfg.Every <= 0 {
		cfg.Every = DefaultEvery
	}
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	return &Lead{cfg: cfg}
}

// Try takes the lead, if nobody has it; Run begins with it. An error that wraps
// journal.ErrOwned says who has it.
func (l *Lead) Try(ctx context.Context) error {
	release, err := l.cfg.Journal.Own(ctx, l.cfg.Key, l.cfg.Owner)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.release, l.leader = release, l.cfg.Owner
	return nil
}

// Run leads, or follows and takes over, until ctx ends; then nothing is owned and
// nothing works any more.
func (l *Lead) Run(ctx context.Context) {
	for {
		if l.owns() || l.took(ctx) {
			l.work(ctx)
		}
		if !wait(ctx, l.pause()) {
			return
		}
	}
}

// Yield leaves the lead to other servers from now on: it is let go of at once, and
// taken again, for a moment at a time, only where no other one does. It is for a
// server that is about to stop. Where there are no others it does nothing.
func (l *Lead) Yield() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.cfg.Shared {
		return
	}
	l.yields = true
	if l.stop != nil {
		l.stop()
	}
}

// Leading says who leads, as far as this server knows. It never waits.
func (l *Lead) Leading() lockstep.Leading {
	l.mu.Lock()
	defer l.mu.Unlock()
	return lockstep.Leading{Shared: l.cfg.Shared, Leads: l.release != nil, Leader: l.leader}
}

func (l *Lead) owns() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.release != nil
}

func (l *Lead) pause() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.yields {
		return othersFirst * l.cfg.Every
	}
	return l.cfg.Every
}

// took reports whether this server leads from now on.
func (l *Lead) took(ctx context.Context) bool {
	err := l.Try(ctx)
	if err == nil {
		l.looked(ctx, l.cfg.Owner, nil)
		return true
	}
	if errors.Is(err, journal.ErrOwned) {
		var by string
		by, err = l.cfg.Journal.Owner(ctx, l.cfg.Key)
		l.looked(ctx, by, err)
		return false
	}
	l.looked(ctx, "", err)
	return false
}

// looked keeps who leads, and tells once that nobody knows.
func (l *Lead) looked(ctx context.Context, leader string, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if ctx.Err() != nil {
		return
	}
	if err != nil && !l.failing {
		l.cfg.Log.Warn("who works through schedules and notices cannot be looked at", "error", err)
	}
	if l.failing = err != nil; !l.failing {
		l.leader = leader
	}
}

// work does what the leader does, until ctx ends, this server yields, or another one
// leads.
func (l *Lead) work(ctx context.Context) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	yields := l.begun(stop)
	if yields {
		var end context.CancelFunc
		ctx, end = context.WithTimeout(ctx, turn)
		defer end()
	} else {
		l.cfg.Log.Info("this server works through schedules and notices: it leads", "as", l.cfg.Owner)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		l.cfg.Work(ctx)
	}()
	l.watch(ctx)
	stop()
	<-done
	l.letGo()
	if !yields {
		l.cfg.Log.Info("this server works through schedules and notices no more")
	}
}

// begun notes what ends the work, and reports whether this server yields already.
func (l *Lead) begun(stop context.CancelFunc) (yields bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stop = stop
	return l.yields
}

// letGo gives the key back, after the work has ended.
func (l *Lead) letGo() {
	l.mu.Lock()
	release := l.release
	l.release, l.stop = nil, nil
	if l.leader == l.cfg.Owner {
		l.leader = ""
	}
	l.mu.Unlock()
	release()
}

// watch returns when ctx ends, or when another server leads. A database that does not
// answer says neither: without it nothing is done either.
func (l *Lead) watch(ctx context.Context) {
	for wait(ctx, l.cfg.Every) {
		if !l.cfg.Shared {
			continue
		}
		leader, err := l.cfg.Journal.Owner(ctx, l.cfg.Key)
		if err == nil && leader == "" {
			leader = l.cfg.Owner // the session is about to be made again, and nobody else leads
		}
		l.looked(ctx, leader, err)
		if err == nil && leader != l.cfg.Owner {
			l.cfg.Log.Warn("this server was cut off, and another one works through schedules and notices now", "leader", leader)
			return
		}
	}
}

// wait waits for that long; it reports false when ctx ended.
func wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
	return ctx.Err() == nil
}
