package docker

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"lockstep"
	"lockstep/source"
	"lockstep/target/docker"
	aside "lockstep/target/sidecar"
)

// sidecar is one beside an instance's container, as the journal knows it.
type sidecar struct {
	*docker.Sidecar
	resource lockstep.Resource
}

// sidecars are those of the instances, each told to track; nil where containers have a
// shell themselves. None is made yet: from now on each may be.
func (s *Source) sidecars(ctx context.Context, engine *docker.Engine, found []found, track source.Tracker) ([]sidecar, error) {
	if s.spec.SidecarImage == "" {
		return nil, nil
	}
	all := make([]sidecar, len(found))
	for i, f := range found {
		name := aside.NewName()
		all[i] = sidecar{
			Sidecar: engine.Sidecar(name, f.container, s.spec.SidecarImage, s.spec.User),
			resource: lockstep.Resource{
				Kind: lockstep.ResourceSidecar, Instance: lockstep.InstanceID(f.group + "/" + f.id), Name: name, Reach: engine.Host(),
			},
		}
		if track == nil {
			continue
		}
		if err := track.Acquiring(ctx, all[i].resource); err != nil {
			return nil, fmt.Errorf("record the sidecar beside container %s: %w", f.container, err)
		}
	}
	return all, nil
}

// needed says of each sidecar whether it must stay: a run may end and leave something
// locked there, which a lease unlocks later.
func (s *Source) needed(ctx context.Context, sidecars []sidecar) []bool {
	needed := make([]bool, len(sidecars))
	var all sync.WaitGroup
	for i, x := range sidecars {
		if x.Runs() {
			all.Go(func() { needed[i] = aside.Needed(ctx, x, s.spec.Locations.Claim) })
		}
	}
	all.Wait()
	return needed
}

// removeAll removes sidecars that are not needed, all at once, and tells which are gone.
// If that cannot be written, the journal names one that is not there any more, which harms
// nobody. One that stays goes by itself when nothing runs in it.
func removeAll(ctx context.Context, sidecars []sidecar, needed []bool, track source.Tracker) error {
	errs := make([]error, len(sidecars))
	var all sync.WaitGroup
	for i, s := range sidecars {
		if !needed[i] {
			all.Go(func() { errs[i] = s.Remove(ctx) })
		}
	}
	all.Wait()
	for i, s := range sidecars {
		if errs[i] == nil && !needed[i] && track != nil {
			_ = track.Released(ctx, s.resource)
		}
	}
	return errors.Join(errs...)
}

// Remove implements source.Remover: it removes sidecars of a dead run from the engine of
// the specification. What is of another kind, or on another engine, is not its business.
// One stays whose instance has something locked still, as far as anybody knows.
func (s *Source) Remove(ctx context.Context, left []lockstep.Resource, now *source.Resolved) (gone []lockstep.Resource, err error) {
	var ours []lockstep.Resource
	for _, x := range left {
		if x.Kind == lockstep.ResourceSidecar && x.Reach == s.spec.Engine.Host && aside.IsName(x.Name) {
			ours = append(ours, x)
		}
	}
	if len(ours) == 0 {
		return nil, nil
	}
	w, err := s.open()
	if err != nil {
		return nil, err
	}
	ours, stay := source.UnneededSidecars(ctx, ours, now)
	errs := make([]error, len(ours))
	var all sync.WaitGroup
	for i, x := range ours {
		all.Go(func() { errs[i] = w.RemoveSidecar(ctx, x.Name) })
	}
	all.Wait()
	for i, x := range ours {
		if errs[i] == nil {
			gone = append(gone, x)
		}
	}
	return gone, errors.Join(append(errs, stay, w.close())...)
}
