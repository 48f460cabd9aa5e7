package lockstep

import (
	"context"
	"io"
	"iter"
	"time"
)

// Service is everything that a client can ask of an orchestrator. It is the
// same whether the orchestrator is in this process or behind a server: values
// in, values out. All methods may be called concurrently; errors are *Error
// where an operator can act on them.
type Service interface {
	// Deployments lists the configured deployments, by name.
	Deployments(ctx context.Context) ([]DeploymentInfo, error)
	// Plan discovers the deployment and says what the request would do. It
	// runs nothing but metadata scripts, and is a run itself.
	Plan(ctx context.Context, req Request) (PlanReport, error)
	// Start begins a run and returns as soon as it is in the journal. The run
	// goes on when ctx ends; only Cancel ends it early.
	Start(ctx context.Context, req Request) (RunID, error)
	// Run is one run, folded from its events. An unknown id is KindNotFound.
	Run(ctx context.Context, id RunID) (*Run, error)
	// Runs lists runs, newest first.
	Runs(ctx context.Context, filter RunFilter) ([]RunSummary, error)
	// Events yields the run's events with a number above after, then waits for
	// more, and ends after the one that ends the run. Progress travels in
	// between with number 0 and may be dropped. It ends with ctx's error when
	// ctx does; a run is never canceled by that.
	Events(ctx context.Context, id RunID, after uint64) iter.Seq2[Event, error]
	// Cancel ends a run early, by way of unlock. Canceling twice, or a run
	// that has ended, is not an error.
	Cancel(ctx context.Context, id RunID, by string) error
	// Settle brings runs of dead orchestrators to their end and returns them.
	Settle(ctx context.Context, req SettleRequest) ([]RunSummary, error)
	// Held lists what may still be locked; deployment "" means all.
	Held(ctx context.Context, deployment string) ([]Hold, error)
	// Acknowledge records a person's word that a held job is unlocked.
	Acknowledge(ctx context.Context, ack Acknowledgement) error
	// Audit judges a run by its journal and by what its instances say; it says
	// which of them could be asked.
	Audit(ctx context.Context, id RunID) (RunAudit, error)
	// Output is what a step's script printed, as far as it is kept.
	Output(ctx context.Context, id RunID, step StepID) ([]StepOutput, error)
	// PruneRuns deletes the journal of ended runs older than that, except the
	// last ones of each deployment and those that hold; it returns how many.
	PruneRuns(ctx context.Context, olderThan time.Duration) (int, error)
	// Backups lists the backups of a deployment ("" means all), newest first.
	Backups(ctx context.Context, deployment string) ([]Backup, error)
	// Backup is one backup by its id; "latest" needs a deployment and means
	// the newest verified one.
	Backup(ctx context.Context, deployment string, id BackupID) (Backup, error)
	// Verify reads a backup again from the repository and compares.
	Verify(ctx context.Context, id BackupID) (VerifyReport, error)
	// Forget deletes a backup.
	Forget(ctx context.Context, id BackupID) error
	// OpenArtifact streams an artifact as a tar.
	OpenArtifact(ctx context.Context, id BackupID, name string) (io.ReadCloser, error)
	// Entries yields the entry list of an artifact as it was recorded, in canonical
	// order, without reading the artifact. An error is the last that it yields; a
	// backup of another program, which records none, is KindRefused.
	Entries(ctx context.Context, id BackupID, name string) iter.Seq2[Entry, error]
}

// DeploymentInfo is a configured deployment.
type DeploymentInfo struct {
	Name   string        `json:"name"`
	Key    DeploymentKey `json:"key"`
	Source string        `json:"source"` // "ssh", "local", "bosh"
	// Unclear, if not "", says why nobody knows whether it is one that the journal
	// knows: nothing can be begun with it, and nothing of it is known.
	Unclear string `json:"unclear,omitempty"`
}

// PlanReport is a plan with what changed since the last run.
type PlanReport struct {
	Run    RunID  `json:"run"`
	Plan   Plan   `json:"plan"`
	Digest string `json:"digest"`
	// Since is the run that Changes are counted from, or "".
	Since   RunID    `json:"since,omitempty"`
	Changes []string `json:"changes"`
	// Windows are the deployment's last lock windows in seconds, newest first.
	Windows []float64 `json:"lock_windows_seconds,omitempty"`
}

// RunFilter narrows a list of runs. Zero fields do not narrow.
type RunFilter struct {
	Deployment string
	Key        DeploymentKey
	Operation  Operation
	// State may be RunAbandoned too; RunRunning lets abandoned runs through.
	State  RunState
	Before RunID // runs older than this one
	Limit  int
}

// RunSummary is a run in a list.
type RunSummary struct {
	ID         RunID         `json:"id"`
	Key        DeploymentKey `json:"key"`
	Deployment string        `json:"deployment"`
	Operation  Operation     `json:"operation"`
	State      RunState      `json:"state"`
	Data       DataState     `json:"data,omitempty"`
	Locks      LockState     `json:"locks,omitempty"`
	Backup     BackupID      `json:"backup,omitempty"`
	StartedAt  time.Time     `json:"started_at"`
	EndedAt    time.Time     `json:"ended_at,omitzero"`
	LockWindow float64       `json:"lock_window_seconds,omitempty"`
	Error      string        `json:"error,omitempty"`
	ExitCode   int           `json:"exit_code"`
	// Abandoned: the run is open and no living orchestrator drives it.
	Abandoned bool `json:"abandoned,omitempty"`
	// SettledBy is the later run of the deployment that let go of what this one
	// left locked, or "acknowledged" where a person vouched for it. Locks says
	// "released" then.
	SettledBy RunID `json:"settled_by,omitempty"`
}

// SettleRequest names whose dead runs are brought to their end.
type SettleRequest struct {
	Deployment string // "" means all
}

// Hold is a job that may still be locked: its last attempted lock has no later
// successful unlock, over all runs of its deployment key.
type Hold struct {
	Key        DeploymentKey `json:"key"`
	Deployment string        `json:"deployment"`
	Slot       Slot          `json:"slot"`
	Run        RunID         `json:"run"`
	Since      time.Time     `json:"since"`
	// Restore: the lock was one of a restore.
	Restore bool `json:"restore,omitempty"`
}

// Acknowledgement is a person's word that a held job is unlocked.
type Acknowledgement struct {
	Run    RunID
	Job    string // JOB, or GROUP/INDEX/JOB where several are held
	By     string
	Reason string
	// Restore: the word is that the deployment is well although the restore Run
	// did not end well; Job is "".
	Restore bool
}

// StepOutput is what one try of a step printed: the first 256 KiB and the last
// 1 MiB of each stream, and how much was dropped in between.
type StepOutput struct {
	Attempt int    `json:"attempt"`
	Stream  string `json:"stream"` // "stdout" or "stderr"
	Head    []byte `json:"head"`
	Tail    []byte `json:"tail,omitempty"`
	Dropped int64  `json:"dropped,omitempty"`
}

// VerifyReport is what reading a backup again found.
type VerifyReport struct {
	Backup BackupID `json:"backup"`
	OK     bool     `json:"ok"`
	// Damaged: something in it is not what was recorded. Neither OK nor Damaged: it could
	// not be read to the end, and nothing is known of it.
	Damaged bool      `json:"damaged" doc:"something in it is not what was recorded; with ok false too it could not be verified, and may be whole"`
	Data    DataState `json:"data"`
	// Problems name what is wrong, one sentence each.
	Problems  []string  `json:"problems"`
	Bytes     int64     `json:"bytes"`
	Artifacts int       `json:"artifacts"`
	At        time.Time `json:"at"`
	// Proof is how the manifest itself was judged.
	Proof *Proof `json:"proof,omitempty"`
	// Notes are about the verify, not the backup.
	Notes []string `json:"notes,omitempty"`
}
