package serve

import (
	"context"
	"fmt"
	"os"
	"sync"
	"time"

	"lockstep"
	"lockstep/app"
	"lockstep/source/kubernetes"
	"lockstep/source/mixed"
)

// observers are told of each event of this process. They are added while it is
// put together.
type observers struct {
	mu   sync.RWMutex
	list []func(lockstep.Event)
}

func (o *observers) add(observe func(lockstep.Event)) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.list = append(o.list, observe)
}

func (o *observers) event(e lockstep.Event) {
	o.mu.RLock()
	defer o.mu.RUnlock()
	for _, observe := range o.list {
		observe(e)
	}
}

// tellWait is how long a process that ends waits until pods have been told of its runs.
const tellWait = 5 * time.Second

// tellPods has pods of Kubernetes told what becomes of them, until the function that it
// gives is called, when no run goes on.
func tellPods(a *app.App, told *observers) (end func()) {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown-host"
	}
	t := kubernetes.NewTeller(a.Run, partsOfReach, fmt.Sprintf("%s-%d", host, os.Getpid()))
	told.add(t.Observe)
	return func() {
		ctx, cancel := context.WithTimeout(context.Background(), tellWait)
		defer cancel()
		t.Close(ctx)
	}
}

// partsOfReach is what a run recorded of how each part of its deployment is reached.
func partsOfReach(reach string) []string {
	if parts, ok := mixed.Parts(reach); ok {
		return parts
	}
	return []string{reach}
}
