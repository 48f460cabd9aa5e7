package outbox

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"lockstep"
)

// alarm is what has been said about a deployment that is held.
type alarm struct {
	Deployment string    `json:"deployment"`
	First      time.Time `json:"first"`
}

const heldName = "outbox.held"

// lookAtHeld says what may still be locked, again and again until it is
// settled, and then that it is.
func (o *Outbox) lookAtHeld(ctx context.Context) error {
	held, locked, err := o.heldByNobody(ctx)
	if err != nil {
		return err
	}
	said := map[lockstep.DeploymentKey]alarm{}
	if _, err := setting(ctx, o.cfg.Store, heldName, &said); err != nil {
		return err
	}
	now := o.cfg.Now().UTC()
	changed := false
	for key, holds := range held {
		if _, there := said[key]; !there && !now.Before(o.heldFrom) {
			said[key], changed = alarm{holds[0].Deployment, now}, true
		}
	}
	// Kept before it is said: what is said twice must have the same key.
	if changed {
		if err := o.setSetting(ctx, heldName, said); err != nil {
			return err
		}
	}
	for _, key := range slices.Sorted(maps.Keys(said)) {
		if locked[key] && len(held[key]) == 0 {
			continue // somebody is at work on it: no alarm, but not over either
		}
		if err := o.tellOfHeld(ctx, key, said[key], held[key], now); err != nil {
			return err
		}
	}
	before := len(said)
	maps.DeleteFunc(said, func(key lockstep.DeploymentKey, _ alarm) bool { return !locked[key] })
	if len(said) == before {
		return nil
	}
	return o.setSetting(ctx, heldName, said)
}

// heldByNobody are the holds of each deployment key, oldest first, but for
// those of runs that a living orchestrator drives: it is about to unlock them.
// locked are the keys that have any.
func (o *Outbox) heldByNobody(ctx context.Context) (held map[lockstep.DeploymentKey][]lockstep.Hold, locked map[lockstep.DeploymentKey]bool, err error) {
	// First what is held, then who is at work: a run that ends in between must
	// not look dead.
	holds, err := o.cfg.Service.Held(ctx, "")
	if err != nil || len(holds) == 0 {
		return nil, nil, err
	}
	running, err := o.cfg.Service.Runs(ctx, lockstep.RunFilter{State: lockstep.RunRunning})
	if err != nil {
		return nil, nil, err
	}
	held, locked = map[lockstep.DeploymentKey][]lockstep.Hold{}, map[lockstep.DeploymentKey]bool{}
	for _, h := range holds {
		locked[h.Key] = true
		driven := slices.ContainsFunc(running, func(r lockstep.RunSummary) bool { return r.ID == h.Run && !r.Abandoned })
		if !driven {
			held[h.Key] = append(held[h.Key], h)
		}
	}
	lost, err := o.lost(ctx)
	if err != nil {
		return nil, nil, err
	}
	for key, list := range held {
		// Of lost runs somebody else tells, with what settles those.
		list = slices.DeleteFunc(list, func(h lockstep.Hold) bool {
			return slices.ContainsFunc(lost, func(l lockstep.LostRun) bool { return l.Run == h.Run })
		})
		still, err := o.stillHeld(ctx, list)
		if err != nil {
			return nil, nil, err
		}
		if held[key] = still; len(still) == 0 {
			delete(held, key)
		}
	}
	return held, locked, nil
}

// stillHeld are those of the holds whose run did not end well just now.
func (o *Outbox) stillHeld(ctx context.Context, list []lockstep.Hold) ([]lockstep.Hold, error) {
	now, err := o.cfg.Service.Held(ctx, "")
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(list, func(h lockstep.Hold) bool {
		return !slices.ContainsFunc(now, func(n lockstep.Hold) bool { return n.Key == h.Key && n.Slot == h.Slot && n.Run == h.Run })
	}), nil
}

func (o *Outbox) tellOfHeld(ctx context.Context, key lockstep.DeploymentKey, a alarm, holds []lockstep.Hold, now time.Time) error {
	id := fmt.Sprintf("%s:%d", key, a.First.UnixNano())
	if len(holds) == 0 {
		return o.add(ctx, "released:"+id, func() (lockstep.Notice, error) { return released(key, a, now), nil })
	}
	repetition := max(0, int(now.Sub(a.First)/o.cfg.RemindEvery))
	return o.add(ctx, fmt.Sprintf("held:%s:%d", id, repetition), func() (lockstep.Notice, error) {
		return heldNotice(key, holds, repetition, now), nil
	})
}

// lookAtLost says of each run that the journal has lost that it may have locked
// something, again and again until a cleanup has settled it.
func (o *Outbox) lookAtLost(ctx context.Context) error {
	lost, err := o.lost(ctx)
	if err != nil {
		return err
	}
	now := o.cfg.Now().UTC()
	for _, run := range lost {
		repetition := max(0, int(now.Sub(run.Since)/o.cfg.RemindEvery))
		err := o.add(ctx, fmt.Sprintf("lost:%s:%d", run.Run, repetition), func() (lockstep.Notice, error) { return lostNotice(run, repetition), nil })
		if err != nil {
			return err
		}
	}
	return nil
}

func (o *Outbox) lost(ctx context.Context) ([]lockstep.LostRun, error) {
	l, ok := o.cfg.Service.(lockstep.LostRuns)
	if !ok {
		return nil, nil
	}
	return l.LostRuns(ctx)
}

// lostNotice names the run in words alone: there is nothing of it to look at.
func lostNotice(run lockstep.LostRun, repetition int) lockstep.Notice {
	return lockstep.Notice{
		Kind: lockstep.NoticeHeld, Deployment: run.Deployment, Key: run.Key, Locks: lockstep.LocksHeld, Since: run.Since, Repetition: repetition,
		Title: fmt.Sprintf("%s may be locked: the journal has lost run %s", run.Deployment, run.Run),
		Text:  "Nobody knows what that run has locked, and nobody is about to unlock it. If it was a restore, clean up with --restore, too.",
		Hint:  fmt.Sprintf("lockstep cleanup %s --take-over", run.Deployment),
	}
}

func heldNotice(key lockstep.DeploymentKey, holds []lockstep.Hold, repetition int, now time.Time) lockstep.Notice {
	h := holds[0]
	n := lockstep.Notice{
		Kind: lockstep.NoticeHeld, Deployment: h.Deployment, Key: key, Run: h.Run, Locks: lockstep.LocksHeld, Since: h.Since, Repetition: repetition,
		Title: fmt.Sprintf("%s may still be locked, for %s now", h.Deployment, now.Sub(h.Since).Round(time.Minute)),
		Text:  "Nobody is about to unlock it. Settle it: clean up, or look at the instances and vouch for them.",
		Hint:  fmt.Sprintf("lockstep cleanup %s; or lockstep runs ack %s --job JOB --reason …", h.Deployment, h.Run),
	}
	for _, h := range holds {
		n.Held = append(n.Held, h.Slot.String())
		if h.Restore {
			n.Hint = fmt.Sprintf("lockstep cleanup %s --restore; or lockstep runs ack %s --job JOB --reason …", h.Deployment, h.Run)
		}
	}
	return n
}

func released(key lockstep.DeploymentKey, a alarm, now time.Time) lockstep.Notice {
	return lockstep.Notice{
		Kind: lockstep.NoticeReleased, Deployment: a.Deployment, Key: key, Locks: lockstep.LocksReleased, Since: a.First,
		Title: fmt.Sprintf("%s is not held any more", a.Deployment),
		Text:  fmt.Sprintf("It was said to be held for %s.", now.Sub(a.First).Round(time.Second)),
	}
}
