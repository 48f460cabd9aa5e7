package app

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"lockstep"
	"lockstep/source"
	"lockstep/target"
)

// unfound adds to what was found of a deployment the instances that it had when all of it
// was found last, as ones at which nobody answers: what the restore of a part does about
// those it does about these. Where nobody knows them, or somebody answers and does not
// tell, why they cannot be found is the error.
func (r *running) unfound(ctx context.Context, resolved *source.Resolved, why error) error {
	known, by := r.sightings(resolved).whole(ctx)
	if by == "" || !nobodyAnswers(why) {
		return why
	}
	for _, in := range known {
		if slices.ContainsFunc(resolved.Instances, func(i source.Instance) bool { return i.Name() == in.Name() }) {
			continue
		}
		resolved.Instances = append(resolved.Instances, source.Instance{
			Group: in.Group, ID: in.ID, Index: in.Index, Address: in.Address, Target: nowhere{why}, Unfit: why,
		})
	}
	return r.note(ctx, lockstep.Noted{Level: "warn", Message: fmt.Sprintf(
		"a part of the deployment cannot be asked which instances it has (%s); they are taken to be those that %s found", lockstep.MessageOf(why).Why, by)})
}

// nobodyAnswers reports whether it is so in each part that an error tells of.
func nobodyAnswers(err error) bool {
	if all, ok := err.(interface{ Unwrap() []error }); ok {
		return !slices.ContainsFunc(all.Unwrap(), func(one error) bool { return !nobodyAnswers(one) })
	}
	return errors.Is(err, target.ErrUnreachable)
}

// nowhere is the target of an instance that cannot be found.
type nowhere struct{ why error }

// Run implements target.Target: no command begins.
func (n nowhere) Run(context.Context, string, target.Streams) (target.Exit, error) {
	return target.Exit{}, fmt.Errorf("%w: %w", target.ErrNotStarted, target.Unreached(n.why))
}

// RoundTrip implements target.Target.
func (nowhere) RoundTrip() time.Duration { return 0 }

// Close implements target.Target.
func (nowhere) Close() error { return nil }
