package planner

import (
	"fmt"

	"lockstep"
)

// CleanupOptions say what a cleanup undoes.
type CleanupOptions struct {
	// ForRestore: a restore; otherwise a backup.
	ForRestore bool
}

// Cleanup plans the unlock of every job that ships an unlock script, whoever
// locked it, and the removal of everything of ours. It must be possible
// whatever state the deployment is in: a cyclic lock order is a warning here,
// and a lock-free policy does not keep it from unlocking. A malformed
// deployment is KindInvalid.
func Cleanup(d lockstep.Deployment, p lockstep.Policy, o CleanupOptions) (lockstep.Plan, error) {
	k := backingUp
	if o.ForRestore {
		k = restoring
	}
	dr, err := newDraft(d, p, lockstep.OperationCleanup, k)
	if err != nil {
		return lockstep.Plan{}, err
	}
	if dr.order.cycle != nil {
		dr.warn(fmt.Sprintf("%v: the jobs of the cycle and those after it are unlocked at once", dr.order.cycleError(k.during)))
	}
	dr.unlock()
	dr.clean()
	return dr.plan, nil
}
