// Package app holds the use cases: it implements lockstep.Service in this
// process, from a journal, a repository and the sources of the configured
// deployments.
//
// A run goes through three hands here. Start opens it in the journal. prepare
// finds the instances, claims them and makes the plan. The engine drives it to
// its end. Settling a dead orchestrator's run enters at the same engine, with
// the events that are there.
package app

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"lockstep"
	"lockstep/discover"
	"lockstep/journal"
	"lockstep/launcher"
	"lockstep/repository"
	"lockstep/source"
)

// Config is what an App is made of.
type Config struct {
	Journal    journal.Journal
	Repository repository.Repository
	// Elsewhere, if not "", names the Repository, which is not the one that backups
	// are made into: nothing is backed up into it, and no run is settled by it.
	Elsewhere string
	// OtherRepository opens another one, at a location, or by its name. It may be nil.
	OtherRepository func(name string) (repository.Repository, error)
	Sources         []source.Source
	// Reopen makes a source from what Source.Reach said when a run was opened,
	// for a deployment that is no longer configured. It may be nil.
	Reopen func(reach string) (source.Source, error)
	// Moved, if not nil, says what has changed between what Source.Reach said when a
	// run was opened and what it says now, where a script for the one must not be
	// run at the other; else "". It needs Reopen.
	Moved  func(then, now string) string
	Policy lockstep.Policy
	// Programs are the helpers that runs may lend to instances; none: none is lent.
	Programs launcher.Programs
	// Discover, if not nil, takes the place of discover.Discover, for a source
	// that looks at its instances while it finds them.
	Discover func(context.Context, *source.Resolved, discover.Options) (lockstep.Deployment, []lockstep.Noted, error)
	// Provable, if not nil, is asked before an artifact of that instance is
	// proven; its error fails that.
	Provable func(context.Context, source.Instance) error
	// Observe, if not nil, is told of each event that this process has journaled.
	// It must return at once and never fail; it is called concurrently.
	Observe func(lockstep.Event)
	// Keep says of deployments, by name, which of their backups stay after each verified
	// one; the others are deleted. Of those that are not in it all stay.
	Keep map[string]lockstep.KeepRules
	// Signer, if not nil, signs the manifests of backups and checks those of
	// others.
	Signer Signer
	// Version is written into runs and backups; ContractVersion is what
	// scripts are told in BBR_VERSION.
	Version         string
	ContractVersion string
}

// App implements lockstep.Service in this process. All methods may be called
// concurrently.
type App struct {
	cfg   Config
	owner string
	hub   *hub

	// chosen is held while a run whose id its caller chose is begun.
	chosen sync.Mutex

	mu     sync.Mutex
	inbox  map[lockstep.RunID]chan lockstep.EventData
	driven map[lockstep.DeploymentKey]driven
	active sync.WaitGroup
	// leaving: this process drives nothing any more; see LetGo.
	leaving atomic.Bool
}

var (
	_ lockstep.Service  = (*App)(nil)
	_ lockstep.LostRuns = (*App)(nil)
)

// New makes an App. Whoever made the journal and the repository closes them,
// after Close.
func New(cfg Config) *App {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown-host"
	}
	if cfg.Discover == nil {
		cfg.Discover = discover.Discover
	}
	a := &App{
		cfg:   cfg,
		owner: fmt.Sprintf("%s pid %d since %s", host, os.Getpid(), time.Now().UTC().Format(time.RFC3339)),
		inbox: map[lockstep.RunID]chan lockstep.EventData{}, driven: map[lockstep.DeploymentKey]driven{},
	}
	a.hub = newHub(func(ctx context.Context, run lockstep.RunID, after uint64) ([]lockstep.Event, error) {
		return a.cfg.Journal.Events(ctx, run, after)
	}, cfg.Observe)
	return a
}

// Close waits until every run of this process has ended. Cancel the runs first
// to have that soon.
func (a *App) Close() { a.active.Wait() }

// Deployments lists the configured deployments, by name.
func (a *App) Deployments(context.Context) ([]lockstep.DeploymentInfo, error) {
	var infos []lockstep.DeploymentInfo
	for _, s := range a.cfg.Sources {
		infos = append(infos, s.Info())
	}
	slices.SortFunc(infos, func(x, y lockstep.DeploymentInfo) int { return strings.Compare(x.Name, y.Name) })
	return infos, nil
}

// source finds the configured deployment of that name.
func (a *App) source(name string) (source.Source, error) {
	var known []string
	for _, s := range a.cfg.Sources {
		if s.Info().Name == name {
			if u, unclear := s.(source.Unclear); unclear {
				return nil, u.Why
			}
			return s, nil
		}
		known = append(known, s.Info().Name)
	}
	slices.Sort(known)
	hint := "no deployment is configured; `lockstep config generate` prints a start"
	if len(known) > 0 {
		hint = "configured are: " + strings.Join(known, ", ")
	}
	return nil, &lockstep.Error{Kind: lockstep.KindNotFound, Op: fmt.Sprintf("find deployment %q", name), Err: fmt.Errorf("not in the configuration"), Hint: hint}
}

// Run is one run, folded from its events.
func (a *App) Run(ctx context.Context, id lockstep.RunID) (*lockstep.Run, error) {
	return runOf(ctx, a.cfg.Journal, id)
}

func runOf(ctx context.Context, j journal.Journal, id lockstep.RunID) (*lockstep.Run, error) {
	events, err := j.Events(ctx, id, 0)
	if err != nil {
		return nil, fmt.Errorf("read run %s: %w", id, err)
	}
	if len(events) == 0 {
		return nil, unknownRun(id)
	}
	return lockstep.FoldRun(events)
}

func unknownRun(id lockstep.RunID) error {
	return &lockstep.Error{
		Kind: lockstep.KindNotFound, Op: fmt.Sprintf("find run %q", id),
		Err: fmt.Errorf("not in the journal"), Hint: "`lockstep runs list` shows what is there",
	}
}

// Held lists what may still be locked.
func (a *App) Held(ctx context.Context, deployment string) ([]lockstep.Hold, error) {
	if deployment == "" {
		return a.cfg.Journal.Held(ctx, "")
	}
	src, err := a.source(deployment)
	if err != nil {
		return nil, err
	}
	return a.cfg.Journal.Held(ctx, src.Info().Key)
}

// Output is what a step's script printed, as far as it is kept.
func (a *App) Output(ctx context.Context, id lockstep.RunID, step lockstep.StepID) ([]lockstep.StepOutput, error) {
	return a.cfg.Journal.Outputs(ctx, id, step)
}

// Driving are the runs that this process drives now.
func (a *App) Driving() []lockstep.RunID {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Collect(maps.Keys(a.inbox))
}
