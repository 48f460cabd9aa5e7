package lockstep

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"time"
)

// EventVersion is the version of the event envelope that this program writes
// and drives. An engine stops at an event of another version or type.
const EventVersion = 1

// RunID names a run: a version 7 UUID, so ids sort by the time of their run.
type RunID string

// Event is one fact of a run. Events of a run are numbered from 1 without a
// gap; once appended to a journal they are durable and never change.
type Event struct {
	V    int    `json:"v"`
	Run  RunID  `json:"run"`
	Seq  uint64 `json:"seq"`
	Term uint64 `json:"term"`
	// Time is the orchestrator's wall clock. Durations are measured otherwise.
	Time time.Time `json:"time"`
	Data EventData `json:"data"`
}

// EventData is what an event says. The set of its types is closed: those of
// this file.
type EventData interface{ EventType() string }

// ErrUnknownEvent is wrapped by the error of decoding an event whose version
// or type this program does not know.
var ErrUnknownEvent = errors.New("event of an unknown version or type")

// RunOpened is the first event of every run, durable before any contact.
type RunOpened struct {
	Operation  Operation     `json:"operation"`
	Deployment string        `json:"deployment"`
	Key        DeploymentKey `json:"key"`
	Owner      string        `json:"owner"` // host, process and start time of the driver
	Policy     Policy        `json:"policy"`
	Request    Request       `json:"request"`
	Version    string        `json:"version"`
	// Reach is how to make the source again; see source.Source.Reach.
	Reach string `json:"reach,omitempty"`
}

// The kinds of resources. A claim is released by the clean step of its
// instance.
const (
	ResourceClaim   = "claim"
	ResourceSSHUser = "ssh-user"
	ResourceSidecar = "sidecar"
)

// Resource is something of ours outside of the orchestrator: an SSH user, a
// claim with its launcher folder, a sidecar.
type Resource struct {
	Kind     string     `json:"kind"`
	Instance InstanceID `json:"instance,omitempty"`
	// Name tells resources of a kind on an instance apart; Reach is how to get
	// at it when the configuration has changed since. Never a secret.
	Name  string `json:"name,omitempty"`
	Reach string `json:"reach,omitempty"`
}

// ResourceAcquiring, ResourceAcquired and ResourceReleased bracket the life of
// a resource.
type (
	ResourceAcquiring struct {
		Resource Resource `json:"resource"`
	}
	ResourceAcquired struct {
		Resource Resource `json:"resource"`
	}
	ResourceReleased struct {
		Resource Resource `json:"resource"`
	}
)

// Noted is a line for people: what was found, tolerated or is being done.
type Noted struct {
	// Level is "debug", "info" or "warn".
	Level    string     `json:"level"`
	Message  string     `json:"message"`
	Instance InstanceID `json:"instance,omitempty"`
	Job      string     `json:"job,omitempty"`
	// Phase, if not "", says that the run's preparation begins this phase. The
	// line is one of level "debug".
	Phase Phase `json:"phase,omitempty"`
}

// Phase is a part of the time between a run's first event and its plan.
type Phase string

// The phases that an event tells of.
const (
	// PhasePlan: everything has been discovered, and the plan is being made.
	PhasePlan Phase = "plan"
)

// RunPlanned freezes the plan. With it the run can be unlocked by anybody.
type RunPlanned struct {
	Plan   Plan       `json:"plan"`
	Digest string     `json:"digest"`
	Found  Deployment `json:"found"` // the deployment the plan was made for
	// Expected is, for a restore, the manifest it reads.
	Expected *Backup `json:"expected,omitempty"`
}

// StepStarted is the intent of a try, durable before its effect begins.
type StepStarted struct {
	Step    StepID `json:"step"`
	Attempt int    `json:"attempt"` // from 1
	// Adopted: no intent of this run is known; its instance says that the try
	// was begun, or it may have been: the journal has lost what it said of it.
	Adopted bool `json:"adopted,omitempty"`
}

// StepFinished is how a try ended. An outcome that is not final is settled by
// a later StepFinished of the same try.
type StepFinished struct {
	Step    StepID  `json:"step"`
	Attempt int     `json:"attempt"`
	Outcome Outcome `json:"outcome"`
	// Error says what was wrong, as the whole chain; Why the same in few words, where
	// they are others; Hint what to do about it.
	Error string `json:"error,omitempty"`
	Why   string `json:"why,omitempty"`
	Hint  string `json:"hint,omitempty"`
	// Said is what a script that did not end well printed last on stderr: whole
	// lines, those before left out with a mark.
	Said string `json:"said,omitempty"`
	// Busy is how long the script itself ran, as its instance measured it;
	// 0 when not known.
	Busy time.Duration `json:"busy_ns,omitempty"`
	// Artifact is what a collect step brought in, as the repository gives it
	// back; a verify step's says that it was proven.
	Artifact *Artifact `json:"artifact,omitempty"`
	// LeaseFired: the instance unlocked by itself before or instead.
	LeaseFired bool `json:"lease_fired,omitempty"`
	// Displaced: another run owns the instance now, and what is locked there is
	// that one's to let go. The step is not tried again.
	Displaced bool `json:"displaced,omitempty"`
	// Suspect says in what the backup that a commit step wrote looks worse than
	// those before it.
	Suspect []string `json:"suspect,omitempty"`
	// Warnings are of a step that ended well all the same.
	Warnings []string `json:"warnings,omitempty"`
}

// LeaseFired says that an instance unlocked by itself: what is collected after
// that is not consistent.
type LeaseFired struct {
	Instance InstanceID `json:"instance"`
}

// LockWindowExceeded says that Policy.MaxLock was over while jobs were locked.
type LockWindowExceeded struct{}

// CancelRequested ends a run early, by way of unlock.
type CancelRequested struct {
	By string `json:"by"`
}

// RunFailed is a failure outside of any step.
type RunFailed struct {
	// Error is the whole chain; What and Why are its Message.
	Error string `json:"error"`
	Hint  string `json:"hint,omitempty"`
	Kind  Kind   `json:"kind,omitempty"`
	What  string `json:"what,omitempty"`
	Why   string `json:"why,omitempty"`
}

// RunRecovering says that another orchestrator took over the run of a dead
// one, under a higher term.
type RunRecovering struct {
	Owner string `json:"owner"`
}

// RunEnded is the last event of every run that was not killed for good.
type RunEnded struct {
	Ending
}

// HoldAcknowledged may follow the end of a run: a person vouches that a held
// job is unlocked.
type HoldAcknowledged struct {
	Slot   Slot   `json:"slot"`
	By     string `json:"by"`
	Reason string `json:"reason"`
}

// EventType is the type's name in the journal and the API.
func (RunOpened) EventType() string          { return "run-opened" }
func (ResourceAcquiring) EventType() string  { return "resource-acquiring" }
func (ResourceAcquired) EventType() string   { return "resource-acquired" }
func (ResourceReleased) EventType() string   { return "resource-released" }
func (Noted) EventType() string              { return "noted" }
func (RunPlanned) EventType() string         { return "run-planned" }
func (StepStarted) EventType() string        { return "step-started" }
func (StepFinished) EventType() string       { return "step-finished" }
func (LeaseFired) EventType() string         { return "lease-fired" }
func (LockWindowExceeded) EventType() string { return "lock-window-exceeded" }
func (CancelRequested) EventType() string    { return "cancel-requested" }
func (RunFailed) EventType() string          { return "run-failed" }
func (RunRecovering) EventType() string      { return "run-recovering" }
func (RunEnded) EventType() string           { return "run-ended" }
func (HoldAcknowledged) EventType() string   { return "hold-acknowledged" }
func (Progress) EventType() string           { return "progress" }

// Progress is how far a transfer is. It is never in a journal: it travels
// beside the events, with sequence number 0, and may be dropped.
type Progress struct {
	Step  StepID `json:"step"`
	Bytes int64  `json:"bytes"`
	Total int64  `json:"total,omitempty"` // 0: not known
}

var eventTypes = func() map[string]reflect.Type {
	types := map[string]reflect.Type{}
	for _, d := range []EventData{
		RunOpened{}, ResourceAcquiring{}, ResourceAcquired{}, ResourceReleased{}, Noted{}, RunPlanned{},
		StepStarted{}, StepFinished{}, LeaseFired{}, LockWindowExceeded{}, CancelRequested{}, RunFailed{},
		RunRecovering{}, RunEnded{}, HoldAcknowledged{}, Progress{},
	} {
		types[d.EventType()] = reflect.TypeOf(d)
	}
	return types
}()

// eventWire is the envelope as it is written: the type stands beside the data.
type eventWire struct {
	V    int             `json:"v"`
	Run  RunID           `json:"run"`
	Seq  uint64          `json:"seq"`
	Term uint64          `json:"term"`
	Time time.Time       `json:"time"`
	Type string          `json:"type"`
	Data json.RawMessage `json:"data"`
}

// MarshalJSON writes the envelope {v, run, seq, term, time, type, data}.
func (e Event) MarshalJSON() ([]byte, error) {
	data, err := json.Marshal(e.Data)
	if err != nil {
		return nil, fmt.Errorf("encode event %s: %w", e.Data.EventType(), err)
	}
	return json.Marshal(eventWire{e.V, e.Run, e.Seq, e.Term, e.Time, e.Data.EventType(), data})
}

// UnmarshalJSON reads the envelope. The error wraps ErrUnknownEvent where the
// version or the type is not known; the envelope's other fields are set then.
func (e *Event) UnmarshalJSON(b []byte) error {
	var w eventWire
	if err := json.Unmarshal(b, &w); err != nil {
		return fmt.Errorf("decode event: %w", err)
	}
	*e = Event{V: w.V, Run: w.Run, Seq: w.Seq, Term: w.Term, Time: w.Time}
	t, ok := eventTypes[w.Type]
	if !ok || w.V != EventVersion {
		return fmt.Errorf("event %d of run %s, type %q, version %d: %w", w.Seq, w.Run, w.Type, w.V, ErrUnknownEvent)
	}
	v := reflect.New(t)
	if err := json.Unmarshal(w.Data, v.Interface()); err != nil {
		return fmt.Errorf("decode event %d of run %s, type %q: %w", w.Seq, w.Run, w.Type, err)
	}
	e.Data = v.Elem().Interface().(EventData)
	return nil
}
