package docker

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"sync"

	"lockstep"
	"lockstep/source"
	"lockstep/target/docker"
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
		name := sidecarName()
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

const sidecarPrefix = "lockstep-sidecar-"

// sidecarName is a name that no other sidecar has.
func sidecarName() string {
	var random [8]byte
	_, _ = rand.Read(random[:]) // never fails
	return sidecarPrefix + hex.EncodeToString(random[:])
}

// ourSidecar reports whether a name is one that sidecarName gives.
func ourSidecar(name string) bool {
	digits, ok := strings.CutPrefix(name, sidecarPrefix)
	return ok && len(digits) == 16 && strings.Trim(digits, "0123456789abcdef") == ""
}

// removeAll removes sidecars, all at once, and tells which are gone. If that cannot be
// written, the journal names one that is not there any more, which harms nobody.
func removeAll(ctx context.Context, sidecars []sidecar, track source.Tracker) error {
	errs := make([]error, len(sidecars))
	var all sync.WaitGroup
	for i, s := range sidecars {
		all.Go(func() { errs[i] = s.Remove(ctx) })
	}
	all.Wait()
	for i, s := range sidecars {
		if errs[i] == nil && track != nil {
			_ = track.Released(ctx, s.resource)
		}
	}
	return errors.Join(errs...)
}

// Remove implements source.Remover: it removes sidecars of a dead run from the engine of
// the specification. What is of another kind, or on another engine, is not its business.
func (s *Source) Remove(ctx context.Context, left []lockstep.Resource, _ *source.Resolved) (gone []lockstep.Resource, err error) {
	var ours []lockstep.Resource
	for _, x := range left {
		if x.Kind == lockstep.ResourceSidecar && x.Reach == s.spec.Engine.Host && ourSidecar(x.Name) {
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
	return gone, errors.Join(append(errs, w.close())...)
}
