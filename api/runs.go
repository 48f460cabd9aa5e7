package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"lockstep"
	"lockstep/access"
)

func (a *API) registerRuns() {
	runs := []string{"runs"}
	route(a, huma.Operation{
		OperationID: "start-run", Method: http.MethodPost, Path: "/runs", Tags: runs, DefaultStatus: http.StatusAccepted,
		Summary:     "Begin a run",
		Description: "Answered as soon as the run is in the journal. With an Idempotency-Key the same request can be sent again, for a day: it gives the same run. The same key with another request is a conflict.",
	}, a.start)
	route(a, huma.Operation{
		OperationID: "list-runs", Method: http.MethodGet, Path: "/runs", Tags: runs, Summary: "Runs, newest first",
	}, a.list)
	route(a, huma.Operation{
		OperationID: "show-run", Method: http.MethodGet, Path: "/runs/{run}", Tags: runs, Summary: "How a run stands or ended",
	}, a.show)
	route(a, huma.Operation{
		OperationID: "show-output", Method: http.MethodGet, Path: "/runs/{run}/output", Tags: runs,
		Summary: "What a step's script printed: the first 256 KiB and the last 1 MiB of each stream",
	}, a.output)
	route(a, huma.Operation{
		OperationID: "cancel-run", Method: http.MethodPost, Path: "/runs/{run}/cancel", Tags: runs, DefaultStatus: http.StatusAccepted,
		Summary: "End a run early, by way of unlock", Description: "Canceling twice, or a run that has ended, is not an error.",
	}, a.cancel)
	route(a, huma.Operation{
		OperationID: "acknowledge-hold", Method: http.MethodPost, Path: "/runs/{run}/acknowledge", Tags: runs, DefaultStatus: http.StatusNoContent,
		Summary: "Acknowledge a held job as unlocked",
	}, a.acknowledge)
	route(a, huma.Operation{
		OperationID: "audit-run", Method: http.MethodGet, Path: "/runs/{run}/audit", Tags: runs, Summary: "Did the run keep its promises?",
	}, a.audit)
	route(a, huma.Operation{
		OperationID: "settle-runs", Method: http.MethodPost, Path: "/settlements", Tags: runs,
		Summary: "Bring runs of dead orchestrators to their end",
	}, a.settle)
	route(a, huma.Operation{
		OperationID: "prune-runs", Method: http.MethodPost, Path: "/prunings", Tags: runs,
		Summary: "Delete the journal of old runs", Description: "The last runs of each deployment and those that hold a job stay. Backups are not touched.",
	}, a.prune)
}

// RunRequest asks for one run. It is lockstep.Request without what a client
// does not decide: who asks, and which id the run has.
type RunRequest struct {
	Operation       lockstep.Operation    `json:"operation" enum:"backup,restore,check,cleanup,plan"`
	Deployment      string                `json:"deployment" minLength:"1" maxLength:"128"`
	Backup          lockstep.BackupID     `json:"backup,omitempty" maxLength:"256" doc:"What a restore reads: an id, or latest."`
	Jobs            []string              `json:"jobs,omitempty" maxItems:"1000" doc:"Restore only these jobs."`
	Instances       []lockstep.InstanceID `json:"instances,omitempty" maxItems:"1000" doc:"Restore only these instances."`
	Without         []lockstep.InstanceID `json:"without,omitempty" maxItems:"1000" doc:"Instances that a restore neither contacts nor locks: those that are dead."`
	From            string                `json:"from,omitempty" maxLength:"128" doc:"The backup is one of this other deployment."`
	Map             map[string]string     `json:"map,omitempty" doc:"OLDGROUP/INDEX to NEWGROUP/INDEX."`
	AllowIncomplete bool                  `json:"allow_incomplete,omitempty" doc:"Take a backup that is not verified."`
	AcceptChange    bool                  `json:"accept_change,omitempty" doc:"A backup counts although something is gone or much smaller than in earlier ones."`
	Tags            []string              `json:"tags,omitempty" maxItems:"16" doc:"What a backup is marked with, for people and for rules of forget."`
	ForRestore      bool                  `json:"for_restore,omitempty" doc:"A plan shows, and a cleanup undoes, a restore."`
	TakeOver        bool                  `json:"take_over,omitempty" doc:"A cleanup claims instances whoever holds them."`
	Wait            bool                  `json:"wait,omitempty" doc:"Where another run is at work on the instances, begin when that has ended."`
	PlanDigest      string                `json:"plan_digest,omitempty" maxLength:"128" doc:"The only plan that may be run."`
	Approval        string                `json:"approval,omitempty" maxLength:"64" doc:"The approval that a second person gave to this restore."`
}

// RequestOf is what of a lockstep.Request is sent.
func RequestOf(r lockstep.Request) RunRequest {
	return RunRequest{
		Operation: r.Operation, Deployment: r.Deployment, Backup: r.Backup, Jobs: r.Jobs, Instances: r.Instances, Without: r.Without,
		From: r.From, Map: r.Map, AllowIncomplete: r.AllowIncomplete, ForRestore: r.ForRestore, TakeOver: r.TakeOver, Wait: r.Wait,
		AcceptChange: r.AcceptChange, Tags: r.Tags,
		PlanDigest: r.PlanDigest, Approval: r.Approval,
	}
}

func (r RunRequest) request() lockstep.Request {
	return lockstep.Request{
		Operation: r.Operation, Deployment: r.Deployment, Backup: r.Backup, Jobs: r.Jobs, Instances: r.Instances, Without: r.Without,
		From: r.From, Map: r.Map, AllowIncomplete: r.AllowIncomplete, ForRestore: r.ForRestore, TakeOver: r.TakeOver, Wait: r.Wait,
		AcceptChange: r.AcceptChange, Tags: r.Tags,
		PlanDigest: r.PlanDigest, Approval: r.Approval,
	}
}

// Started is the answer to a request for a run.
type Started struct {
	ID lockstep.RunID `json:"id"`
}

type startInput struct {
	Key  string `header:"Idempotency-Key" maxLength:"255" doc:"Any text of yours that is new for each run that you mean."`
	Body RunRequest
}

type startOutput struct {
	Location string `header:"Location"`
	Body     Started
}

func (a *API) start(ctx context.Context, in *startInput) (*startOutput, error) {
	if err := a.mayStart(ctx, in.Body); err != nil {
		return nil, err
	}
	req := in.Body.request()
	req.By = principal(ctx)
	// Nothing is kept for who is about to be refused.
	if in.Key != "" && access.MayStart(ctx, req) {
		id, err := a.runOfKey(ctx, in.Key, in.Body)
		if err != nil {
			return nil, err
		}
		req.ID = id
	}
	id, err := a.cfg.Service.Start(ctx, req)
	if err != nil {
		return nil, err
	}
	return &startOutput{prefix + "/runs/" + string(id), Started{id}}, nil
}

// mayStart refuses what would begin too much, or while nothing begins. A
// cleanup is never refused: it unlocks.
func (a *API) mayStart(ctx context.Context, req RunRequest) error {
	if req.Operation == lockstep.OperationCleanup {
		return nil
	}
	if a.cfg.MayStart != nil {
		if err := a.cfg.MayStart(); err != nil {
			return err
		}
	}
	if err := a.room(ctx, huma.Operation{Method: http.MethodPost}); err != nil {
		return err
	}
	return a.starts.take(principal(ctx))
}

type listInput struct {
	Deployment string             `query:"deployment" maxLength:"128"`
	Key        string             `query:"key" maxLength:"1024" doc:"A deployment's key."`
	Operation  lockstep.Operation `query:"operation" enum:"backup,restore,check,cleanup,plan"`
	State      lockstep.RunState  `query:"state" enum:"running,abandoned,succeeded,failed,canceled,interrupted"`
	Limit      int                `query:"limit" minimum:"1" maximum:"500" default:"50"`
	Cursor     string             `query:"cursor" maxLength:"64" doc:"Next of the page before; or a run's id, for runs that are older."`
}

func (a *API) list(ctx context.Context, in *listInput) (*body[Page[lockstep.RunSummary]], error) {
	runs, err := a.cfg.Service.Runs(ctx, lockstep.RunFilter{
		Deployment: in.Deployment, Key: lockstep.DeploymentKey(in.Key), Operation: in.Operation, State: in.State,
		Before: lockstep.RunID(in.Cursor), Limit: in.Limit + 1, // one more says whether there are more
	})
	out := Page[lockstep.RunSummary]{Items: list(runs)}
	if len(runs) > in.Limit {
		out.Items = runs[:in.Limit]
		out.Next = string(runs[in.Limit-1].ID)
	}
	return &body[Page[lockstep.RunSummary]]{out}, err
}

// RunPath is the run in a path.
type RunPath struct {
	Run lockstep.RunID `path:"run" maxLength:"64"`
}

func (a *API) show(ctx context.Context, in *RunPath) (*body[lockstep.RunReport], error) {
	run, err := a.cfg.Service.Run(ctx, in.Run)
	if err != nil {
		return nil, err
	}
	rep := run.Report(a.cfg.Now())
	seen, err := a.cfg.Service.Runs(ctx, run.ID.Only(run.Opened.Deployment))
	if len(seen) > 0 {
		rep.See(seen[0])
	}
	return &body[lockstep.RunReport]{rep}, err
}

type outputInput struct {
	RunPath
	Step lockstep.StepID `query:"step" required:"true" maxLength:"1024" doc:"The step's id, such as db/0/postgres/backup."`
}

func (a *API) output(ctx context.Context, in *outputInput) (*body[Page[lockstep.StepOutput]], error) {
	outputs, err := a.cfg.Service.Output(ctx, in.Run, in.Step)
	return &body[Page[lockstep.StepOutput]]{Page[lockstep.StepOutput]{Items: list(outputs)}}, err
}

func (a *API) cancel(ctx context.Context, in *RunPath) (*nothing, error) {
	// It unlocks: whoever asked may go at once.
	ctx = context.WithoutCancel(ctx)
	return nil, a.cfg.Service.Cancel(ctx, in.Run, principal(ctx))
}

// Acknowledge is the body of an acknowledgement.
type Acknowledge struct {
	Job     string `json:"job,omitempty" maxLength:"512" doc:"JOB, or GROUP/INDEX/JOB where several are held."`
	Reason  string `json:"reason" minLength:"1" maxLength:"4096"`
	Restore bool   `json:"restore,omitempty" doc:"No job is unlocked: the deployment is well although this restore ended partial."`
}

type acknowledgeInput struct {
	RunPath
	Body Acknowledge
}

func (a *API) acknowledge(ctx context.Context, in *acknowledgeInput) (*nothing, error) {
	return nil, a.cfg.Service.Acknowledge(ctx, lockstep.Acknowledgement{
		Run: in.Run, Job: in.Body.Job, Reason: in.Body.Reason, By: principal(ctx), Restore: in.Body.Restore,
	})
}

func (a *API) audit(ctx context.Context, in *RunPath) (*body[RunAudit], error) {
	found, err := a.cfg.Service.Audit(ctx, in.Run)
	return &body[RunAudit]{RunAudit{Items: list(found.Broken), Asked: list(found.Asked), NotAsked: list(found.NotAsked)}}, err
}

// RunAudit is how a run was judged.
type RunAudit struct {
	Items    []string              `json:"items" doc:"The promises that were not kept, one line each."`
	Asked    []lockstep.InstanceID `json:"asked" doc:"The instances whose records were compared with the journal."`
	NotAsked []lockstep.NotAsked   `json:"not_asked" doc:"Those that were not, and why."`
}

// Settle is the body of a request to settle.
type Settle struct {
	Deployment string `json:"deployment,omitempty" maxLength:"128" doc:"Nothing means all."`
}

// settle goes on when whoever asked has gone: it unlocks.
func (a *API) settle(ctx context.Context, in *struct{ Body Settle }) (*body[Page[lockstep.RunSummary]], error) {
	settled, err := a.cfg.Service.Settle(context.WithoutCancel(ctx), lockstep.SettleRequest{Deployment: in.Body.Deployment})
	return &body[Page[lockstep.RunSummary]]{Page[lockstep.RunSummary]{Items: list(settled)}}, err
}

// Prune is the body of a request to prune, Pruned of its answer.
type Prune struct {
	OlderThanSeconds int64 `json:"older_than_seconds" minimum:"0" maximum:"9000000000"`
}

// Pruned says of how many runs the journal was deleted.
type Pruned struct {
	Pruned int `json:"pruned"`
}

func (a *API) prune(ctx context.Context, in *struct{ Body Prune }) (*body[Pruned], error) {
	n, err := a.cfg.Service.PruneRuns(ctx, time.Duration(in.Body.OlderThanSeconds)*time.Second)
	return &body[Pruned]{Pruned{n}}, err
}
