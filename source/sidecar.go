package source

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"lockstep"
	"lockstep/target/sidecar"
)

// UnneededSidecars are those sidecars of a dead run that may be removed, for a Remover.
// The error says which must stay: something may still be locked on their instance, which
// a lease unlocks there. now are the instances as they were resolved a moment ago; nil is
// none, and keeps nothing.
func UnneededSidecars(ctx context.Context, left []lockstep.Resource, now *Resolved) (may []lockstep.Resource, err error) {
	if now == nil {
		return left, nil
	}
	var errs []error
	for _, x := range left {
		at := slices.IndexFunc(now.Instances, func(in Instance) bool { return in.Name() == x.Instance })
		if at >= 0 && sidecar.Needed(ctx, now.Instances[at].Target, now.Locations.Claim) {
			errs = append(errs, fmt.Errorf("the sidecar %s of %s stays: something may be locked there, which its lease unlocks", x.Name, x.Instance))
			continue
		}
		may = append(may, x)
	}
	return may, errors.Join(errs...)
}
