package client

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"net/http"
	"time"

	"lockstep"
	"lockstep/api"
)

// Deployments lists the server's deployments, by name.
func (c *Client) Deployments(ctx context.Context) ([]lockstep.DeploymentInfo, error) {
	var p api.Page[lockstep.DeploymentInfo]
	err := c.ask(ctx, get("deployments"), &p)
	return p.Items, err
}

// Status says how each deployment stands.
func (c *Client) Status(ctx context.Context) ([]lockstep.DeploymentStatus, error) {
	var p api.Page[lockstep.DeploymentStatus]
	err := c.ask(ctx, get("status"), &p)
	return p.Items, err
}

// Leading says whether the server that answers works through schedules and notices.
func (c *Client) Leading(ctx context.Context) (lockstep.Leading, error) {
	var l lockstep.Leading
	err := c.ask(ctx, get("leading"), &l)
	return l, err
}

// Plan says what the request would do. It is answered when the plan is there.
func (c *Client) Plan(ctx context.Context, req lockstep.Request) (lockstep.PlanReport, error) {
	var rep lockstep.PlanReport
	req.Operation = lockstep.OperationPlan
	err := c.ask(ctx, post(api.RequestOf(req), "plans"), &rep)
	return rep, err
}

// Start begins a run. Who asks is whoever the token is of; Request.By and
// Request.Proven are not sent. Request.ID, if it is set, is the key that makes
// the run begin once; the server chooses the run's id.
func (c *Client) Start(ctx context.Context, req lockstep.Request) (lockstep.RunID, error) {
	key := string(req.ID)
	if key == "" {
		key = rand.Text()
	}
	q := post(api.RequestOf(req), "runs")
	q.header, q.again = http.Header{"Idempotency-Key": {key}}, true
	var started api.Started
	err := c.ask(ctx, q, &started)
	return started.ID, err
}

// Run is one run, folded here from its events.
func (c *Client) Run(ctx context.Context, id lockstep.RunID) (*lockstep.Run, error) {
	events, err := c.stored(ctx, id)
	if err != nil {
		return nil, err
	}
	return lockstep.FoldRun(events)
}

// Runs lists runs, newest first.
func (c *Client) Runs(ctx context.Context, f lockstep.RunFilter) ([]lockstep.RunSummary, error) {
	q := get("runs")
	for name, value := range map[string]string{
		"deployment": f.Deployment, "key": string(f.Key), "operation": string(f.Operation),
		"state": string(f.State), "cursor": string(f.Before),
	} {
		if value != "" {
			q.query.Set(name, value)
		}
	}
	return pages[lockstep.RunSummary](ctx, c, q, f.Limit)
}

// Cancel ends a run early, by way of unlock. Who asks is whoever the token is
// of.
func (c *Client) Cancel(ctx context.Context, id lockstep.RunID, _ string) error {
	q := post(nil, "runs", string(id), "cancel")
	q.again = true
	return c.ask(ctx, q, nil)
}

// Settle brings runs of dead orchestrators to their end.
func (c *Client) Settle(ctx context.Context, req lockstep.SettleRequest) ([]lockstep.RunSummary, error) {
	var p api.Page[lockstep.RunSummary]
	err := c.ask(ctx, post(api.Settle{Deployment: req.Deployment}, "settlements"), &p)
	return p.Items, err
}

// Held lists what may still be locked.
func (c *Client) Held(ctx context.Context, deployment string) ([]lockstep.Hold, error) {
	q := get("held")
	if deployment != "" {
		q.query.Set("deployment", deployment)
	}
	var p api.Page[lockstep.Hold]
	err := c.ask(ctx, q, &p)
	return p.Items, err
}

// Acknowledge records a person's word that a held job is unlocked. Whose word
// it is says the token.
func (c *Client) Acknowledge(ctx context.Context, ack lockstep.Acknowledgement) error {
	return c.ask(ctx, post(api.Acknowledge{Job: ack.Job, Reason: ack.Reason, Restore: ack.Restore}, "runs", string(ack.Run), "acknowledge"), nil)
}

// Audit judges a run.
func (c *Client) Audit(ctx context.Context, id lockstep.RunID) (lockstep.RunAudit, error) {
	var p api.RunAudit
	err := c.ask(ctx, get("runs", string(id), "audit"), &p)
	return lockstep.RunAudit{Run: id, Broken: p.Items, Asked: p.Asked, NotAsked: p.NotAsked}, err
}

// Output is what a step's script printed.
func (c *Client) Output(ctx context.Context, id lockstep.RunID, step lockstep.StepID) ([]lockstep.StepOutput, error) {
	q := get("runs", string(id), "output")
	q.query.Set("step", string(step))
	var p api.Page[lockstep.StepOutput]
	err := c.ask(ctx, q, &p)
	return p.Items, err
}

// PruneRuns deletes the journal of old runs, to the second.
func (c *Client) PruneRuns(ctx context.Context, olderThan time.Duration) (int, error) {
	var p api.Pruned
	err := c.ask(ctx, post(api.Prune{OlderThanSeconds: int64(olderThan.Seconds())}, "prunings"), &p)
	return p.Pruned, err
}

// Backups lists backups, newest first.
func (c *Client) Backups(ctx context.Context, deployment string) ([]lockstep.Backup, error) {
	q := get("backups")
	if deployment != "" {
		q.query.Set("deployment", deployment)
	}
	return pages[lockstep.Backup](ctx, c, q, 0)
}

// Backup is one backup.
func (c *Client) Backup(ctx context.Context, deployment string, id lockstep.BackupID) (lockstep.Backup, error) {
	q := get("backups", string(id))
	if deployment != "" {
		q.query.Set("deployment", deployment)
	}
	var b lockstep.Backup
	err := c.ask(ctx, q, &b)
	return b, err
}

// Verify reads a backup again, where the server is.
func (c *Client) Verify(ctx context.Context, id lockstep.BackupID) (lockstep.VerifyReport, error) {
	var rep lockstep.VerifyReport
	err := c.ask(ctx, post(nil, "backups", string(id), "verify"), &rep)
	return rep, err
}

// Forget deletes a backup.
func (c *Client) Forget(ctx context.Context, id lockstep.BackupID) error {
	return c.ask(ctx, question{method: http.MethodDelete, path: []string{"backups", string(id)}}, nil)
}

// OpenArtifact streams an artifact as a tar. A read of a stream that broke off
// fails; it never looks like the end.
func (c *Client) OpenArtifact(ctx context.Context, id lockstep.BackupID, name string) (io.ReadCloser, error) {
	resp, err := c.send(ctx, get("backups", string(id), "artifacts", name))
	if err != nil {
		return nil, err
	}
	return resp.Body, nil
}

// longestEntry bounds the line of one entry, a path and a link with it.
const longestEntry = 1 << 20

// Entries yields the entry list of an artifact. A list that broke off ends with an
// error.
func (c *Client) Entries(ctx context.Context, id lockstep.BackupID, name string) iter.Seq2[lockstep.Entry, error] {
	return func(yield func(lockstep.Entry, error) bool) {
		q := get("backups", string(id), "artifacts", name, "entries")
		resp, err := c.send(ctx, q)
		if err != nil {
			yield(lockstep.Entry{}, err)
			return
		}
		defer resp.Body.Close()
		lines := bufio.NewScanner(resp.Body)
		lines.Buffer(make([]byte, 0, 64<<10), longestEntry)
		for lines.Scan() {
			var e lockstep.Entry
			err := json.Unmarshal(lines.Bytes(), &e)
			if !yield(e, err) || err != nil {
				return
			}
		}
		if err := lines.Err(); err != nil {
			yield(lockstep.Entry{}, c.noAnswer(ctx, q, fmt.Errorf("the list of entries broke off: %w", err)))
		}
	}
}
