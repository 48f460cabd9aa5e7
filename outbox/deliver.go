package outbox

import (
	"context"
	"errors"
	"fmt"
	"time"

	"lockstep"
	"lockstep/internal/faultpoint"
	"lockstep/notify"
	"lockstep/state"
)

const (
	// sendFor bounds one try, whatever a sender does.
	sendFor = time.Minute
	// giveUpAfter is how old a notice may become undelivered.
	giveUpAfter = 7 * 24 * time.Hour
	// firstRetry and lastRetry are the shortest and the longest pause after a
	// try that failed; it doubles from one to the other.
	firstRetry, lastRetry = 5 * time.Second, 30 * time.Minute
	// idle is how often a receiver's queue is looked at though nobody said that
	// something is in it.
	idle = time.Minute
)

// deliver sends what is pending for one receiver, one after another, alarms
// first, until ctx ends. After a failure it pauses: a receiver that is down is
// not asked for each notice that waits.
func (o *Outbox) deliver(ctx context.Context, r Receiver) {
	failures := 0 // since the last success
	for ctx.Err() == nil {
		due, err := o.cfg.Store.DueDeliveries(ctx, r.Name, o.cfg.Now(), 1)
		if err != nil {
			o.cfg.Log.Error("notices cannot be read", "receiver", r.Name, "error", err)
		}
		if errors.Is(err, state.ErrDamaged) {
			o.foundDamage()
		}
		if len(due) == 0 {
			if !wait(ctx, o.queued[r.Name], o.untilDue(ctx, r)) {
				return
			}
			continue
		}
		if o.try(ctx, r, due[0]) {
			failures = 0
			continue
		}
		failures++
		if !wait(ctx, nil, pause(failures)) {
			return
		}
	}
}

// untilDue is how long nothing is due for the receiver.
func (o *Outbox) untilDue(ctx context.Context, r Receiver) time.Duration {
	next, err := o.cfg.Store.NextDelivery(ctx, r.Name)
	if err != nil || next.IsZero() {
		return idle
	}
	return min(idle, max(next.Sub(o.cfg.Now()), time.Second))
}

// try makes one try and keeps what came of it. It reports false if the receiver
// did not take the notice.
func (o *Outbox) try(ctx context.Context, r Receiver, d lockstep.Delivery) bool {
	err := send(ctx, r.Sender, d.Notice)
	if err != nil && ctx.Err() != nil {
		return false // we are leaving: that was not a try
	}
	faultpoint.Hit("outbox.sent")
	now := o.cfg.Now().UTC()
	d.Tries++
	switch {
	case err == nil:
		d.State, d.EndedAt, d.NextTry, d.Error = lockstep.DeliveryDelivered, now, time.Time{}, ""
	case now.Sub(d.Notice.Time) > giveUpAfter:
		d.State, d.EndedAt, d.NextTry, d.Error = lockstep.DeliveryFailed, now, time.Time{}, err.Error()
		o.cfg.Log.Error("a notice is given up on", "receiver", r.Name, "kind", d.Notice.Kind, "title", d.Notice.Title, "error", err)
	default:
		d.NextTry, d.Error = now.Add(pause(d.Tries)), err.Error()
		o.cfg.Log.Warn("a notice is not delivered yet", "receiver", r.Name, "kind", d.Notice.Kind, "tries", d.Tries, "error", err)
	}
	// What was sent is noted also when ctx ends now.
	if kept := o.cfg.Store.SettleDelivery(context.WithoutCancel(ctx), d); kept != nil {
		o.cfg.Log.Error("what became of a notice cannot be kept", "receiver", r.Name, "error", kept)
		return false // or it would be sent again at once
	}
	return err == nil
}

// send sends one notice, within a bound; a panic of the sender is an error.
func send(ctx context.Context, s notify.Sender, n lockstep.Notice) (err error) {
	ctx, cancel := context.WithTimeout(ctx, sendFor)
	defer cancel()
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("defect in the sender: %v", p)
		}
	}()
	return s.Send(ctx, n)
}

// pause is how long to wait after that many failures in a row.
func pause(failures int) time.Duration {
	p := firstRetry
	for range failures - 1 {
		if p = 2 * p; p >= lastRetry {
			return lastRetry
		}
	}
	return p
}

// dropForgotten drops what is pending for receivers that are not configured any
// more.
func (o *Outbox) dropForgotten(ctx context.Context) {
	counts, err := o.cfg.Store.CountDeliveries(ctx)
	for _, c := range counts {
		if _, known := o.queued[c.Receiver]; known || c.State != lockstep.DeliveryPending || err != nil {
			continue
		}
		err = o.dropAll(ctx, c.Receiver)
	}
	if err != nil && ctx.Err() == nil {
		o.cfg.Log.Error("notices for receivers that are gone cannot be dropped", "error", err)
	}
}

func (o *Outbox) dropAll(ctx context.Context, receiver string) error {
	pending, err := o.cfg.Store.Deliveries(ctx, lockstep.DeliveryFilter{Receiver: receiver, State: lockstep.DeliveryPending, Limit: 100_000})
	if err != nil {
		return err
	}
	for _, d := range pending {
		d.State, d.EndedAt, d.NextTry, d.Error = lockstep.DeliveryDropped, o.cfg.Now().UTC(), time.Time{}, "the receiver is not configured any more"
		if err := o.cfg.Store.SettleDelivery(ctx, d); err != nil {
			return err
		}
	}
	return nil
}
