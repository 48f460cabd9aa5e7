package state

import (
	"context"
	"time"

	"lockstep"
)

// Outbox keeps notices until they are delivered, and for a while after.
type Outbox interface {
	// AddNotice keeps a notice with one pending delivery to each receiver,
	// unless a notice with that key is kept already; then it changes nothing and
	// reports false. An empty list of receivers is not an error: the key is kept.
	//
	// At most limit deliveries are pending for a receiver. Where that many are,
	// an alarm takes the place of the newest one that is not an alarm, and whatever
	// finds no place is kept as dropped.
	AddNotice(ctx context.Context, key string, n lockstep.Notice, receivers []string, limit int) (added bool, err error)
	// HasNotice reports whether a notice with that key is kept.
	HasNotice(ctx context.Context, key string) (bool, error)
	// DueDeliveries lists pending deliveries to a receiver whose next try is
	// not after now, or after FarAhead: alarms first, then by number, at most
	// limit. ErrDamaged where one of them is not what was kept.
	DueDeliveries(ctx context.Context, receiver string, now time.Time, limit int) ([]lockstep.Delivery, error)
	// NextDelivery is when the next pending delivery to a receiver is due, zero
	// if none is pending.
	NextDelivery(ctx context.Context, receiver string) (time.Time, error)
	// SettleDelivery keeps what became of a delivery: its State, Tries, NextTry,
	// EndedAt and Error. ErrNotFound if it is not there.
	SettleDelivery(ctx context.Context, d lockstep.Delivery) error
	// Deliveries lists deliveries, newest first.
	Deliveries(ctx context.Context, filter lockstep.DeliveryFilter) ([]lockstep.Delivery, error)
	// CountDeliveries counts those kept, by receiver and state.
	CountDeliveries(ctx context.Context) ([]DeliveryCount, error)
	// PruneNotices deletes notices made before that time none of whose
	// deliveries is pending.
	PruneNotices(ctx context.Context, before time.Time) error
	// Damaged counts the notices and the slots of schedules that are not what was
	// kept; a notice counts where one of its deliveries is not.
	Damaged(ctx context.Context) (int, error)
	// DropDamaged deletes what Damaged counts, with all deliveries: what it said is
	// not known any more, and it keeps no other from being told.
	DropDamaged(ctx context.Context) error
}

// FarAhead is further than any next try is put off: one that is further away is
// due, because the clock was set back.
const FarAhead = time.Hour

// DeliveryCount is how many deliveries to a receiver are in a state.
type DeliveryCount struct {
	Receiver string
	State    lockstep.DeliveryState
	Count    int
	// Oldest is when the oldest of their notices was made.
	Oldest time.Time
}
