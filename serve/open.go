package serve

import (
	"context"
	"errors"
	"path/filepath"

	"lockstep"
	"lockstep/access"
	"lockstep/app"
	"lockstep/auditlog"
	"lockstep/config"
	"lockstep/internal/heap"
	"lockstep/repository"
	"lockstep/source"
	"lockstep/spill"
)

// contractVersion is what scripts are told in BBR_VERSION: the version of the
// script contract that is kept. Scripts compare it as MAJOR.MINOR.
const contractVersion = "1.9.99"

// Open makes the use cases of the configuration in this process.
func Open(ctx context.Context, o Options) (Orchestrator, error) {
	cfg, err := config.Load(o.ConfigPath, o.Getenv)
	if err != nil {
		return Orchestrator{}, err
	}
	told := &observers{}
	a, journal, err := assemble(ctx, cfg, o, told.event)
	if err != nil {
		return Orchestrator{}, err
	}
	untell := tellPods(a, told)
	return Orchestrator{Service: a, Close: func() error {
		a.Close()
		untell()
		return journal.Close()
	}}, nil
}

// assemble makes the use cases over what the configuration names. Whoever asks
// closes both: the App first. observe is told of each event.
func assemble(ctx context.Context, cfg *config.Config, o Options, observe func(lockstep.Event)) (*app.App, facts, error) {
	sources, err := sourcesOf(cfg, o)
	if err != nil {
		return nil, nil, err
	}
	spill.Configure(cfg.TransferMemory, cfg.StateDir)
	heap.Raise(cfg.TransferMemory - spill.DefaultBudget)
	other := func(name string) (repository.Repository, error) { return otherRepository(cfg, name, o.Getenv) }
	repo, elsewhere, err := chosenRepository(cfg, o)
	if err != nil {
		return nil, nil, err
	}
	journal, err := openJournal(ctx, cfg, o)
	if err != nil {
		return nil, nil, err
	}
	sources = recognized(ctx, cfg, o, journal, sources)
	key, err := auditlog.LoadKey(filepath.Join(cfg.StateDir, access.AuditFolder), cfg.Repository.TrustedKeys)
	if err != nil {
		return nil, nil, errors.Join(err, journal.Close())
	}
	a := app.New(app.Config{
		Programs: programs(),
		Journal:  journal, Repository: repo, Elsewhere: elsewhere, OtherRepository: other, Sources: sources, Signer: key,
		Reopen: func(reach string) (source.Source, error) { return reopen(reach, o) },
		Moved:  moved, Keep: rulesOf(cfg),
		Policy: lockstep.LockstepPolicy(), Observe: observe, Version: o.Version, ContractVersion: contractVersion,
	})
	return a, journal, nil
}

// rulesOf are the rules that the configuration has for after a backup.
func rulesOf(cfg *config.Config) map[string]lockstep.KeepRules {
	rules := map[string]lockstep.KeepRules{}
	for _, d := range cfg.Deployments {
		if d.Keep != nil {
			rules[d.Name] = *d.Keep
		}
	}
	return rules
}
