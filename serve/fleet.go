package serve

import (
	"context"
	"errors"
	"fmt"

	"go.temporal.io/sdk/client"

	"lockstep"
	"lockstep/app"
	"lockstep/config"
	"lockstep/fleet"
)

// spread is an App whose runs are done by workers.
type spread struct {
	*app.App
	fleet *fleet.Service
}

// Start implements lockstep.Service.
func (s spread) Start(ctx context.Context, req lockstep.Request) (lockstep.RunID, error) {
	return s.fleet.Start(ctx, req)
}

// Plan implements lockstep.Service.
func (s spread) Plan(ctx context.Context, req lockstep.Request) (lockstep.PlanReport, error) {
	return s.fleet.Plan(ctx, req)
}

// Settle implements lockstep.Service.
func (s spread) Settle(ctx context.Context, req lockstep.SettleRequest) ([]lockstep.RunSummary, error) {
	return s.fleet.Settle(ctx, req)
}

// inFleet is the service of a server: the App itself, or, with a fleet, one whose runs
// are done by workers. Until leave is called the server takes steps of workflows, as
// soon as Temporal answers: nothing that is read waits for it.
func inFleet(ctx context.Context, s Serving, cfg *config.Config, a *app.App) (_ lockstep.Service, leave func(), err error) {
	if cfg.Fleet == nil {
		return a, func() {}, nil
	}
	who := fleet.Self("", s.Version)
	temporal, err := connect(s.Options, cfg, who)
	if err != nil {
		return nil, nil, err
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer temporal.Close()
		member, err := fleet.Join(ctx, fleet.MemberConfig{Temporal: temporal, Service: a, Self: who, Log: s.Logger}, tellOnce(s, cfg))
		if err != nil {
			return // it stops
		}
		s.Logger.Info("runs are done by workers", "temporal", cfg.Fleet.Temporal.Address, "namespace", cfg.Fleet.Temporal.Namespace)
		<-ctx.Done()
		member.Stop()
	}()
	leave = func() {
		stop()
		<-done
	}
	return spread{a, fleetService(cfg, a, temporal)}, leave, nil
}

func fleetService(cfg *config.Config, a *app.App, temporal client.Client) *fleet.Service {
	zones := map[string]string{}
	for _, d := range cfg.Deployments {
		zones[d.Name] = d.Zone
	}
	t := cfg.Fleet.Temporal
	return fleet.NewService(fleet.ServiceConfig{
		Service: a, Report: a.PlanReport, Temporal: temporal, Address: t.Address, Namespace: t.Namespace,
		Zones: zones, Heartbeat: cfg.Fleet.Heartbeat,
	})
}

// connect makes the client of Temporal that the configuration names.
func connect(o Options, cfg *config.Config, who fleet.Identity) (client.Client, error) {
	t := cfg.Fleet.Temporal
	c := fleet.Connection{Address: t.Address, Namespace: t.Namespace, APIKeyFile: t.APIKeyFile, Identity: who, Log: o.Logger}
	if x := t.TLS; x != nil {
		c.TLS = &fleet.TLS{CAFile: x.CAFile, CertFile: x.CertFile, KeyFile: x.KeyFile, ServerName: x.ServerName}
	}
	return fleet.Connect(c)
}

// tellOnce says once that Temporal does not answer.
func tellOnce(s Serving, cfg *config.Config) func(error) {
	told := false
	return func(err error) {
		if told {
			return
		}
		told = true
		s.Logger.Warn("Temporal at "+cfg.Fleet.Temporal.Address+" does not answer; it is asked again and again: "+err.Error(),
			"hint", "look at fleet.temporal in "+cfg.Path+"; a namespace is made with: temporal operator namespace create --namespace "+cfg.Fleet.Temporal.Namespace)
	}
}

// errNoFleet is the error of a command that is about the fleet.
func errNoFleet(op string, cfg *config.Config) error {
	return &lockstep.Error{
		Kind: lockstep.KindInvalid, Op: op, Err: fmt.Errorf("%s has no fleet", cfg.Path),
		Hint: "docs/fleet.md says what one needs; write for example: fleet: {temporal: {address: \"temporal.example.com:7233\"}}",
	}
}

// FleetStanding is what is told of a fleet.
type FleetStanding = fleet.Standing

// FleetStatus asks who is in the fleet, and what each drives.
func FleetStatus(ctx context.Context, o Options) (_ FleetStanding, err error) {
	cfg, err := config.Load(o.ConfigPath, o.Getenv)
	if err != nil {
		return FleetStanding{}, err
	}
	if cfg.Fleet == nil {
		return FleetStanding{}, errNoFleet("see who is in the fleet", cfg)
	}
	a, facts, err := assemble(ctx, cfg, o, func(lockstep.Event) {})
	if err != nil {
		return FleetStanding{}, err
	}
	defer func() { err = errors.Join(err, facts.Close()) }()
	temporal, err := connect(o, cfg, fleet.Self("", o.Version))
	if err != nil {
		return FleetStanding{}, err
	}
	defer temporal.Close()
	return fleetService(cfg, a, temporal).Status(ctx)
}
