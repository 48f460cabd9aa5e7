package outbox

import (
	"context"
	"fmt"
	"time"

	"lockstep"
)

// soundEvery is how often all notices are looked through for damage, whether or
// not one of them is due.
const soundEvery = time.Hour

// foundDamage makes the next look drop what is damaged. It never waits and may be
// called concurrently.
func (o *Outbox) foundDamage() {
	signal(o.damaged)
	o.Wake()
}

// lookAtDamage drops notices, and slots of schedules, that a disk changed, so that
// they keep no other from being told or begun, and says so: what still holds is said
// again by whoever looks at it next, and the rest is in the journal.
func (o *Outbox) lookAtDamage(ctx context.Context) error {
	now := o.cfg.Now()
	select {
	case <-o.damaged:
	default:
		if now.Sub(o.soundAt) < soundEvery {
			return nil
		}
	}
	n, err := o.cfg.Store.Damaged(ctx)
	if err != nil {
		return err
	}
	if n > 0 {
		clear(o.seen)
		o.cfg.Log.Error("notices or slots of schedules were changed on the disk and are dropped", "records", n)
		// Said before it is dropped: who dies in between says it once more.
		if err := o.keep(ctx, fmt.Sprintf("notices-damaged:%d", now.UnixNano()), recordsDamaged(n)); err != nil {
			return err
		}
		if err := o.cfg.Store.DropDamaged(ctx); err != nil {
			return err
		}
	}
	o.soundAt = now
	return nil
}

func recordsDamaged(n int) lockstep.Notice {
	return lockstep.Notice{
		Kind: lockstep.NoticeDamaged, Title: fmt.Sprintf("%d records of notices or schedules were changed on the disk and are lost", n),
		Text: "What they said is not known: a notice may be missing, or what became of a slot. What is still locked, damaged or overdue is told again. Look at the disk of the state folder.",
		Hint: "lockstep status",
	}
}
