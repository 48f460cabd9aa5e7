package access

import (
	"context"
	"sync"

	"lockstep"
)

// ownersKept is how many runs' deployments are remembered.
const ownersKept = 10_000

// owners remembers which deployment a run is of. That never changes.
type owners struct {
	mu sync.Mutex
	of map[lockstep.RunID]string
}

func (o *owners) find(ctx context.Context, svc lockstep.Service, id lockstep.RunID) (string, error) {
	if deployment := o.known(id); deployment != "" {
		return deployment, nil
	}
	run, err := svc.Run(ctx, id)
	if lockstep.KindOf(err) == lockstep.KindNotFound {
		return "", errNoRun(id)
	}
	if err != nil {
		return "", err
	}
	o.keep(id, run.Opened.Deployment)
	return run.Opened.Deployment, nil
}

func (o *owners) known(id lockstep.RunID) string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.of[id]
}

func (o *owners) keep(id lockstep.RunID, deployment string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.of) >= ownersKept {
		clear(o.of) // asked for again, each is found again
	}
	o.of[id] = deployment
}
