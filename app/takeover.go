package app

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"lockstep"
	"lockstep/launcher"
)

// stopDisplaced stops the scripts of other runs that still run on an instance
// which was taken over: a lock script that ends later would lock again what the
// cleanup has unlocked. A script that unlocks is left to it. A restore script
// is too: half of one is worse than a whole one, so that the take-over fails.
func (r *running) stopDisplaced(ctx context.Context, id lockstep.InstanceID, c *launcher.Client, open []launcher.Status) error {
	var wg sync.WaitGroup
	errs := make([]error, len(open))
	for i, st := range open {
		kind := lockstep.ScriptKind(st.ID[strings.LastIndexByte(st.ID, '/')+1:])
		switch {
		case !st.Running || st.Run == string(r.run.ID), kind == lockstep.ScriptPostBackupUnlock, kind == lockstep.ScriptPostRestoreUnlock:
		case kind == lockstep.ScriptRestore:
			errs[i] = &lockstep.Error{
				Kind: lockstep.KindConflict, Op: fmt.Sprintf("take instance %s over", id),
				Err:  fmt.Errorf("%s of run %s still runs there", st.ID, st.Run),
				Hint: "wait until it has ended, or end it on the instance, then try again",
			}
		default:
			wg.Go(func() { errs[i] = r.stopStep(ctx, id, c, st) })
		}
	}
	wg.Wait()
	return errors.Join(errs...)
}

func (r *running) stopStep(ctx context.Context, id lockstep.InstanceID, c *launcher.Client, st launcher.Status) error {
	after, err := c.Kill(ctx, st.StepRef, r.run.Opened.Policy.KillGrace)
	if err == nil && after.Running {
		err = errors.New("it does not end")
	}
	if err != nil {
		return fmt.Errorf("take instance %s over: stop %s of run %s: %w", id, st.ID, st.Run, err)
	}
	r.later(lockstep.Noted{Level: "warn", Instance: id, Message: fmt.Sprintf("stopped %s of run %s on %s", st.ID, st.Run, id)})
	return nil
}
