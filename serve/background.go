package serve

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"lockstep"
	"lockstep/config"
	"lockstep/journal"
	"lockstep/lead"
	"lockstep/outbox"
	"lockstep/scheduler"
	"lockstep/server"
	"lockstep/state"
)

// background is what a server does without being asked: what is scheduled, and
// telling others what happens. Of several servers on one database the leader does.
type background struct {
	outbox    *outbox.Outbox
	scheduler *scheduler.Scheduler
	lead      *lead.Lead
	log       *slog.Logger
	// left settles what dead servers leave to those that live; nil where there are
	// no others.
	left *server.Left

	working sync.WaitGroup
	end     context.CancelFunc
	// ready is closed when what is scheduled may begin; held ends when nothing of it
	// may any more.
	ready chan struct{}
	held  context.Context
	hold  context.CancelFunc
	once  sync.Once
}

// ownerOfBackground is what a process owns that works through the schedules and
// the outbox of a state folder, or of a database: one does.
const ownerOfBackground lockstep.DeploymentKey = "lockstep serve"

// sharedLook is how often what other servers may have changed is looked at: a
// schedule that was set, a run that ended.
const sharedLook = 5 * time.Second

// backgroundParts are what it works with.
type backgroundParts struct {
	service    lockstep.Service
	gate       *gate
	journal    journal.Journal
	store      state.Store
	monitoring *monitoring
}

// openBackground makes it, and begins to tell others, if this server leads; what is
// scheduled waits for begin. Where the facts are in a database, a server that does not
// lead follows; with a state folder it is refused.
func openBackground(ctx context.Context, s Serving, cfg *config.Config, p backgroundParts) (*background, error) {
	senders, err := receiversOf(cfg, s.Version)
	if err != nil {
		return nil, err
	}
	shared := cfg.State.Postgres != nil
	b := &background{log: s.Logger, ready: make(chan struct{})}
	b.held, b.hold = context.WithCancel(context.WithoutCancel(ctx))
	b.lead = lead.New(lead.Config{Journal: p.journal, Key: ownerOfBackground, Owner: nameOfServer(), Shared: shared, Work: b.work, Log: s.Logger})
	err = b.lead.Try(ctx)
	if err != nil && !(shared && errors.Is(err, journal.ErrOwned)) {
		return nil, notAlone(cfg, err)
	}
	b.make(s, cfg, p, p.monitoring.counted(senders))
	if err == nil {
		b.adopt(ctx)
	} else {
		s.Logger.Info("another server works through schedules and notices: this one follows", "why", err)
	}
	ctx, b.end = context.WithCancel(context.WithoutCancel(ctx))
	b.working.Go(func() { b.lead.Run(ctx) })
	return b, nil
}

// notAlone is the error of a server that cannot be the one that works.
func notAlone(cfg *config.Config, err error) error {
	if !errors.Is(err, journal.ErrOwned) {
		return err
	}
	return &lockstep.Error{
		Kind: lockstep.KindConflict, Op: "serve from " + cfg.StateDir, Err: err,
		Hint: "one server works with a state folder: stop the other one, or name another state_dir. In PostgreSQL there may be several: see state.postgres",
	}
}

// nameOfServer is this server's name among those on one database.
func nameOfServer() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown-host"
	}
	return fmt.Sprintf("lockstep serve on %s, process %d (%s)", host, os.Getpid(), rand.Text()[:6])
}

// make makes the parts.
func (b *background) make(s Serving, cfg *config.Config, p backgroundParts, receivers []outbox.Receiver) {
	var look time.Duration // that of each part
	if cfg.State.Postgres != nil {
		look = sharedLook
		b.left = &server.Left{Service: p.service, Log: s.Logger}
	}
	own := byItself{p.gate.guard(p.service, s)}
	b.scheduler = scheduler.New(scheduler.Config{
		Service: own, Store: p.store, Configured: cfg.Schedules, Log: s.Logger,
		Copy: own.CopyNew, Copies: copyNames(cfg),
		Prune: own.Prune, Prunable: cfg.Repository.Restic != nil,
		Changed: func() { b.outbox.Wake() }, LookEvery: look,
	})
	kept, _ := p.service.(outbox.Kept)
	b.outbox = outbox.New(outbox.Config{
		Kept:    kept,
		Service: p.service, Store: p.store, Receivers: receivers, Schedules: b.scheduler, OverdueAfter: overdueOf(cfg),
		RemindEvery: cfg.RemindEvery, PublicURL: cfg.Server.PublicURL, Log: s.Logger, LookEvery: look,
	})
}

// adopt takes the schedules of the configuration over, so that whoever asks as soon as
// the server is ready is told of them. Those of the leader count.
func (b *background) adopt(ctx context.Context) {
	if err := b.scheduler.Adopt(ctx); err != nil {
		b.log.Error("the schedules of the configuration are not taken over yet", "error", err)
	}
}

// work is what the leader does, until ctx ends.
func (b *background) work(ctx context.Context) {
	var working sync.WaitGroup
	defer working.Wait()
	working.Go(func() { b.outbox.Run(ctx) })
	if b.left != nil {
		working.Go(func() { b.left.Run(ctx) })
	}
	working.Go(func() { b.schedule(ctx) })
}

// workAgain is after how long schedules are begun with again that could not be.
const workAgain = 5 * time.Second

// schedule runs the schedules, from when the server is ready until ctx ends or they
// are held.
func (b *background) schedule(ctx context.Context) {
	ctx, end := context.WithCancel(ctx)
	defer end()
	defer context.AfterFunc(b.held, end)()
	select {
	case <-b.ready:
	case <-ctx.Done():
	}
	for ctx.Err() == nil {
		err := b.scheduler.Work(ctx)
		if err == nil || ctx.Err() != nil {
			return
		}
		b.log.Error("schedules do not run yet", "error", err)
		select {
		case <-time.After(workAgain):
		case <-ctx.Done():
		}
	}
}

// begin begins what is scheduled, if this server leads, unless it is held already. It
// is called once.
func (b *background) begin() { close(b.ready) }

// letGo begins nothing more that is scheduled, and lets another server lead. It may be
// called twice.
func (b *background) letGo() {
	b.hold()
	b.lead.Yield()
}

// close ends all of it.
func (b *background) close() {
	b.once.Do(func() {
		b.letGo()
		b.end()
		b.working.Wait()
	})
}
