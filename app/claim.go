package app

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"lockstep"
	"lockstep/executor"
	"lockstep/launcher"
)

// claimTimeout bounds claiming one instance.
const claimTimeout = 2 * time.Minute

// claim makes the run the owner of every instance. It reports whether it had to
// wait for another run: what was discovered before that may have changed.
func (r *running) claim(ctx context.Context, s *session) (waited bool, err error) {
	if r.run.Opened.Operation == lockstep.OperationPlan {
		return false, nil
	}
	if err := r.note(ctx, r.claimResources(s)...); err != nil {
		return false, err
	}
	for {
		c := newContest(r, s)
		if err := c.claimAll(ctx); err == nil || !c.lost() || !r.run.Opened.Request.Wait || ctx.Err() != nil {
			return waited, errors.Join(err, r.noteLater(ctx))
		}
		waited = true
		if err := c.await(ctx); err != nil {
			return waited, err
		}
	}
}

func (r *running) claimResources(s *session) []lockstep.EventData {
	var facts []lockstep.EventData
	for _, i := range s.resolved.Instances {
		facts = append(facts, lockstep.ResourceAcquiring{Resource: lockstep.Resource{
			Kind: lockstep.ResourceClaim, Instance: i.Name(), Reach: i.Address,
		}})
	}
	return facts
}

// maxNamed bounds how many instances are named that one run holds.
const maxNamed = 5

// joinClaims joins what kept instances from being claimed, which errs has in the
// order of the specification. Those that the same run holds, all of them as a
// rule, are told in one.
func joinClaims(s *session, errs []error) error {
	type holder struct{ run, why string }
	held := map[holder]*lockstep.Error{}
	names := map[holder][]string{}
	var out []error
	for i, err := range errs {
		var taken *launcher.ClaimedError
		var e *lockstep.Error
		if !errors.As(err, &taken) || !errors.As(err, &e) {
			out = append(out, err)
			continue
		}
		by := holder{taken.Holder.Run, taken.Why}
		if held[by] == nil {
			held[by], out = e, append(out, e)
		}
		names[by] = append(names[by], string(s.resolved.Instances[i].Name()))
	}
	for by, e := range held {
		list := names[by]
		if more := len(list) - maxNamed; more > 0 {
			list = append(list[:maxNamed], fmt.Sprintf("%d more", more))
		}
		if len(list) > 1 {
			e.Op = "claim instances " + strings.Join(list, ", ")
		}
	}
	return errors.Join(out...)
}

// claimOne claims one instance. It may have claimed it although it gives an
// error of KindHeld.
func (r *running) claimOne(ctx context.Context, s *session, id lockstep.InstanceID, c *launcher.Client) error {
	ctx, cancel := context.WithTimeout(ctx, claimTimeout)
	defer cancel()
	reply, err := r.askClaim(ctx, id, c)
	if err != nil {
		return r.claimError(ctx, s, id, err)
	}
	s.mu.Lock()
	s.claimed[id] = true
	s.said[id] = r.own(reply)
	s.mu.Unlock()
	if d := reply.Displaced; d != nil {
		r.later(lockstep.Noted{Level: "warn", Instance: id, Message: fmt.Sprintf("took instance %s over from run %s of %s", id, d.Run, d.Owner)})
	}
	if err := r.stopDisplaced(ctx, id, c, reply.Open); err != nil {
		return err
	}
	if err := r.spare(ctx, s, id, c, reply.Owed); err != nil {
		return err
	}
	return r.refuseOwed(ctx, id, c, reply.Owed)
}

// askClaim asks until there is nothing more to say. Where the instance knows
// this very run in a higher term, a driver of it died that had claimed and not
// written that down: the deployment's key is ours, so nobody else drives it, and
// its term there is followed by the next one. That number stays between this
// instance and us: what one instance says never reaches another.
func (r *running) askClaim(ctx context.Context, id lockstep.InstanceID, c *launcher.Client) (launcher.ClaimReply, error) {
	req := launcher.ClaimRequest{
		Key: string(r.run.Opened.Key), Owner: r.app.owner, Run: string(r.run.ID),
		Term: min(r.term, lockstep.MaxTerm), TakeOver: r.run.Opened.Request.TakeOver,
	}
	for tries := 0; ; tries++ {
		reply, err := c.Claim(ctx, req)
		var taken *launcher.ClaimedError
		if !errors.As(err, &taken) || tries == maxAsked {
			return reply, err
		}
		switch {
		case taken.Why == "session" && req.Over == "" && r.app.over(ctx, taken.Holder.Run):
			req.Over = taken.Holder.Run
		case taken.Why == "stale" && taken.Holder.Run == req.Run && taken.Holder.Term < lockstep.MaxTerm:
			req.Term = taken.Holder.Term + 1
			r.later(lockstep.Noted{Level: "warn", Instance: id, Message: fmt.Sprintf(
				"instance %s knows this run in term %d, its journal knew %d: goes on in term %d there", id, taken.Holder.Term, r.term, req.Term)})
		default:
			return reply, err
		}
	}
}

// maxAsked bounds how often one claim is asked again with other words.
const maxAsked = 4

// over reports whether the journal knows that run and that it has ended.
func (a *App) over(ctx context.Context, id string) bool {
	run, err := a.Run(ctx, lockstep.RunID(id))
	return err == nil && run.Ending != nil
}

// claimLate claims an instance that could not be reached when the run was taken
// over, as soon as something is to be done there. It does nothing where the
// claim was made before.
func (r *running) claimLate(ctx context.Context, s *session, id lockstep.InstanceID) error {
	s.mu.Lock()
	claimed := s.claimed[id]
	s.mu.Unlock()
	if claimed {
		return nil
	}
	err := r.claimOne(ctx, s, id, s.clients[id])
	if lockstep.KindOf(err) == lockstep.KindHeld {
		err = nil // it is claimed, and what another run owes is not ours to judge now
	}
	r.mu.Lock()
	facts := r.pending
	r.pending = nil
	r.mu.Unlock()
	for _, fact := range append(facts, r.adopted(s, id)...) {
		r.tell(fact)
	}
	return err
}

// refuseOwed stops a backup, restore or check where the instance's own record
// says that another run still owes an unlock: it is all there is when the
// journal of that run is lost or elsewhere. The claim is given back then.
func (r *running) refuseOwed(ctx context.Context, id lockstep.InstanceID, c *launcher.Client, owed []launcher.OwedUnlock) error {
	checks := r.run.Opened.Operation == lockstep.OperationCheck && !r.run.Opened.Policy.IgnoreHeld
	if !r.locks() && !checks {
		return nil
	}
	for _, u := range owed {
		if u.Run == string(r.run.ID) {
			continue
		}
		if r.app.vouched(ctx, u) {
			if err := c.Forget(ctx, u.Step.StepRef); err != nil {
				return fmt.Errorf("claim instance %s: %w", id, err)
			}
			continue
		}
		return r.owedError(fmt.Sprintf("claim instance %s", id), "it", u)
	}
	return nil
}

// owedError is the error of an unlock that a run owes by an instance's word, with
// the cleanup that makes it.
func (r *running) owedError(op, who string, u launcher.OwedUnlock) error {
	restore := strings.HasSuffix(u.Step.ID, string(lockstep.ScriptPostRestoreUnlock))
	return &lockstep.Error{
		Kind: lockstep.KindHeld, Op: op, Err: fmt.Errorf("%s says that run %s has not done %s", who, u.Run, u.Step.ID),
		Hint: "`" + cleanupOf(r.run.Opened.Deployment, restore) + "` unlocks it",
	}
}

// cleanupOf is the command that undoes a restore of a deployment, or a backup.
func cleanupOf(deployment string, restore bool) string {
	if restore {
		return "lockstep cleanup " + deployment + " --restore"
	}
	return "lockstep cleanup " + deployment
}

// vouched reports whether a person has vouched that what the unlock would let
// go of is unlocked.
func (a *App) vouched(ctx context.Context, u launcher.OwedUnlock) bool {
	run, err := a.Run(ctx, lockstep.RunID(u.Run))
	if err != nil || run.Plan == nil {
		return false
	}
	step, ok := run.Plan.Step(lockstep.StepID(u.Step.ID))
	return ok && slices.Contains(run.Acknowledged, step.Slot)
}

// claimError says who has the instance, and what to do about it: a run that
// this journal knows is settled by it, any other only by taking over. Where the
// policy is that a backup finds what is left and stops, that is what it says.
func (r *running) claimError(ctx context.Context, s *session, id lockstep.InstanceID, err error) error {
	var taken *launcher.ClaimedError
	if !errors.As(err, &taken) {
		return &lockstep.Error{Op: fmt.Sprintf("reach instance %s", id), Err: err}
	}
	if left := s.resolved.Locations.Artifacts; r.run.Opened.Policy.SettleInCleanup {
		if there, unknown := s.clients[id].Exists(ctx, left); unknown == nil && there {
			return executor.LeftoverError(left, id, err.Error())
		}
	}
	name := r.run.Opened.Deployment
	hint := "another orchestrator may be at work there: wait for it, or begin with --wait; if it is surely dead: `lockstep cleanup " + name + " --take-over`"
	run, unknown := r.app.Run(ctx, lockstep.RunID(taken.Holder.Run))
	if unknown == nil && run.Ending == nil && r.app.abandoned(ctx, run.Opened.Key) {
		hint = "its orchestrator is dead: `lockstep recover " + name + "` settles that run"
	}
	return &lockstep.Error{Kind: lockstep.KindConflict, Op: fmt.Sprintf("claim instance %s", id), Err: taken, Hint: hint}
}
