package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"slices"
	"strings"
	"time"

	"lockstep"
	"lockstep/show"
)

// onSignal says what a signal means for a run that is being followed.
type onSignal int

const (
	cancelRun onSignal = iota // stop the run, by way of unlock, and stay
	detach                    // leave the run alone and go
	leave                     // the same, of a run that was asked for here: that it goes on is not a success yet
	keepOn                    // the run cannot be stopped: say what is locked; its driver ends the following
)

// follower follows one run to its end.
type follower struct {
	*invocation
	svc    lockstep.Service
	id     lockstep.RunID
	rep    show.Reporter
	signal onSignal
	// run is the fold of the events so far.
	run     *lockstep.Run
	signals int
	broken  bool
	// dead: the run that was watched has lost its orchestrator.
	dead bool
	// gone is why its server is asked no more.
	gone error
}

// follow reports a run until it has ended and returns it. It ends early only
// when a signal means detach; the run is not ended then.
func (i *invocation) follow(ctx context.Context, svc lockstep.Service, id lockstep.RunID, on onSignal) (*lockstep.Run, error) {
	f := &follower{invocation: i, svc: svc, id: id, signal: on, run: &lockstep.Run{}, rep: i.Reporter()}
	f.follow(ctx, 0)
	f.lost.end()
	f.rep.Close()
	switch {
	case f.dead:
		return nil, leftError(f.run)
	case f.gone != nil:
		return nil, f.gone
	}
	return f.final(ctx)
}

// leftError says that a run ends only by recovery.
func leftError(run *lockstep.Run) error {
	kind := lockstep.KindConflict
	if len(run.Locked()) > 0 {
		kind = lockstep.KindHeld
	}
	return &lockstep.Error{
		Kind: kind, Op: fmt.Sprintf("watch run %s", run.ID), Err: errors.New("its orchestrator died; nobody drives it any more"),
		Hint: "`lockstep recover " + run.Opened.Deployment + "` brings it to its end",
	}
}

// How often a watched run, which another process may drive, is checked for
// somebody who drives it: here, and over a server.
const (
	lookEvery    = 2 * time.Second
	lookFarEvery = 15 * time.Second
)

func (f *follower) follow(ctx context.Context, after uint64) {
	done := ctx.Done()
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	events, wishes, look, lost := f.stream(ctx, after), f.wishes(ctx), f.looks(ctx), f.lost.begin()
	for {
		select {
		case s, ok := <-events:
			if !ok {
				return
			}
			f.take(ctx, s)
		case <-wishes:
			if f.stopped() {
				return
			}
		case f.dead = <-look:
			return
		case line := <-lost:
			f.rep.Say(line)
		case <-done:
			done = nil
			if f.signal == keepOn {
				return // whoever drives the run has told us to leave
			}
			go f.cancel(ctx, "its caller ended")
			if f.stopped() {
				return
			}
		}
	}
}

// wishes passes signals on, and acts on the first by itself: a stderr that
// takes nothing must not keep a run from being canceled.
func (f *follower) wishes(ctx context.Context) <-chan os.Signal {
	out := make(chan os.Signal, 8)
	go func() {
		for n := 1; ; n++ {
			select {
			case sig := <-f.Signals:
				if n == 1 {
					go f.cancel(ctx, sig.String())
				}
				select {
				case out <- sig:
				default: // so many are not answered
				}
			case <-ctx.Done():
				return
			}
		}
	}()
	return out
}

// looks sends once, when nobody drives the watched run any more.
func (f *follower) looks(ctx context.Context) <-chan bool {
	out := make(chan bool, 1)
	every := lookEvery
	switch {
	case f.signal == cancelRun || f.signal == keepOn:
		return out
	case f.server() != "":
		every = lookFarEvery // its server settles what it finds dead
	}
	go func() {
		for {
			select {
			case <-time.After(every):
			case <-ctx.Done():
				return
			}
			dead, err := abandonedRuns(ctx, f.svc, "")
			if err == nil && slices.ContainsFunc(dead, func(r lockstep.RunSummary) bool { return r.ID == f.id }) {
				out <- true
				return
			}
		}
	}()
	return out
}

// cancel cancels the run, if that is what a wish to stop means.
func (f *follower) cancel(ctx context.Context, why string) {
	if f.signal != cancelRun {
		return
	}
	if err := f.svc.Cancel(ctx, f.id, whoAmI()+" ("+why+")"); err != nil && ctx.Err() == nil {
		f.Log.Warn("cancel run: " + err.Error())
	}
}

// final is the ended run as the service knows it, or else as it was followed.
func (f *follower) final(ctx context.Context) (*lockstep.Run, error) {
	run, err := f.svc.Run(context.WithoutCancel(ctx), f.id)
	if err != nil && f.run.Ending != nil {
		return f.run, nil
	}
	return run, err
}

// take folds one event and reports it.
func (f *follower) take(ctx context.Context, s streamed) {
	if s.gone {
		f.gone = s.err
		return
	}
	if s.err != nil {
		f.rep.Say(fmt.Sprintf("cannot read the run's events, trying again: %v", s.err))
		return
	}
	if s.event.Seq > 0 && !f.broken {
		if err := f.run.Apply(s.event); err != nil {
			f.broken = true
			f.rep.Say(fmt.Sprintf("cannot show how the run goes on, it does all the same: %v", err))
		}
	}
	if !f.broken {
		f.rep.Event(f.run, s.event, f.tail(ctx, s.event))
	}
}

// stopped answers a wish to stop. It reports whether to follow no more.
func (f *follower) stopped() bool {
	f.signals++
	switch {
	case f.signal == detach || f.signal == leave:
		f.rep.Say(fmt.Sprintf("no longer watching; the run goes on. `lockstep runs cancel %s` would cancel it", f.id))
		return true
	case f.signal == cancelRun && f.signals == 1:
		f.rep.Say("canceling: stopping what runs, then unlocking; once more (Ctrl-C) says what is still locked")
	default:
		f.rep.Say(stillLockedText(f.run, f.Now()))
	}
	return false
}

// stillLockedText answers the second Ctrl-C.
func stillLockedText(run *lockstep.Run, now time.Time) string {
	held := run.Locked()
	if steps, kill := run.Stopping(); len(steps) > 0 {
		return show.StoppingText(steps, kill, now) + ", then unlocking " + strings.Join(show.SlotNames(held), ", ")
	}
	if len(held) == 0 {
		return "nothing is locked; still stopping and cleaning up"
	}
	return fmt.Sprintf("still locked: %s; still unlocking. If this program is killed, `lockstep recover %s` unlocks",
		strings.Join(show.SlotNames(held), ", "), run.Opened.Deployment)
}

// whoAmI names the person at this command line: user@host.
func whoAmI() string {
	name := "unknown"
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return name + "@" + host
}
