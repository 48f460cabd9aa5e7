package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"lockstep"
)

// planDeadline bounds a plan; discovery has shorter deadlines of its own.
const planDeadline = 15 * time.Minute

func (a *API) registerDeployments() {
	route(a, huma.Operation{
		OperationID: "list-deployments", Method: http.MethodGet, Path: "/deployments", Tags: []string{"deployments"},
		Summary: "The configured deployments, by name",
	}, a.deployments)
	route(a, huma.Operation{
		OperationID: "list-held", Method: http.MethodGet, Path: "/held", Tags: []string{"deployments"},
		Summary: "Jobs that may still be locked, oldest first",
	}, a.held)
	route(a, huma.Operation{
		OperationID: "show-status", Method: http.MethodGet, Path: "/status", Tags: []string{"deployments"},
		Summary:     "How each deployment stands, in one answer",
		Description: "What is locked now and by which run, the last backup that can be restored, the last verify, what a schedule does next, and what is wrong with the one command that helps.",
	}, a.status)
	route(a, huma.Operation{
		OperationID: "make-plan", Method: http.MethodPost, Path: "/plans", Tags: []string{"runs"},
		Summary:     "What a backup or a restore would run, in order",
		Description: "Finds the instances and runs their metadata scripts, nothing else. It is answered when the plan is there, which can take minutes.",
	}, a.plan)
}

func (a *API) deployments(ctx context.Context, _ *nothing) (*body[Page[lockstep.DeploymentInfo]], error) {
	infos, err := a.cfg.Service.Deployments(ctx)
	return &body[Page[lockstep.DeploymentInfo]]{Page[lockstep.DeploymentInfo]{Items: list(infos)}}, err
}

type heldInput struct {
	Deployment string `query:"deployment" maxLength:"128" doc:"Only those of this deployment."`
}

func (a *API) held(ctx context.Context, in *heldInput) (*body[Page[lockstep.Hold]], error) {
	holds, err := a.cfg.Service.Held(ctx, in.Deployment)
	return &body[Page[lockstep.Hold]]{Page[lockstep.Hold]{Items: list(holds)}}, err
}

func (a *API) status(ctx context.Context, _ *nothing) (*body[Page[lockstep.DeploymentStatus]], error) {
	facts, err := lockstep.GatherStatus(ctx, a.cfg.Service, a.cfg.Now())
	if err != nil {
		return nil, err
	}
	if a.cfg.Schedules != nil {
		// Who may not see schedules sees the rest.
		facts.Schedules, err = a.cfg.Schedules.List(ctx, "")
		if err != nil && lockstep.KindOf(err) != lockstep.KindForbidden {
			return nil, err
		}
	}
	return &body[Page[lockstep.DeploymentStatus]]{Page[lockstep.DeploymentStatus]{Items: list(lockstep.StatusOf(facts))}}, nil
}

// plan makes a plan. It is a run in the journal, so it comes to an end even
// when nobody waits for the answer any more.
func (a *API) plan(ctx context.Context, in *struct{ Body RunRequest }) (*body[lockstep.PlanReport], error) {
	if err := a.mayStart(ctx, in.Body); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), planDeadline)
	defer cancel()
	req := in.Body.request()
	req.By = principal(ctx)
	rep, err := a.cfg.Service.Plan(ctx, req)
	return &body[lockstep.PlanReport]{rep}, err
}
