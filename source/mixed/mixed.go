// Package mixed is the source of a deployment whose instances are found in
// several places: each part is a source of its own, and together they are one
// deployment, with one plan and one barrier.
package mixed

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"

	"lockstep"
	"lockstep/source"
)

// Source is several sources as one. Make it with New.
type Source struct{ parts []source.Source }

var (
	_ source.Lister  = (*Source)(nil)
	_ source.Partly  = (*Source)(nil)
	_ source.Placer  = (*Source)(nil)
	_ source.Remover = (*Source)(nil)
)

// New joins parts that have the same Info but for its Source, the same
// Locations and the same Overrides, and whose groups differ. All must be Listers.
func New(parts ...source.Source) (*Source, error) {
	var errs []error
	for _, p := range parts {
		if _, ok := p.(source.Lister); !ok {
			errs = append(errs, fmt.Errorf("instances of %s cannot be listed", p.Info().Source))
		}
		if p.Info().Key != parts[0].Info().Key {
			errs = append(errs, fmt.Errorf("%s and %s are two deployments", p.Info().Key, parts[0].Info().Key))
		}
	}
	if len(parts) == 0 {
		errs = append(errs, errors.New("it has no parts"))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("join the parts of a deployment: %w", err)
	}
	return &Source{parts}, nil
}

// Info is that of the parts, whatever reaches them.
func (s *Source) Info() lockstep.DeploymentInfo {
	info := s.parts[0].Info()
	info.Source = "mixed"
	return info
}

// Places are those of all parts.
func (s *Source) Places() []string {
	var places []string
	for _, p := range s.parts {
		if p, ok := p.(source.Placer); ok {
			places = append(places, p.Places()...)
		}
	}
	return places
}

// reach is what Reach says.
type reach struct {
	Kind  string   `json:"kind"` // "mixed"
	Parts []string `json:"parts"`
}

// Reach is JSON with what each part says.
func (s *Source) Reach() string {
	r := reach{Kind: "mixed"}
	for _, p := range s.parts {
		r.Parts = append(r.Parts, p.Reach())
	}
	out, err := json.Marshal(r)
	if err != nil {
		panic(fmt.Sprintf("encode how a deployment is reached: %v", err)) // texts always encode
	}
	return string(out)
}

// Parts are what Reach of a Source said of its parts; ok is false where the text
// is not Reach of a Source.
func Parts(text string) (parts []string, ok bool) {
	var r reach
	if json.Unmarshal([]byte(text), &r) != nil || r.Kind != "mixed" {
		return nil, false
	}
	return r.Parts, true
}

// Resolve resolves all parts at once. Where one cannot be, none is.
func (s *Source) Resolve(ctx context.Context, track source.Tracker) (*source.Resolved, error) {
	whole, err := s.ResolvePartly(ctx, track)
	if err != nil && whole != nil {
		return nil, errors.Join(err, whole.Release(context.WithoutCancel(ctx)))
	}
	return whole, err
}

// ResolvePartly implements source.Partly.
func (s *Source) ResolvePartly(ctx context.Context, track source.Tracker) (*source.Resolved, error) {
	parts := make([]*source.Resolved, len(s.parts))
	unresolved := s.each(func(i int, p source.Source) (err error) {
		parts[i], err = p.Resolve(ctx, track)
		return err
	})
	parts = slices.DeleteFunc(parts, func(p *source.Resolved) bool { return p == nil })
	if len(parts) == 0 {
		return nil, unresolved
	}
	whole := join(parts)
	if err := unique(whole.Instances); err != nil {
		return nil, errors.Join(unresolved, err, whole.Release(context.WithoutCancel(ctx)))
	}
	ownPlaces(whole.Instances)
	return whole, unresolved
}

// join makes one of what was resolved of parts, of which there is one at least.
func join(parts []*source.Resolved) *source.Resolved {
	whole := *parts[0]
	whole.Instances, whole.Listed = nil, nil
	for _, p := range parts {
		whole.Instances = append(whole.Instances, p.Instances...)
		whole.Listed = append(whole.Listed, p.Listed...)
	}
	whole.Advice = func(ctx context.Context) (all []string) {
		for _, p := range parts {
			if p.Advice != nil {
				all = append(all, p.Advice(ctx)...)
			}
		}
		slices.Sort(all)
		return slices.Compact(all)
	}
	whole.Release = func(ctx context.Context) error {
		var errs []error
		for _, p := range parts {
			errs = append(errs, p.Release(ctx))
		}
		return errors.Join(errs...)
	}
	return &whole
}

// List lists all parts at once. Where one cannot be, none is.
func (s *Source) List(ctx context.Context) ([]source.Listing, error) {
	whole, err := s.ListPartly(ctx)
	if err != nil {
		return nil, err
	}
	return whole, nil
}

// ListPartly implements source.Partly.
func (s *Source) ListPartly(ctx context.Context) ([]source.Listing, error) {
	lists := make([][]source.Listing, len(s.parts))
	err := s.each(func(i int, p source.Source) error {
		list, err := p.(source.Lister).List(ctx)
		if err == nil {
			lists[i] = list
		}
		return err
	})
	return slices.Concat(lists...), err
}

// Remove implements source.Remover: each part removes what it has made.
func (s *Source) Remove(ctx context.Context, left []lockstep.Resource, now *source.Resolved) (gone []lockstep.Resource, err error) {
	removed := make([][]lockstep.Resource, len(s.parts))
	err = s.each(func(i int, p source.Source) (err error) {
		if remover, ok := p.(source.Remover); ok {
			removed[i], err = remover.Remove(ctx, left, now)
		}
		return err
	})
	return slices.Concat(removed...), err
}

// each calls do for all parts at once and joins the errors in their order.
func (s *Source) each(do func(int, source.Source) error) error {
	errs := make([]error, len(s.parts))
	var wg sync.WaitGroup
	for i, p := range s.parts {
		wg.Go(func() { errs[i] = do(i, p) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// unique refuses instances that two parts have: what is found anew each time may
// come to be in a group that is listed elsewhere, and a container may be found by
// two parts, or be listed in one and found by the other.
func unique(instances []source.Instance) error {
	seen, machines := map[string]source.Instance{}, map[string]source.Instance{}
	for _, in := range instances {
		for _, name := range []string{"instance " + in.Group + "/" + in.ID, "index " + in.Group + "/" + in.Index} {
			if other, ok := seen[name]; ok {
				return twice(fmt.Errorf("%s is there twice, at %s and at %s", name, other.Address, in.Address), "give one of them another group")
			}
			seen[name] = in
		}
		if other, ok := machines[in.Machine]; ok && in.Machine != "" {
			return twice(fmt.Errorf("%s at %s and %s at %s are one container", other.Name(), other.Address, in.Name(), in.Address),
				"it would be locked twice: leave it out of one of the two groups")
		}
		machines[in.Machine] = in
	}
	return nil
}

func twice(why error, hint string) error {
	return &lockstep.Error{Kind: lockstep.KindInvalid, Op: "join the parts of a deployment", Err: why, Hint: hint}
}

// ownPlaces makes unfit what keeps its claim or its launcher folder where another
// instance does. It is not refused as a whole: what an earlier run left there is to
// be unlocked.
func ownPlaces(instances []source.Instance) {
	owners := map[string]source.Instance{}
	for i := range instances {
		in := &instances[i]
		for _, place := range in.Keeps {
			other, taken := owners[place]
			if taken && in.Unfit == nil {
				in.Unfit = &lockstep.Error{
					Kind: lockstep.KindRefused, Op: "join the parts of a deployment",
					Err:  fmt.Errorf("%s at %s and %s at %s keep what a run leaves on one volume", other.Name(), other.Address, in.Name(), in.Address),
					Hint: "give each of them a volume of its own: two instances would take one another's claim for their own",
				}
			}
			owners[place] = *in
		}
	}
}
