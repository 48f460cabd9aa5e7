package lockstep

import (
	"fmt"
	"time"
)

// Artifact is what one job's backup script left, as a repository keeps it.
type Artifact struct {
	Slot
	// Instance is where it came from; recorded, never compared.
	Instance InstanceID `json:"instance"`
	// Name is unique in the backup; the `dir` repository keeps NAME.tar.
	Name string `json:"name"`
	// Bytes is the length of the tar stream, Entries the number of its
	// entries, the root folder not counted.
	Bytes   int64 `json:"bytes"`
	Entries int   `json:"entries"`
	// Digest is the digest of the entry list (EntryList.Digest), the same in
	// every repository.
	Digest string `json:"digest"`
	// Custom: see PlannedArtifact.
	Custom bool `json:"custom,omitempty"`
	// Checksums is, for an artifact without a digest, that of the checksums
	// which another program recorded of its files.
	Checksums string `json:"checksums_digest,omitempty"`
}

// Empty reports whether the artifact holds nothing at all.
func (a Artifact) Empty() bool { return a.Entries == 0 }

// BackupID names a backup: <deployment>_<UTC time as 20060102T150405Z>, with
// "_2", "_3" … behind it where that second already has one.
type BackupID string

// NewBackupID is the id of a backup that starts at that time.
func NewBackupID(deployment string, start time.Time) BackupID {
	return BackupID(deployment + "_" + start.UTC().Format("20060102T150405Z"))
}

// DataState says what a backup's data, or a restored system, is worth.
type DataState string

// The states of data. The first three are of backups, DataUnproven of a
// foreign one that no manifest of ours vouches for. DataSuspect is one that was
// proven, but lacks what earlier ones had; DataDamaged one that is not what it
// was when it was proven. The last three are of restores.
const (
	DataVerified   DataState = "verified"
	DataIncomplete DataState = "incomplete"
	DataNone       DataState = "none"
	DataUnproven   DataState = "unproven"
	DataSuspect    DataState = "suspect"
	DataDamaged    DataState = "damaged"
	DataUntouched  DataState = "untouched"
	DataRestored   DataState = "restored"
	DataPartial    DataState = "partial"
)

// Backup is the manifest of a backup: what was kept, from where, and what it
// is worth. A repository holds a backup exactly when it holds its manifest.
type Backup struct {
	// V is the version of the manifest's format, 1.
	V          int           `json:"v"`
	ID         BackupID      `json:"id"`
	Deployment string        `json:"deployment"`
	Key        DeploymentKey `json:"key"`
	Run        RunID         `json:"run"`
	StartedAt  time.Time     `json:"started_at"`
	// FinishedAt is when the data was complete and the manifest written.
	FinishedAt time.Time `json:"finished_at"`
	// ConsistentAt is the moment all artifacts are consistent at: when the
	// last lock script had ended.
	ConsistentAt time.Time  `json:"consistent_at,omitzero"`
	LockWindow   float64    `json:"lock_window_seconds"`
	Data         DataState  `json:"data"`
	Artifacts    []Artifact `json:"artifacts"`
	// Missing are the slots that the plan expected and that are not here.
	Missing []Slot `json:"missing,omitempty"`
	// Reasons say why the data is not verified.
	Reasons []string `json:"reasons,omitempty"`
	// Instances are those of the deployment at that time, with their jobs.
	Instances  []Instance `json:"instances,omitempty"`
	PlanDigest string     `json:"plan_digest"`
	// Suspect says in what it looks worse than earlier backups; its Data is
	// DataSuspect then.
	Suspect []string `json:"suspect,omitempty"`
	// AcceptedChanges is what Suspect would have been, had nobody said that it
	// is meant: later backups are compared with this one and its successors.
	AcceptedChanges []string `json:"accepted_changes,omitempty"`
	// Tags are those that were asked for. No signature vouches for them.
	Tags []string `json:"tags,omitempty"`
	// Version is that of the program that wrote the backup.
	Version string `json:"version"`
	// Signature is that of Statement by whoever wrote the backup, as the
	// signature lines of a signed note; "" if nobody signed it.
	Signature string `json:"signature,omitempty"`

	// What follows is not in the manifest: it became known later.

	// Recorded is what Data is in the manifest, where that is not so any more.
	Recorded DataState `json:"recorded_data,omitempty"`
	// Verified is how it was read again last, if it ever was.
	Verified *Verification `json:"last_verify,omitempty"`
	// Proof is how the manifest itself was judged.
	Proof *Proof `json:"proof,omitempty"`
	// Skipped are newer backups, where this one was asked for as the latest.
	Skipped []Skipped `json:"skipped,omitempty"`
}

// Artifact finds an artifact by its slot.
func (b *Backup) Artifact(slot Slot) (Artifact, bool) {
	for _, a := range b.Artifacts {
		if a.Slot == slot && !a.Custom {
			return a, true
		}
	}
	return Artifact{}, false
}

// Named finds an artifact by its name.
func (b *Backup) Named(name string) (Artifact, bool) {
	for _, a := range b.Artifacts {
		if a.Name == name {
			return a, true
		}
	}
	return Artifact{}, false
}

// NoArtifact says that a backup has no artifact of that name.
func NoArtifact(id BackupID, name string) error {
	return &Error{
		Kind: KindNotFound, Op: fmt.Sprintf("read backup %q", id), Err: fmt.Errorf("it has no artifact %q", name),
		Hint: fmt.Sprintf("`lockstep backups ls %s` lists them", id),
	}
}

// Bytes is the sum of the artifacts' lengths.
func (b *Backup) Bytes() int64 {
	var n int64
	for _, a := range b.Artifacts {
		n += a.Bytes
	}
	return n
}
