package app

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"lockstep"
	"lockstep/retention"
)

// forgetOldTimeout bounds what the rules do after a backup: the run has not ended until
// then. What was left the next backup's rules do.
const forgetOldTimeout = 10 * time.Minute

// forgetOld deletes, after a backup that succeeded and is verified, what the deployment's
// rules do not keep. What came of it is a line beside the run, which ends as it would have
// without: a backup is no worse because an older one could not be deleted.
func (r *running) forgetOld(ctx context.Context, end lockstep.Ending) []lockstep.EventData {
	rules, ok := r.app.cfg.Keep[r.run.Opened.Deployment]
	if !ok || rules.Zero() || r.run.Opened.Operation != lockstep.OperationBackup || end.State != lockstep.RunSucceeded || end.Data != lockstep.DataVerified {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, forgetOldTimeout)
	defer cancel()
	done, err := r.app.forgetByRules(ctx, r.run, rules)
	if err != nil {
		return []lockstep.EventData{lockstep.Noted{Level: "warn", Message: fmt.Sprintf("the rules of what to keep could not be applied to the end, and the next backup does it again (%s): %v", done, err)}}
	}
	return []lockstep.EventData{lockstep.Noted{Level: "info", Message: "by the rules of what to keep: " + done.String()}}
}

// forgetByRules applies rules to the backups of a run's deployment key, the run's own
// among them. A panic is an error.
func (a *App) forgetByRules(ctx context.Context, run *lockstep.Run, rules lockstep.KeepRules) (done retention.Forgotten, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("defect in the orchestrator: %v", p)
		}
	}()
	list, err := a.backups(ctx, run.Opened.Deployment)
	if err != nil {
		return done, fmt.Errorf("list backups: %w", err)
	}
	list = slices.DeleteFunc(list, func(b lockstep.Backup) bool { return b.Key != run.Opened.Key })
	own := slices.IndexFunc(list, func(b lockstep.Backup) bool { return b.ID == run.BackupID() })
	if own < 0 || list[own].Data != lockstep.DataVerified {
		return done, errors.New("the backup that was just made is not listed as a verified one")
	}
	decisions, err := retention.Keep(list, retention.Policy(rules), time.Now())
	if err != nil {
		return done, err
	}
	return retention.Forget(decisions, func(id lockstep.BackupID) error { return a.Forget(ctx, id) })
}
