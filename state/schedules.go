package state

import (
	"context"
	"time"

	"lockstep"
)

// Schedule is a schedule and what has been decided on its slots.
type Schedule struct {
	Definition lockstep.Schedule
	// Decided is the last moment whose slots have been decided on; Waiting the
	// slot that waits, or zero.
	Decided, Waiting time.Time
	Paused           bool
	PausedBy         string
	PausedAt         time.Time
	// Version grows with each PutSchedule; 0 is one that is not kept yet.
	Version int64
}

// Schedules are schedules, and what became of each slot. Records are numbered
// in the order in which they were made.
type Schedules interface {
	// PutSchedule keeps a schedule in place of the one with its name, and adds
	// those records (their N is ignored), all or nothing. It returns the
	// records with their numbers.
	//
	// ErrChanged: the one that is kept has another Version than s, which it had
	// when it was read. ErrExists: one of the slots that are to be begun has a
	// record of having been begun; skips are not looked at.
	PutSchedule(ctx context.Context, s Schedule, records ...lockstep.SlotRecord) ([]lockstep.SlotRecord, error)
	// Schedule finds one by its name; ErrNotFound.
	Schedule(ctx context.Context, name string) (Schedule, error)
	// Schedules lists all, by name.
	Schedules(ctx context.Context) ([]Schedule, error)
	// DeleteSchedule removes one; its records stay. One that is gone is not
	// an error.
	DeleteSchedule(ctx context.Context, name string) error

	// SettleSlot keeps what became of a record: its state and its reason.
	// ErrNotFound if it is not there.
	SettleSlot(ctx context.Context, n int64, to lockstep.SlotState, reason string) error
	// Slots lists records of a schedule ("" means all) with a number below
	// before (0: all), newest first, at most limit.
	Slots(ctx context.Context, schedule string, before int64, limit int) ([]lockstep.SlotRecord, error)
	// ClaimedSlots lists those in the state claimed, oldest first.
	ClaimedSlots(ctx context.Context) ([]lockstep.SlotRecord, error)
	// SlotChanges lists records that were added or settled after that change,
	// in the order of their last change, at most limit.
	SlotChanges(ctx context.Context, after int64, limit int) ([]SlotChange, error)
	// PruneSlots deletes all but the newest keep records of each schedule, never
	// one in the state claimed.
	PruneSlots(ctx context.Context, keep int) error
}

// SlotChange is a record with the number of its last change. Changes of all
// records are numbered from 1; later ones are higher.
type SlotChange struct {
	Change int64
	lockstep.SlotRecord
}
