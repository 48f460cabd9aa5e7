package cli

import (
	"context"
	"fmt"

	"lockstep"
	"lockstep/app"
	"lockstep/config"
	"lockstep/journal/sqlite"
	"lockstep/repository/dir"
	"lockstep/source"
)

// contractVersion is what scripts are told in BBR_VERSION: the version of the
// script contract that is kept. Scripts compare it as MAJOR.MINOR.
const contractVersion = "1.9.99"

// Wire is the real Setup: the configuration file's deployments, a plain folder
// of backups and a SQLite journal. The wire files are the only ones of the
// command line that know which adapters there are.
func Wire() Setup {
	return Setup{Open: open, Connect: connect, Serve: serve, Manage: manage, Demo: demonstrate}
}

func open(ctx context.Context, o Options) (Orchestrator, error) {
	cfg, err := config.Load(o.ConfigPath, o.Getenv)
	if err != nil {
		return Orchestrator{}, err
	}
	a, journal, err := assemble(ctx, cfg, o, nil)
	if err != nil {
		return Orchestrator{}, err
	}
	return Orchestrator{Service: a, Close: func() error {
		a.Close()
		return journal.Close()
	}}, nil
}

// assemble makes the use cases over what the configuration names. Whoever asks
// closes both: the App first. observe, if not nil, is told of each event.
func assemble(ctx context.Context, cfg *config.Config, o Options, observe func(lockstep.Event)) (*app.App, *sqlite.Journal, error) {
	sources, err := sourcesOf(cfg, o)
	if err != nil {
		return nil, nil, err
	}
	repo, err := dir.Open(cfg.Repository.Dir)
	if err != nil {
		return nil, nil, fmt.Errorf("open repository %s: %w", cfg.Repository.Dir, err)
	}
	journal, err := sqlite.Open(ctx, sqlite.Options{Dir: cfg.StateDir})
	if err != nil {
		return nil, nil, fmt.Errorf("open journal in %s: %w", cfg.StateDir, err)
	}
	a := app.New(app.Config{
		Journal: journal, Repository: repo, Sources: sources,
		Reopen: func(reach string) (source.Source, error) { return reopen(reach, o) },
		Policy: lockstep.LockstepPolicy(), Observe: observe, Version: o.Version, ContractVersion: contractVersion,
	})
	return a, journal, nil
}
