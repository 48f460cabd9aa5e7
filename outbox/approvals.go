package outbox

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"lockstep"
	"lockstep/state"
)

// lookAtApprovals says which restores wait for a second person.
func (o *Outbox) lookAtApprovals(ctx context.Context) error {
	now := o.cfg.Now()
	newest, err := o.cfg.Store.Approvals(ctx, "", page)
	if err != nil {
		return err
	}
	for _, a := range newest {
		if !a.DecidedAt.IsZero() || !now.Before(a.ExpiresAt) {
			continue
		}
		if err := o.add(ctx, "approval:"+a.ID, func() (lockstep.Notice, error) { return approvalAsked(a), nil }); err != nil {
			return err
		}
	}
	return nil
}

func approvalAsked(a state.Approval) lockstep.Notice {
	var by struct {
		Name string `json:"name"`
	}
	if err := json.Unmarshal(a.AskedBy, &by); err != nil || by.Name == "" {
		by.Name = "somebody"
	}
	return lockstep.Notice{
		Kind: lockstep.NoticeApprovalAsked, Deployment: a.Deployment, Operation: string(lockstep.OperationRestore), Since: a.AskedAt,
		Title: fmt.Sprintf("a restore of %s needs a second person", a.Deployment),
		Text:  fmt.Sprintf("%s asks for it, until %s.", by.Name, a.ExpiresAt.UTC().Format(time.RFC3339)),
		Hint:  fmt.Sprintf("lockstep approvals show %s", a.ID),
	}
}
