package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"lockstep"
	"lockstep/source"
	"lockstep/target/kubernetes"
	"lockstep/target/sidecar"
)

// sidecars are those of the instances by slot, each told to track; nil where containers
// have a shell themselves. None is made yet: from now on each may be.
func (s *Source) sidecars(ctx context.Context, c *kubernetes.Cluster, list []found, track source.Tracker) (map[string]lockstep.Resource, error) {
	if s.spec.SidecarImage == "" {
		return nil, nil
	}
	all := map[string]lockstep.Resource{}
	for _, f := range list {
		x := lockstep.Resource{
			Kind: lockstep.ResourceSidecar, Instance: lockstep.InstanceID(f.group + "/" + f.id), Name: sidecar.NewName(), Reach: s.sidecarReach(c),
		}
		all[slotOf(f)] = x
		if track == nil {
			continue
		}
		if err := track.Acquiring(ctx, x); err != nil {
			return nil, fmt.Errorf("record the sidecar of pod %s: %w", f.name, err)
		}
	}
	return all, nil
}

// sidecarReach is where sidecars of the specification are.
func (s *Source) sidecarReach(c *kubernetes.Cluster) string {
	return c.Server() + " namespace " + s.spec.Namespace
}

// needed are the slots whose sidecar must stay: a run may end and leave something locked
// there, which a lease unlocks later.
func (s *Source) needed(ctx context.Context, instances []source.Instance) map[string]bool {
	needed := make([]bool, len(instances))
	var all sync.WaitGroup
	for i, in := range instances {
		if t, ok := in.Target.(*kubernetes.Target); ok && t.HasSidecar() {
			all.Go(func() { needed[i] = sidecar.Needed(ctx, t, s.spec.Locations.Claim) })
		}
	}
	all.Wait()
	slots := map[string]bool{}
	for i, in := range instances {
		slots[string(in.Name())] = needed[i]
	}
	return slots
}

// endAll ends sidecars, all at once, in the pods that are in their slots, and gives those
// that are gone now. With a pod that was replaced its sidecars are gone.
func endAll(ctx context.Context, c *kubernetes.Cluster, where func(slot string) string, sidecars []lockstep.Resource) (gone []lockstep.Resource, err error) {
	errs := make([]error, len(sidecars))
	var all sync.WaitGroup
	for i, x := range sidecars {
		pod := where(string(x.Instance))
		if pod == "" {
			continue
		}
		namespace := x.Reach[strings.LastIndex(x.Reach, " ")+1:]
		all.Go(func() { errs[i] = c.EndSidecars(ctx, namespace, pod, x.Name) })
	}
	all.Wait()
	for i, x := range sidecars {
		if errs[i] == nil {
			gone = append(gone, x)
		}
	}
	return gone, errors.Join(errs...)
}

// Remove implements source.Remover: it ends sidecars of a dead run in the namespace of the
// specification. What is of another kind, or elsewhere, is not its business. One stays
// whose instance has something locked still, as far as anybody knows.
func (s *Source) Remove(ctx context.Context, left []lockstep.Resource, now *source.Resolved) (gone []lockstep.Resource, err error) {
	c, err := kubernetes.Open(s.spec.Cluster)
	if err != nil {
		return nil, err
	}
	var ours []lockstep.Resource
	for _, x := range left {
		if x.Kind == lockstep.ResourceSidecar && x.Reach == s.sidecarReach(c) && sidecar.IsName(x.Name) {
			ours = append(ours, x)
		}
	}
	if len(ours) == 0 {
		return nil, c.Close()
	}
	list, err := s.ask(ctx, c)
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	may, stay := source.UnneededSidecars(ctx, ours, now)
	gone, err = endAll(ctx, c, newSlots(s, c, list).where, may)
	return gone, errors.Join(stay, err, c.Close())
}
