// Package journal is the port to the durable list of facts.
//
// A journal keeps the events of runs, in order, for ever or until a run is
// pruned. What was appended is durable when Append returns: that is what lets
// the orchestrator act on it.
package journal

import (
	"context"
	"errors"

	"lockstep"
)

// Journal keeps events. All methods may be called concurrently, and by several
// processes at once on one journal.
type Journal interface {
	// Append adds the next events of one run, all or none, and returns when
	// they are durable. The first event's Seq must follow the last one stored,
	// and no event may have a lower Term than that; else the error wraps
	// ErrConflict: somebody else drives the run. A run begins with RunOpened.
	// Calls for one run are made one after another. An empty list of events is not an error.
	//
	// ctx counts until the write begins. After an error that is not an ErrConflict
	// nobody knows whether the events are stored; only the journal, read again
	// by a new process, can say.
	Append(ctx context.Context, events ...lockstep.Event) error

	// Events returns the run's events with a number above after, in order. An
	// unknown run has none. An event of an unknown version or type ends the
	// list with an error that wraps lockstep.ErrUnknownEvent; one that is not as
	// it was appended, or is missing, with one that wraps ErrDamaged; those before
	// it are returned beside it.
	Events(ctx context.Context, run lockstep.RunID, after uint64) ([]lockstep.Event, error)

	// Runs lists runs, newest first: by descending id, which is the order of
	// their times. It does not fold them: the cost does not grow with the
	// number of runs that are not listed. Abandoned is not set.
	Runs(ctx context.Context, filter lockstep.RunFilter) ([]lockstep.RunSummary, error)

	// Held lists the jobs of a key ("" means every key) that may still be
	// locked, oldest first.
	Held(ctx context.Context, key lockstep.DeploymentKey) ([]lockstep.Hold, error)

	// Lost lists the losses that are known of a run, "" for those of all runs:
	// what was found when the journal was opened, or mended. They stay until the
	// run is pruned.
	Lost(ctx context.Context, run lockstep.RunID) ([]Loss, error)

	// Mend lets a run go on whose events are damaged, from the last good one:
	// those after it are set aside, and the loss is kept. A sound run is left as
	// it is. Only the owner of the run's key calls it.
	Mend(ctx context.Context, run lockstep.RunID) error

	// PutOutput keeps what one try of a step printed, replacing what was kept
	// for the same try and stream; Outputs returns all that is kept for a step,
	// by try, stdout before stderr. Output is not part of the events, need not
	// be durable, and losing it loses nothing that matters to a run. Output of
	// a run that is not stored is refused with ErrConflict.
	PutOutput(ctx context.Context, run lockstep.RunID, step lockstep.StepID, out lockstep.StepOutput) error
	Outputs(ctx context.Context, run lockstep.RunID, step lockstep.StepID) ([]lockstep.StepOutput, error)

	// Prune deletes one ended run with its output. A run that has not ended,
	// or that holds a job, is refused with an error that wraps ErrConflict. A run
	// that is not stored is not an error: what is known of its loss is forgotten.
	Prune(ctx context.Context, run lockstep.RunID) error

	// RequestCancel leaves word for whoever drives the run, in any process,
	// that it is to be canceled; CancelRequested looks for it and names who
	// asked first. The word is not an event: the driver records one when it acts on
	// it. It is refused with ErrConflict for a run that is not stored, and
	// means nothing for one that has ended.
	RequestCancel(ctx context.Context, run lockstep.RunID, by string) error
	CancelRequested(ctx context.Context, run lockstep.RunID) (by string, ok bool, err error)

	// Own makes the caller the one driver of the key's runs, over all
	// processes that use this journal, until release is called or the process
	// ends, however it ends. If another one is, the error wraps ErrOwned and
	// says who. Release may be called twice.
	Own(ctx context.Context, key lockstep.DeploymentKey, owner string) (release func(), err error)

	// Owner says who drives the key's runs now, "" if nobody does. It never
	// makes an Own of somebody else fail.
	Owner(ctx context.Context, key lockstep.DeploymentKey) (owner string, err error)

	// PutRecord keeps a record, durably, replacing the one of its kind and name.
	// Records of a kind are listed by name. They belong to no run and are never
	// pruned with one.
	PutRecord(ctx context.Context, r Record) error
	Records(ctx context.Context, kind string) ([]Record, error)

	// Record is one of them; ok is false if there is none.
	Record(ctx context.Context, kind, name string) (r Record, ok bool, err error)

	// Close lets go of what is owned through this value. It may be called
	// twice; every other call after it fails.
	Close() error
}

// Errors, to be matched with errors.Is.
var (
	// ErrConflict: the journal's state does not allow what was asked.
	ErrConflict = errors.New("journal conflict")
	// ErrOwned: a living orchestrator drives a run of that key.
	ErrOwned = errors.New("another orchestrator drives a run of this deployment")
)
