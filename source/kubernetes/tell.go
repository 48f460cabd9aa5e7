package kubernetes

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"lockstep"
	"lockstep/target/kubernetes"
)

const (
	// waiting is how many events of runs may wait until those of pods are written; what
	// comes then is not told.
	waiting = 1024
	// failures is how many events in a row may not be written until a run is told no more.
	failures = 3
)

// Teller watches runs and writes what becomes of their pods where `kubectl describe pod`
// shows it: locked, unlocked, backed up, restored. It is best effort: what cannot be
// written is not, and no run learns of it. Make it with NewTeller.
type Teller struct {
	known func(context.Context, lockstep.RunID) (*lockstep.Run, error)
	parts func(reach string) []string
	by    string

	events     chan lockstep.Event
	close      func() // no more will come
	quit, done chan struct{}
	stop       context.CancelFunc
	runs       map[lockstep.RunID]*told // of the goroutine that writes
}

// NewTeller makes a Teller. known tells of runs whose begin was not seen here; parts are
// what the Reach of a source says of its parts, itself where it has none; by names this
// process.
func NewTeller(known func(context.Context, lockstep.RunID) (*lockstep.Run, error), parts func(reach string) []string, by string) *Teller {
	ctx, stop := context.WithCancel(context.Background())
	t := &Teller{
		known: known, parts: parts, by: by, events: make(chan lockstep.Event, waiting),
		quit: make(chan struct{}), done: make(chan struct{}), stop: stop, runs: map[lockstep.RunID]*told{},
	}
	t.close = sync.OnceFunc(func() { close(t.quit) })
	go t.write(ctx)
	return t
}

// Observe takes note of an event. It never waits and never fails, and may be called
// concurrently.
func (t *Teller) Observe(e lockstep.Event) {
	switch e.Data.(type) {
	case lockstep.RunOpened, lockstep.RunPlanned, lockstep.StepFinished, lockstep.LeaseFired, lockstep.RunEnded:
	default:
		return
	}
	select {
	case t.events <- e:
	default:
	}
}

// Close writes what still waits, as far as there is time for it in ctx, and ends. It may
// be called twice.
func (t *Teller) Close(ctx context.Context) {
	t.close()
	select {
	case <-t.done:
	case <-ctx.Done():
		t.stop()
		<-t.done
	}
}

func (t *Teller) write(ctx context.Context) {
	defer close(t.done)
	defer t.stop()
	for {
		select {
		case e := <-t.events:
			t.fold(ctx, e)
		case <-t.quit:
			for len(t.events) > 0 && ctx.Err() == nil {
				t.fold(ctx, <-t.events)
			}
			for _, r := range t.runs {
				r.close()
			}
			return
		}
	}
}

// told is what is known of a run that has not ended.
type told struct {
	opened lockstep.RunOpened
	plan   lockstep.Plan
	steps  map[lockstep.StepID]lockstep.Step
	specs  []Specification

	clusters map[string]*kubernetes.Cluster // by how they are reached; nil: it cannot be
	quiet    map[string]bool                // where the account may not write events, or nobody takes them
	failed   int                            // in a row
}

func (t *Teller) fold(ctx context.Context, e lockstep.Event) {
	if d, ok := e.Data.(lockstep.RunOpened); ok {
		t.runs[e.Run] = t.opened(d)
		return
	}
	r, ok := t.runs[e.Run]
	if !ok { // another process began it
		r = t.lookUp(ctx, e.Run)
		t.runs[e.Run] = r
	}
	if d, ok := e.Data.(lockstep.RunPlanned); ok {
		r.planned(d.Plan)
	}
	if len(r.specs) > 0 {
		for _, n := range r.news(e.Data) {
			t.tell(ctx, r, e.Time, n)
		}
	}
	if _, ok := e.Data.(lockstep.RunEnded); ok {
		r.close()
		delete(t.runs, e.Run)
	}
}

func (t *Teller) opened(d lockstep.RunOpened) *told {
	r := &told{opened: d, clusters: map[string]*kubernetes.Cluster{}, quiet: map[string]bool{}}
	for _, part := range t.parts(d.Reach) {
		if !IsReach(part) {
			continue
		}
		if s, err := FromReach(part); err == nil {
			r.specs = append(r.specs, s.spec)
		}
	}
	return r
}

func (t *Teller) lookUp(ctx context.Context, id lockstep.RunID) *told {
	run, err := t.known(ctx, id)
	if err != nil {
		return &told{}
	}
	r := t.opened(run.Opened)
	if run.Plan != nil {
		r.planned(*run.Plan)
	}
	return r
}

func (r *told) planned(plan lockstep.Plan) {
	r.plan, r.steps = plan, map[lockstep.StepID]lockstep.Step{}
	for _, w := range plan.Waves {
		for _, s := range w.Steps {
			r.steps[s.ID] = s
		}
	}
}

func (r *told) close() {
	for _, c := range r.clusters {
		if c != nil {
			_ = c.Close()
		}
	}
}

// tell writes an event of an instance's pod.
func (t *Teller) tell(ctx context.Context, r *told, at time.Time, n news) {
	i := slices.IndexFunc(r.plan.Instances, func(in lockstep.Instance) bool { return in.Name() == n.instance })
	if i < 0 {
		return
	}
	in := r.plan.Instances[i]
	spec, ok := r.specOf(in)
	where := spec.Cluster.String() + " " + spec.Namespace
	if !ok || in.Address == "" || r.quiet[where] {
		return
	}
	c := r.cluster(spec.Cluster)
	if c == nil {
		return
	}
	err := c.Tell(ctx, kubernetes.PodEvent{
		Namespace: spec.Namespace, Pod: in.Address, ByName: len(spec.Instances) > 0, Container: spec.containerOf(in), Warning: n.warning,
		Action: n.action, Reason: n.reason, Note: fmt.Sprintf("%s of %s: %s", r.opened.Operation, strconv.Quote(r.opened.Deployment), n.text), By: t.by, Time: at,
	})
	if err == nil {
		r.failed = 0
		return
	}
	r.failed++
	r.quiet[where] = lockstep.KindOf(err) == lockstep.KindRefused || r.failed >= failures
}

// containerOf is the container of an instance where the specification says which.
func (s Specification) containerOf(in lockstep.Instance) string {
	for _, listed := range s.Instances {
		if listed.Group == in.Group && listed.ID == in.ID {
			return cmp.Or(listed.Container, s.Container)
		}
	}
	return s.Container
}

// specOf is the part of the deployment that an instance belongs to: one that names its
// group, else one that takes whatever groups there are. What belongs to neither is no
// pod, and none of its name is found.
func (r *told) specOf(in lockstep.Instance) (Specification, bool) {
	for _, s := range r.specs {
		listed := slices.ContainsFunc(s.Instances, func(l Instance) bool { return l.Group == in.Group && l.ID == in.ID })
		if listed || cmp.Or(s.Group, s.StatefulSet, s.Workload) == in.Group {
			return s, true
		}
	}
	for _, s := range r.specs {
		if s.Selector != "" && s.Group == "" {
			return s, true
		}
	}
	return Specification{}, false
}

// cluster is the way to a cluster, nil where there is none.
func (r *told) cluster(config kubernetes.Config) *kubernetes.Cluster {
	key := fmt.Sprintf("%v", config)
	c, ok := r.clusters[key]
	if !ok {
		c, _ = kubernetes.Open(config) // a run that could not open it has said so
		r.clusters[key] = c
	}
	return c
}
