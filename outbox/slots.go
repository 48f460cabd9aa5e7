package outbox

import (
	"context"
	"fmt"
	"time"

	"lockstep"
	"lockstep/state"
)

const slotsName = "outbox.slots"

// lookAtSlots makes notices of scheduled slots that were skipped or failed.
func (o *Outbox) lookAtSlots(ctx context.Context) error {
	var after int64
	if _, err := setting(ctx, o.cfg.Store, slotsName, &after); err != nil {
		return err
	}
	for {
		changes, err := o.cfg.Store.SlotChanges(ctx, after, page)
		if err != nil || len(changes) == 0 {
			return err
		}
		for _, c := range changes {
			if err := o.tellOfSlot(ctx, c); err != nil {
				return err
			}
		}
		after = changes[len(changes)-1].Change
		if err := o.setSetting(ctx, slotsName, after); err != nil {
			return err
		}
	}
}

func (o *Outbox) tellOfSlot(ctx context.Context, c state.SlotChange) error {
	switch c.State {
	case lockstep.SlotSkipped, lockstep.SlotFailed:
		key := fmt.Sprintf("slot:%d:%s", c.N, c.State)
		return o.add(ctx, key, func() (lockstep.Notice, error) { return slotNotice(c.SlotRecord), nil })
	case lockstep.SlotClaimed, lockstep.SlotBegun, lockstep.SlotDone:
	}
	return nil
}

func slotNotice(r lockstep.SlotRecord) lockstep.Notice {
	n := lockstep.Notice{
		Kind: lockstep.NoticeScheduleSkipped, Deployment: r.Deployment, Operation: string(r.Operation), Schedule: r.Schedule, Slot: r.Slot, Run: r.Run,
		Title: fmt.Sprintf("schedule %s: the %s of %s that was due at %s is skipped", r.Schedule, r.Operation, r.Deployment, r.Slot.UTC().Format(time.RFC3339)),
		Text:  r.Reason,
		Hint:  fmt.Sprintf("lockstep schedules show %s", r.Schedule),
	}
	if r.Count > 1 {
		n.Title = fmt.Sprintf("schedule %s: %d times that a %s of %s was due are skipped, from %s to %s", r.Schedule, r.Count, r.Operation, r.Deployment,
			r.Slot.UTC().Format(time.RFC3339), r.Last.UTC().Format(time.RFC3339))
	}
	if r.State == lockstep.SlotFailed {
		n.Kind = lockstep.NoticeFailed
		n.Title = fmt.Sprintf("schedule %s: the %s of %s has failed", r.Schedule, r.Operation, r.Deployment)
	}
	return n
}
