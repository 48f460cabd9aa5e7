package lockstep

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// DeploymentKey identifies a deployment for exclusion, held jobs and recovery:
// source kind, endpoint and name, because many people have a "cf" on five
// directors. It is opaque; only sources make one.
type DeploymentKey string

// InstanceID names an instance as GROUP/ID.
type InstanceID string

// Deployment is what discovery found: the instances that are locked, saved
// and restored as one, and everything a planner must know of them. It is a
// plain value; two discoveries of an unchanged system give equal values.
type Deployment struct {
	Name      string        `json:"name"`
	Key       DeploymentKey `json:"key"`
	Locations Locations     `json:"locations"`
	// Instances are in the order of the specification.
	Instances []Instance `json:"instances"`
	// Warnings tell of what was found and tolerated, one sentence each.
	Warnings []string `json:"warnings,omitempty"`
}

// Locations are the folders that matter on an instance. A relative one is
// relative to the login directory of the user that the target logs in as.
type Locations struct {
	// Scripts is the script location; {job} in it stands for a job's name.
	Scripts string `json:"scripts"`
	// Artifacts is the folder below which each backup script is given a
	// folder of its own, named after its artifact.
	Artifacts string `json:"artifacts"`
	// Launcher is the launcher's folder (volatile), Claim the folder of the
	// claim (survives a reboot).
	Launcher string `json:"launcher"`
	Claim    string `json:"claim"`
}

// DefaultLocations are those of BOSH, with the launcher's own beside them.
func DefaultLocations() Locations {
	return Locations{
		Scripts:   "/var/vcap/jobs/{job}/bin/bbr",
		Artifacts: "/var/vcap/store/bbr-backup",
		Launcher:  "/run/lockstep",
		Claim:     "/var/lib/lockstep",
	}
}

// ContainerLocations are DefaultLocations for containers, which are exchanged
// where a machine would be rebooted: both of the launcher's folders are in one
// at which a volume can be mounted.
func ContainerLocations() Locations {
	l := DefaultLocations()
	l.Launcher, l.Claim = "/var/lib/lockstep/run", "/var/lib/lockstep/claim"
	return l
}

// Or is l with the locations of defaults where it has none.
func (l Locations) Or(defaults Locations) Locations {
	return Locations{
		Scripts:   cmp.Or(l.Scripts, defaults.Scripts),
		Artifacts: cmp.Or(l.Artifacts, defaults.Artifacts),
		Launcher:  cmp.Or(l.Launcher, defaults.Launcher),
		Claim:     cmp.Or(l.Claim, defaults.Claim),
	}
}

// ScriptDir is the folder in which job's scripts lie.
func (l Locations) ScriptDir(job string) string {
	return strings.ReplaceAll(l.Scripts, "{job}", job)
}

// Pushed is where a script lies that a run brings along: beside the claim, so that
// it is there as long as it may be owed, under its digest.
func (l Locations) Pushed(digest string) string {
	return strings.TrimRight(l.Claim, "/") + "/scripts/" + digest
}

// ArtifactDir is the folder for the artifact of that name on an instance. It
// ends in a slash: job authors' scripts depend on it.
func (l Locations) ArtifactDir(artifact string) string {
	return strings.TrimRight(l.Artifacts, "/") + "/" + artifact + "/"
}

// Instance is one machine, container or pod, with the jobs found on it.
type Instance struct {
	Group string `json:"group"`
	ID    string `json:"id"`
	// Index is the instance's position in its group. With the group and a job
	// it makes the slot that artifacts are matched by; ids and addresses are
	// recorded and never compared, because a rebuilt system has new ones.
	Index   string `json:"index"`
	Address string `json:"address,omitempty"`
	// Jobs are sorted by name and hold enabled jobs only.
	Jobs []Job `json:"jobs"`
}

// Name is the instance's id as people write it.
func (i Instance) Name() InstanceID { return InstanceID(i.Group + "/" + i.ID) }

// MovesArtifacts reports whether some job of the instance backs up or restores.
func (i Instance) MovesArtifacts() bool {
	return slices.ContainsFunc(i.Jobs, func(j Job) bool {
		_, backup := j.Script(ScriptBackup)
		_, restore := j.Script(ScriptRestore)
		return backup || restore
	})
}

// Job is a program on an instance that ships scripts.
type Job struct {
	Name string `json:"name"`
	// Release is the BOSH release that the job comes from, or "".
	Release string `json:"release,omitempty"`
	// Scripts are in the order of ScriptKinds, at most one of each kind.
	Scripts  []Script `json:"scripts"`
	Metadata Metadata `json:"metadata"`
	// CustomArtifact, if not "", replaces the artifact's default name on
	// backup; RestoresFrom, if not "", names the artifact that this job is
	// restored from. Both serve backup-one-restore-all.
	CustomArtifact string `json:"custom_artifact,omitempty"`
	RestoresFrom   string `json:"restores_from,omitempty"`
}

// Script returns the job's script of that kind.
func (j Job) Script(kind ScriptKind) (Script, bool) {
	for _, s := range j.Scripts {
		if s.Kind == kind {
			return s, true
		}
	}
	return Script{}, false
}

// Metadata is what a job says of itself: through its metadata script, and
// through the specification, which adds to it or replaces it.
type Metadata struct {
	// BackupBefore and RestoreBefore are the jobs that are locked after this
	// one.
	BackupBefore  []JobRef `json:"backup_before,omitempty"`
	RestoreBefore []JobRef `json:"restore_before,omitempty"`
	// MayBeEmpty: an empty artifact of this job is a good one.
	MayBeEmpty bool `json:"may_be_empty,omitempty"`
	// RestoreParallel: restore scripts of this job may run on all its
	// instances at once.
	RestoreParallel bool `json:"restore_parallel,omitempty"`
	// ScriptTimeout bounds each script of the job; 0 means the policy's.
	ScriptTimeout time.Duration `json:"script_timeout_ns,omitempty"`
	// Discontinued says that the metadata script used the keys backup_name or
	// restore_name, which no longer have an effect.
	DiscontinuedBackupName  bool `json:"discontinued_backup_name,omitempty"`
	DiscontinuedRestoreName bool `json:"discontinued_restore_name,omitempty"`
}

// JobRef names a job in a lock order. An empty Release matches any release.
type JobRef struct {
	Job     string `json:"job"`
	Release string `json:"release,omitempty"`
}

// Matches reports whether the reference means that job.
func (r JobRef) Matches(j Job) bool {
	return r.Job == j.Name && (r.Release == "" || r.Release == j.Release)
}

// Slot is the identity of an artifact and of a lock: where in the deployment
// it belongs, whatever machine is there today.
type Slot struct {
	Group string `json:"group"`
	Index string `json:"index"`
	Job   string `json:"job"`
}

// String is GROUP/INDEX/JOB.
func (s Slot) String() string { return s.Group + "/" + s.Index + "/" + s.Job }

// SlotOf is the slot of a job on an instance.
func SlotOf(i Instance, job string) Slot {
	return Slot{Group: i.Group, Index: i.Index, Job: job}
}
