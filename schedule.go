package lockstep

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"
)

// ScheduledOperation is what a schedule does when it is due.
type ScheduledOperation string

// What can be scheduled. A restore cannot.
const (
	ScheduledBackup ScheduledOperation = "backup"
	ScheduledCheck  ScheduledOperation = "check"
	// ScheduledVerify reads the newest verified backup again, or a sample of all.
	ScheduledVerify ScheduledOperation = "verify"
	// ScheduledForget deletes the backups that no rule of the schedule keeps.
	ScheduledForget ScheduledOperation = "forget"
	// ScheduledCopy copies the verified backups that are newer than those which are
	// in another repository into that one.
	ScheduledCopy ScheduledOperation = "copy"
	// ScheduledPrune frees the space of what no backup needs, of any deployment.
	ScheduledPrune ScheduledOperation = "prune"
)

// ScheduledOperations are all of them.
func ScheduledOperations() []ScheduledOperation {
	return []ScheduledOperation{ScheduledBackup, ScheduledCheck, ScheduledVerify, ScheduledForget, ScheduledCopy, ScheduledPrune}
}

// Overlap says what becomes of a slot that is due while a run of its deployment
// has not ended.
type Overlap string

// The choices: record that the slot is skipped, or wait until the run has
// ended. At most one slot waits: a later one takes the place of an earlier one,
// which is recorded as skipped.
const (
	OverlapSkip Overlap = "skip"
	OverlapWait Overlap = "wait"
)

// Missed says what becomes of slots that went by while nobody could start them:
// the orchestrator was down, or its clock was set forward.
type Missed string

// The choices: do the last one late and record the others as skipped, or record
// all of them as skipped.
const (
	MissedCatchUp Missed = "catch-up"
	MissedSkip    Missed = "skip"
)

// ScheduleOrigin says where a schedule is defined.
type ScheduleOrigin string

// A schedule of the configuration file is changed there; it can be paused,
// resumed and run everywhere.
const (
	ScheduleOfConfig ScheduleOrigin = "config"
	ScheduleOfAPI    ScheduleOrigin = "api"
)

// Schedule says what is done again and again, and when. A slot is one time at
// which it is due; each slot becomes exactly one of: begun, or a recorded skip
// with a reason.
type Schedule struct {
	// Name is unique among schedules and follows the grammar of names.
	Name       string             `json:"name"`
	Deployment string             `json:"deployment"`
	Operation  ScheduledOperation `json:"operation"`
	// Cron is "MINUTE HOUR DAY MONTH WEEKDAY", or "@daily" and its like; see
	// package schedule for what clocks that are set back or forward mean.
	Cron string `json:"cron"`
	// Zone is a name of the IANA time zone database, such as Europe/Berlin.
	Zone string `json:"zone"`
	// Jitter delays each slot by up to that much, the same for the same slot at
	// every look.
	Jitter  time.Duration `json:"jitter_ns,omitempty"`
	Overlap Overlap       `json:"overlap"`
	Missed  Missed        `json:"missed"`
	Keep    *KeepRules    `json:"keep,omitempty"` // of ScheduledForget only
	// Sample is how much of all the backups a ScheduledVerify reads, from 1 to 100
	// percent of their bytes; 0 is the newest verified backup.
	Sample int `json:"sample_percent,omitempty"`
	// To is the name of the repository that a ScheduledCopy copies into.
	To     string         `json:"to,omitempty"`
	Origin ScheduleOrigin `json:"origin"`
}

// Digest is the SHA-256, as "sha256:<hex>", of the definition: all that Set may
// change, and nothing of how the schedule stands.
func (s Schedule) Digest() string {
	b, err := json.Marshal(s)
	if err != nil {
		// A schedule holds strings and numbers; it always encodes.
		panic(fmt.Sprintf("encode schedule: %v", err))
	}
	sum := sha256.Sum256(b)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// KeepRules say which backups a scheduled forget keeps; see `lockstep backups
// forget`.
type KeepRules struct {
	Last    int           `json:"last,omitempty"`
	Hourly  int           `json:"hourly,omitempty"`
	Daily   int           `json:"daily,omitempty"`
	Weekly  int           `json:"weekly,omitempty"`
	Monthly int           `json:"monthly,omitempty"`
	Yearly  int           `json:"yearly,omitempty"`
	Within  time.Duration `json:"within_ns,omitempty"`
	// Tags keep every backup that is marked with one of them.
	Tags []string `json:"tags,omitempty"`
}

// Zero reports whether no rule is set.
func (k KeepRules) Zero() bool {
	return k.Last == 0 && k.Hourly == 0 && k.Daily == 0 && k.Weekly == 0 && k.Monthly == 0 && k.Yearly == 0 && k.Within == 0 && len(k.Tags) == 0
}

// SlotState says what became of a slot.
type SlotState string

// The states of a slot. A claimed one is about to be begun, whatever crashes:
// its run's id is chosen.
const (
	SlotClaimed SlotState = "claimed"
	SlotBegun   SlotState = "begun"   // a run with that id is in the journal
	SlotDone    SlotState = "done"    // a verify, forget, copy or prune ended well
	SlotFailed  SlotState = "failed"  // a verify, forget, copy or prune found something wrong, or nothing could be begun
	SlotSkipped SlotState = "skipped" // Reason says why
)

// SlotRecord is what became of a slot, or, for skips, of several in a row.
type SlotRecord struct {
	// N numbers the records of all schedules, from 1; later ones are higher.
	N        int64  `json:"n"`
	Schedule string `json:"schedule"`
	// Deployment and Operation are those of the schedule at that time.
	Deployment string             `json:"deployment"`
	Operation  ScheduledOperation `json:"operation"`
	// Slot is the first one, Last the last one, Count how many there are.
	Slot  time.Time `json:"slot"`
	Last  time.Time `json:"last"`
	Count int       `json:"count"`
	State SlotState `json:"state"`
	// Run is the run that was begun, or is about to be; "" where there is none.
	Run RunID `json:"run,omitempty"`
	// Reason says, for people, why it was skipped, what was wrong, or what a
	// verify, forget, copy or prune did. It may be "".
	Reason string `json:"reason,omitempty"`
	// Manual: somebody asked for it out of turn; Slot is when.
	Manual bool   `json:"manual,omitempty"`
	By     string `json:"by,omitempty"`
	// DecidedAt is when it was decided what becomes of it.
	DecidedAt time.Time `json:"decided_at"`
}

// ScheduleStatus is a schedule and how it stands.
type ScheduleStatus struct {
	Schedule
	Paused   bool      `json:"paused,omitempty"`
	PausedBy string    `json:"paused_by,omitempty"`
	PausedAt time.Time `json:"paused_at,omitzero"`
	// Next is when it is due next, with its jitter; zero if never.
	Next time.Time `json:"next,omitzero"`
	// Waiting is the slot that waits for a run to end, or zero.
	Waiting time.Time   `json:"waiting,omitzero"`
	Latest  *SlotRecord `json:"latest,omitempty"`
}

// Upcoming is a slot that is still to come.
type Upcoming struct {
	Slot time.Time `json:"slot"`
	// Due is the slot with its jitter.
	Due time.Time `json:"due"`
}

// Schedules is everything that a client can ask of an orchestrator's
// schedules. All methods may be called concurrently. A name that is not there
// is KindNotFound; by names who asks.
type Schedules interface {
	// List lists the schedules of a deployment ("" means all), by name.
	List(ctx context.Context, deployment string) ([]ScheduleStatus, error)
	// Get is one schedule.
	Get(ctx context.Context, name string) (ScheduleStatus, error)
	// Set makes a schedule or replaces one; empty Zone, Overlap and Missed
	// become their defaults. Slots up to now are not affected: those that
	// nothing was decided on are recorded as skipped. One of the configuration
	// is KindRefused, a wrong one KindInvalid.
	Set(ctx context.Context, s Schedule, by string) error
	// Delete removes a schedule; its records stay. One of the configuration is
	// KindRefused.
	Delete(ctx context.Context, name, by string) error
	// Pause makes slots be recorded as skipped until Resume. Slots that went by
	// until then are never caught up. Both may be called again.
	Pause(ctx context.Context, name, by string) error
	Resume(ctx context.Context, name, by string) error
	// Next are the next n slots, oldest first; fewer if there are no more.
	Next(ctx context.Context, name string, n int) ([]Upcoming, error)
	// Run does now what the schedule does, out of turn, also while it is
	// paused. It returns when that has been begun.
	Run(ctx context.Context, name, by string) (SlotRecord, error)
	// History lists what became of slots of a schedule ("" means all), newest
	// first: those with a number below before (0: from the newest), at most
	// limit (0: 100).
	History(ctx context.Context, name string, before int64, limit int) ([]SlotRecord, error)
}

// EditableSchedules are Schedules for somebody who looks at one, changes what they
// see, and may not undo what somebody else has changed meanwhile.
type EditableSchedules interface {
	Schedules
	// Replace is Set over the definition with that Digest, or, where seen is "",
	// over none. KindConflict: the schedule is another one by now, or there is
	// one already; nothing was changed. Slots that were due, a pause and its end
	// do not change the definition.
	Replace(ctx context.Context, seen string, s Schedule, by string) error
}
