package fleet

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"lockstep"
	"lockstep/journal"
)

// ServiceConfig is what a Service is made of.
type ServiceConfig struct {
	// Service reads the journal that all of the fleet has, and cancels through it.
	Service lockstep.Service
	// Report is the report of a plan that is in the journal.
	Report func(ctx context.Context, id lockstep.RunID) (lockstep.PlanReport, error)
	// Temporal is a client, which need not be connected.
	Temporal client.Client
	// Address and Namespace are Temporal's, for what people are told.
	Address, Namespace string
	// Zones are those of deployments, by name; what has none is in DefaultZone.
	Zones map[string]string
	// Heartbeat is after how long without a sign of life a worker counts as gone; 0
	// is DefaultHeartbeat.
	Heartbeat time.Duration
}

// Service is a lockstep.Service whose runs, plans and recoveries are those of workers.
// Everything else is answered here. All methods may be called concurrently.
type Service struct {
	lockstep.Service
	cfg ServiceConfig
}

// NewService makes a Service.
func NewService(cfg ServiceConfig) *Service {
	if cfg.Heartbeat == 0 {
		cfg.Heartbeat = DefaultHeartbeat
	}
	return &Service{Service: cfg.Service, cfg: cfg}
}

const (
	// startWithin is how long it is waited for a run to be in the journal. It is
	// longer than a run waits for a worker, and its beginning for the one before.
	startWithin = takenWithin + tidyFor + 15*time.Second
	// askWithin is how long Temporal has for one answer.
	askWithin = 10 * time.Second
	askPause  = 250 * time.Millisecond
	seeEvery  = 100 * time.Millisecond
)

// Start has a worker of the deployment's zone begin a run, and returns as soon as it is
// in the journal. KindUnavailable: Temporal, or a worker, did not answer.
func (s *Service) Start(ctx context.Context, req lockstep.Request) (lockstep.RunID, error) {
	a, err := s.ask(ctx, req)
	if err != nil {
		return "", err
	}
	if s.there(ctx, a) {
		return a.Request.ID, nil // it was asked for before
	}
	ctx, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	over := make(chan error, 1)
	go func() { over <- s.exclusively(ctx, updateRun, a) }()
	for {
		select {
		case err := <-over:
			if s.there(ctx, a) { // how it ended, the run itself says
				return a.Request.ID, nil
			}
			if err == nil {
				err = fmt.Errorf("%s: its worker says it has ended, and it is not in the journal", opOf(a))
			}
			return "", err
		case <-time.After(seeEvery):
			if s.there(ctx, a) {
				return a.Request.ID, nil
			}
		}
	}
}

// ask is what is asked for a request, with an id and the zone of its deployment.
func (s *Service) ask(ctx context.Context, req lockstep.Request) (ask, error) {
	// Held knows whether there is one such deployment, and says so in the words that
	// all other commands have.
	if _, err := s.Held(ctx, req.Deployment); err != nil {
		return ask{}, err
	}
	infos, err := s.Deployments(ctx)
	if err != nil {
		return ask{}, err
	}
	i := slices.IndexFunc(infos, func(d lockstep.DeploymentInfo) bool { return d.Name == req.Deployment })
	if i < 0 {
		return ask{}, &lockstep.Error{Kind: lockstep.KindNotFound, Op: fmt.Sprintf("find deployment %q", req.Deployment), Err: errors.New("not in the configuration")}
	}
	return s.askOf(infos[i].Key, req), nil
}

func (s *Service) askOf(key lockstep.DeploymentKey, req lockstep.Request) ask {
	if req.ID == "" {
		var random [8]byte
		_, _ = rand.Read(random[:]) // never fails since Go 1.24
		req.ID = lockstep.NewRunID(time.Now(), random)
	}
	return ask{Key: key, Request: req, Zone: s.zone(req.Deployment), Heartbeat: s.cfg.Heartbeat, At: time.Now().UTC()}
}

// zone is that of a deployment, by name.
func (s *Service) zone(deployment string) string {
	return cmp.Or(s.cfg.Zones[deployment], DefaultZone)
}

// planID is the workflow of a plan.
func planID(id lockstep.RunID) string { return workflowOfPlan + "-" + string(id) }

// there reports whether the run is in the journal.
func (s *Service) there(ctx context.Context, a ask) bool {
	_, err := s.Run(ctx, a.Request.ID)
	return err == nil
}

// exclusively asks the workflow of a deployment, and returns when what was asked for
// is over. A deployment that is busy is a conflict, unless it is busy with what has
// ended, which is waited for.
func (s *Service) exclusively(ctx context.Context, update string, a ask) error {
	until := time.Now().Add(tidyFor)
	for {
		err := s.update(ctx, update, a)
		with, isBusy := busyWith(err)
		switch {
		case isBusy && (time.Now().After(until) || !s.ended(ctx, with)):
			return conflict(a, with)
		case !isBusy && (!passing(err) || ctx.Err() != nil):
			if own := new(lockstep.Error); errors.As(err, &own) {
				return err
			}
			return s.fromTemporal(opOf(a), err)
		}
		select {
		case <-ctx.Done():
			return s.fromTemporal(opOf(a), ctx.Err())
		case <-time.After(askPause):
		}
	}
}

// update asks once.
func (s *Service) update(ctx context.Context, name string, a ask) error {
	start := s.cfg.Temporal.NewWithStartWorkflowOperation(client.StartWorkflowOptions{
		ID: workflowID(a.Key), TaskQueue: workflowQueue,
		WorkflowIDConflictPolicy: enumspb.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING,
		StaticSummary:            a.Request.Deployment,
	}, workflowOfKey)
	asking, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	handle, err := s.cfg.Temporal.UpdateWithStartWorkflow(asking, client.UpdateWithStartWorkflowOptions{
		StartWorkflowOperation: start,
		UpdateOptions: client.UpdateWorkflowOptions{
			UpdateID: string(a.Request.ID), WorkflowID: workflowID(a.Key), UpdateName: name, Args: []any{a},
			WaitForStage: client.WorkflowUpdateStageAccepted,
		},
	})
	if err != nil {
		return err
	}
	if err := handle.Get(ctx, nil); ctx.Err() == nil {
		return err
	}
	return &lockstep.Error{
		Kind: lockstep.KindUnavailable, Op: opOf(a), Err: errors.New("it was handed to Temporal, and no worker has answered yet"),
		Hint: "see whether it begins with: lockstep runs list",
	}
}

// busyWith is what a deployment is busy with, if that is what the error says.
func busyWith(err error) (with busy, ok bool) {
	app := new(temporal.ApplicationError)
	if !errors.As(err, &app) || app.Type() != busyType {
		return with, false
	}
	return with, app.Details(&with) == nil
}

// ended reports whether what a deployment is busy with is a run that has ended.
func (s *Service) ended(ctx context.Context, with busy) bool {
	run, err := s.Run(ctx, with.Run)
	return err == nil && run.Ending != nil
}

// conflict is the error of a second request, like that of an orchestrator that drives
// its runs itself.
func conflict(a ask, with busy) error {
	what := fmt.Sprintf("%s %s", with.Operation, with.Run)
	if with.Operation == "" {
		what = "what an earlier one left is being settled"
	}
	return &lockstep.Error{
		Kind: lockstep.KindConflict, Op: opOf(a), Err: fmt.Errorf("%w: %s", journal.ErrOwned, what),
		Hint: "see its runs with: lockstep runs list",
	}
}

// Plan has a worker of the deployment's zone make a plan.
func (s *Service) Plan(ctx context.Context, req lockstep.Request) (lockstep.PlanReport, error) {
	req.Operation = lockstep.OperationPlan
	a, err := s.ask(ctx, req)
	if err != nil {
		return lockstep.PlanReport{}, err
	}
	asking, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	run, err := s.cfg.Temporal.ExecuteWorkflow(asking, client.StartWorkflowOptions{
		ID: planID(a.Request.ID), TaskQueue: workflowQueue, StaticSummary: a.Request.Deployment,
	}, workflowOfPlan, a)
	if err == nil {
		err = run.Get(ctx, nil)
	}
	if err != nil {
		return lockstep.PlanReport{}, s.fromTemporal("plan of "+req.Deployment, err)
	}
	return s.cfg.Report(ctx, a.Request.ID)
}

// Settle has workers settle the runs of dead orchestrators, of all deployments at
// once. One whose workflow is at it already is waited for.
func (s *Service) Settle(ctx context.Context, req lockstep.SettleRequest) ([]lockstep.RunSummary, error) {
	dead, err := s.Runs(ctx, lockstep.RunFilter{Deployment: req.Deployment, State: lockstep.RunAbandoned})
	if err != nil {
		return nil, err
	}
	asks, err := s.settles(ctx, req, dead)
	if err != nil {
		return nil, err
	}
	var mu sync.Mutex
	var all sync.WaitGroup
	var errs []error
	for _, a := range asks {
		all.Go(func() {
			if err := s.settleKey(ctx, a); err != nil {
				mu.Lock()
				defer mu.Unlock()
				errs = append(errs, err)
			}
		})
	}
	all.Wait()
	settled, err := s.endedOf(ctx, req.Deployment, dead)
	return settled, errors.Join(append(errs, err)...)
}

// settles are what is asked: for each key with a dead run, and for whatever was named.
func (s *Service) settles(ctx context.Context, req lockstep.SettleRequest, dead []lockstep.RunSummary) ([]ask, error) {
	named := map[lockstep.DeploymentKey]string{}
	for _, r := range dead {
		named[r.Key] = r.Deployment
	}
	if lost, ok := s.Service.(lockstep.LostRuns); ok && req.Deployment == "" {
		runs, err := lost.LostRuns(ctx)
		if err != nil {
			return nil, err
		}
		for _, r := range runs {
			named[r.Key] = r.Deployment
		}
	}
	if req.Deployment != "" && len(named) == 0 {
		a, err := s.ask(ctx, lockstep.Request{Deployment: req.Deployment})
		if err != nil {
			return nil, err
		}
		return []ask{a}, nil
	}
	var asks []ask
	for key, name := range named {
		asks = append(asks, s.askOf(key, lockstep.Request{Deployment: name}))
	}
	return asks, nil
}

// settleKey settles one key's dead runs. Where its workflow is busy, it is so with a
// run that somebody drives, or with the dead one.
func (s *Service) settleKey(ctx context.Context, a ask) error {
	for {
		err := s.exclusively(ctx, updateSettle, a)
		if lockstep.KindOf(err) != lockstep.KindConflict || !errors.Is(err, journal.ErrOwned) {
			return err
		}
		dead, err := s.Runs(ctx, lockstep.RunFilter{Key: a.Key, State: lockstep.RunAbandoned})
		if err != nil || len(dead) == 0 {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(lookEvery):
		}
	}
}

// endedOf are those of the runs that have ended since.
func (s *Service) endedOf(ctx context.Context, deployment string, dead []lockstep.RunSummary) ([]lockstep.RunSummary, error) {
	if len(dead) == 0 {
		return nil, nil
	}
	now, err := s.Runs(ctx, lockstep.RunFilter{Deployment: deployment})
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(now, func(r lockstep.RunSummary) bool {
		return r.EndedAt.IsZero() || !slices.ContainsFunc(dead, func(d lockstep.RunSummary) bool { return d.ID == r.ID })
	}), nil
}
