package serve

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"lockstep"
	"lockstep/app"
	"lockstep/config"
	"lockstep/fleet"
	"lockstep/server"
	"lockstep/telemetry"
)

// Working is what a worker is given.
type Working struct {
	Options
	// Zone is whose runs it does.
	Zone string
	// StopTimeout is how long running runs have after the first signal, 0 for that of
	// the configuration.
	StopTimeout time.Duration
	Signals     <-chan os.Signal
}

// Work does the runs of a zone, until a signal.
func Work(ctx context.Context, w Working) (err error) {
	cfg, err := config.Load(w.ConfigPath, w.Getenv)
	if err != nil {
		return err
	}
	if cfg.Fleet == nil {
		return errNoFleet("work for zone "+w.Zone, cfg)
	}
	if err := lockstep.CheckName("zone", w.Zone); err != nil {
		return &lockstep.Error{Kind: lockstep.KindUsage, Op: "work for a zone", Err: err, Hint: "name one that deployments have in the configuration"}
	}
	s := Serving{Options: w.Options, StopTimeout: cmp.Or(w.StopTimeout, cfg.Server.StopTimeout), Signals: w.Signals}
	told := &observers{}
	a, facts, err := assemble(ctx, cfg, s.Options, told.event)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, facts.Close()) }()
	tellStandby(s, facts)
	defer tellPods(a, told)()
	defer logRuns(ctx, s, a, told)()
	who := fleet.Self(w.Zone, s.Version)
	temporal, err := connect(s.Options, cfg, who)
	if err != nil {
		return err
	}
	defer temporal.Close()
	member, err := join(ctx, s, fleet.MemberConfig{
		Temporal: temporal, Service: a, Log: s.Logger, Zone: w.Zone, Self: who,
		Driving: a.Driving, StopTimeout: s.StopTimeout + leaveTimeout,
	}, tellOnce(s, cfg))
	if err != nil || member == nil {
		return err
	}
	s.Logger.Info("ready", "zone", w.Zone, "temporal", cfg.Fleet.Temporal.Address)
	s.notify("READY=1")
	select {
	case sig := <-s.Signals:
		s.Logger.Info("stopping: " + sig.String())
	case <-ctx.Done():
	}
	s.notify("STOPPING=1")
	if handed := drain(ctx, s, member, a); handed > 0 {
		return &lockstep.Error{
			Kind: lockstep.KindConflict, Op: "stop", Err: fmt.Errorf("%d runs had not ended; their instances unlock by themselves", handed),
			Hint: "another worker of the zone settles them, and so does `lockstep recover --all`",
		}
	}
	a.Close()
	return nil
}

// leaveTimeout bounds, beside StopTimeout, handing runs over.
const leaveTimeout = 40 * time.Second

// join makes this process a worker; a signal that comes before Temporal answers ends
// it, and there is none then.
func join(ctx context.Context, s Serving, cfg fleet.MemberConfig, waiting func(error)) (*fleet.Member, error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	type joined struct {
		member *fleet.Member
		err    error
	}
	done := make(chan joined, 1)
	go func() {
		m, err := fleet.Join(ctx, cfg, waiting)
		done <- joined{m, err}
	}()
	select {
	case j := <-done:
		return j.member, j.err
	case sig := <-s.Signals:
		s.Logger.Info("stopping: " + sig.String())
	}
	stop()
	if j := <-done; j.member != nil {
		j.member.Stop()
	}
	return nil, nil
}

// logRuns logs the events of this process's runs, until end is called.
func logRuns(ctx context.Context, s Serving, a *app.App, told *observers) (end func()) {
	log := telemetry.NewLog(s.Logger, &present{Service: a})
	told.add(log.Observe)
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	var working sync.WaitGroup
	working.Go(func() { log.Drain(ctx) })
	return func() {
		stop()
		working.Wait()
	}
}

const (
	// drainAgain is how soon it is looked once more whether anything runs: what was
	// taken just before the stop may have begun meanwhile.
	drainAgain = 200 * time.Millisecond
	// reportTime is how long Temporal is waited for when nothing runs any more.
	reportTime = 10 * time.Second
)

// drain takes nothing more, and brings what runs here to its unlock, or leaves it to
// another worker of the zone. It reports how many runs it left.
func drain(ctx context.Context, s Serving, member *fleet.Member, a *app.App) (handed int) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.StopTimeout)
	defer cancel()
	go func() {
		select {
		case <-s.Signals:
			cancel()
		case <-ctx.Done():
		}
	}()
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		member.Stop()
	}()
	letGo := func(ctx context.Context) error {
		defer member.Leave()
		return a.LetGo(ctx)
	}
	d := server.Drain{Service: a, Driving: a.Driving, LetGo: letGo, Log: s.Logger}
	for idle := time.Now(); ; {
		if len(a.Driving()) > 0 {
			if handed = d.Do(ctx); handed > 0 {
				break
			}
			idle = time.Now()
		}
		select {
		case <-stopped:
			return 0
		case <-time.After(drainAgain):
		}
		if time.Since(idle) > reportTime {
			return 0 // Temporal is away, and learns of it when it is back
		}
	}
	select {
	case <-stopped:
	case <-time.After(reportTime):
	}
	return handed
}
