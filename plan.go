package lockstep

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Operation is what a run does to a deployment.
type Operation string

// The operations.
const (
	OperationBackup  Operation = "backup"
	OperationRestore Operation = "restore"
	OperationCheck   Operation = "check"
	OperationCleanup Operation = "cleanup"
	OperationPlan    Operation = "plan" // discovers and plans, runs no step
)

// Stage is a phase of a plan. No step of a stage starts anywhere before every
// step of the stage before it has ended everywhere.
type Stage string

// The stages. A backup goes through check, lock, work, unlock, collect,
// verify, commit, clean; a restore through check, read, place, lock, work,
// unlock, clean, and where StepInstances is planned that check comes back
// between place and lock.
const (
	StageCheck   Stage = "check"
	StageRead    Stage = "read"
	StagePlace   Stage = "place"
	StageLock    Stage = "lock"
	StageWork    Stage = "work"
	StageUnlock  Stage = "unlock"
	StageCollect Stage = "collect"
	StageVerify  Stage = "verify"
	StageCommit  Stage = "commit"
	StageClean   Stage = "clean"
)

// StepBegin is the step that begins a backup in the repository, in plans whose
// policy is to do so late.
const StepBegin StepID = "repository/begin"

// StepInstances is the check that comes last before the first lock, in plans
// whose policy is ConfirmInstances: the instances are still those that the plan
// was made for.
const StepInstances StepID = "source/instances"

// StepID names a step uniquely within its plan. It begins with the instance
// where there is one: "db/0/postgres/pre-backup-lock", "db/0/check",
// "repository/commit".
type StepID string

// Plan is everything that a run will do, in order, decided before any of it
// is done. The same deployment, operation and policy give the same plan, byte
// for byte. With the journal it is enough to unlock: it holds the paths,
// environment and order of every script, and no secret.
type Plan struct {
	Operation  Operation     `json:"operation"`
	Deployment string        `json:"deployment"`
	Key        DeploymentKey `json:"key"`
	Locations  Locations     `json:"locations"`
	Policy     Policy        `json:"policy"`
	// Instances are all instances of the deployment, but for those that the
	// restore of a part does not need, without their jobs, sorted by group, index
	// and id: a source that lists them in another order does not make another plan.
	Instances []Instance `json:"instances"`
	Waves     []Wave     `json:"waves"`
	// Order says why there is more than one lock wave: who is locked before
	// whom, sorted.
	Order []Precedence `json:"order,omitempty"`
	// Artifacts are what a backup must yield, or what a restore puts where.
	Artifacts []PlannedArtifact `json:"artifacts,omitempty"`
	// Backup is what a restore reads.
	Backup BackupID `json:"backup,omitempty"`
	// Partial says that a restore was narrowed to some jobs or instances.
	Partial  bool     `json:"partial,omitempty"`
	Warnings []string `json:"warnings,omitempty"`
}

// Precedence says that the job First is locked on all its instances before the
// job Then is locked on any of its own, and unlocked after it.
type Precedence struct {
	First string `json:"first"`
	Then  string `json:"then"`
}

// Wave is a set of steps of one stage that run at once.
type Wave struct {
	Stage Stage `json:"stage"`
	// Number counts the waves of the stage from 1.
	Number int    `json:"number"`
	Steps  []Step `json:"steps"`
}

// Step is one script, or one transfer or check of ours, on one instance or in
// the repository.
type Step struct {
	ID       StepID     `json:"id"`
	Stage    Stage      `json:"stage"`
	Wave     int        `json:"wave"`
	Instance InstanceID `json:"instance,omitempty"`
	Slot     Slot       `json:"slot,omitzero"`
	// Script is set for a script's step only.
	Script *Script `json:"script,omitempty"`
	// Env are the script's variables as NAME=value, sorted. The unlock step
	// of a backup is given EnvBackupSuccessful when it starts.
	Env []string `json:"env,omitempty"`
	// Artifact is the name of the artifact that the step makes, moves or
	// restores.
	Artifact string `json:"artifact,omitempty"`
	// Timeout bounds one try of the step.
	Timeout time.Duration `json:"timeout_ns"`
	// After, if not "", is a step of the same wave that must have ended well
	// before this one starts.
	After StepID `json:"after,omitempty"`
	// Of is the step that this one answers: in an unlock step the lock step
	// that it undoes ("" for a job without a lock script), in a verify step
	// the collect step that it proves, in a place step the read step that
	// has proven its artifact, if there is one.
	Of StepID `json:"of,omitempty"`
	// Proven: the artifact of a place step was proven before the run began. With
	// neither Of nor Proven the step itself proves what it places, on its way.
	Proven bool `json:"proven,omitempty"`
	// MayBeEmpty: see Metadata.
	MayBeEmpty bool `json:"may_be_empty,omitempty"`
}

// Where is what the step is done to, for people: its instance, else the
// repository or the source.
func (s Step) Where() string {
	if s.Instance != "" {
		return string(s.Instance)
	}
	where, _, _ := strings.Cut(string(s.ID), "/")
	return where
}

// Job is the step's job, or "".
func (s Step) Job() string { return s.Slot.Job }

// PlannedArtifact is an artifact that a plan expects: from, or for, one job of
// one instance.
type PlannedArtifact struct {
	Slot     Slot       `json:"slot"`
	Instance InstanceID `json:"instance"`
	// Name is the artifact's name in the repository, Dir its folder's name on
	// the instance.
	Name string `json:"name"`
	Dir  string `json:"dir"`
	// Custom: the artifact stands for a job on all its instances
	// (backup-one-restore-all).
	Custom bool `json:"custom,omitempty"`
	// Digest is, for a restore, that of the artifact which the backup had when
	// the plan was made, or of its checksums where another program made it:
	// whoever approves the plan approves those bytes.
	Digest string `json:"digest,omitempty"`
}

// Step finds a step by its id.
func (p *Plan) Step(id StepID) (Step, bool) {
	for _, w := range p.Waves {
		for _, s := range w.Steps {
			if s.ID == id {
				return s, true
			}
		}
	}
	return Step{}, false
}

// Steps returns the steps of a stage in the plan's order.
func (p *Plan) Steps(stage Stage) []Step {
	var steps []Step
	for _, w := range p.Waves {
		if w.Stage == stage {
			steps = append(steps, w.Steps...)
		}
	}
	return steps
}

// Artifact finds a planned artifact by the slot it comes from or goes to.
func (p *Plan) Artifact(slot Slot) (PlannedArtifact, bool) {
	for _, a := range p.Artifacts {
		if a.Slot == slot {
			return a, true
		}
	}
	return PlannedArtifact{}, false
}

// Digest is the SHA-256, as "sha256:<hex>", of what the plan would do: scripts
// with their digests, instances, order and policy. Instances are named by
// group and index; their ids and addresses are left out, because a machine that
// was built anew does not make another plan, and so is the id of the backup
// that a backup will have. The backup that a restore reads is in it, with the
// digests of its artifacts: whoever approves a restore approves those bytes.
func (p *Plan) Digest() string {
	b, err := json.Marshal(p.timeless())
	if err != nil {
		// A plan holds strings, numbers and slices of them; it always encodes.
		panic(fmt.Sprintf("encode plan: %v", err))
	}
	sum := sha256.Sum256(b)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// timeless is a copy of the plan that is the same tomorrow, on machines built
// anew: no address, instance id or backup to be made is left in it.
func (p *Plan) timeless() Plan {
	q := *p
	q.Warnings = nil
	if q.Operation == OperationBackup {
		q.Backup = ""
	}
	places := make(map[InstanceID]InstanceID, len(p.Instances))
	q.Instances = make([]Instance, len(p.Instances))
	for i, in := range p.Instances {
		places[in.Name()] = InstanceID(in.Group + "/" + in.Index)
		in.Address, in.ID = "", ""
		q.Instances[i] = in
	}
	q.Artifacts = slices.Clone(p.Artifacts)
	for i, a := range q.Artifacts {
		q.Artifacts[i].Instance = places[a.Instance]
	}
	q.Waves = renamed(p.Waves, places)
	return q
}

// renamed are the waves with every instance named anew, in the steps' ids too.
func renamed(waves []Wave, places map[InstanceID]InstanceID) []Wave {
	ids := map[StepID]StepID{}
	for _, w := range waves {
		for _, s := range w.Steps {
			rest, ok := strings.CutPrefix(string(s.ID), string(s.Instance)+"/")
			if ids[s.ID] = s.ID; ok && s.Instance != "" {
				ids[s.ID] = StepID(string(places[s.Instance]) + "/" + rest)
			}
		}
	}
	out := make([]Wave, len(waves))
	for i, w := range waves {
		w.Steps = slices.Clone(w.Steps)
		for j, s := range w.Steps {
			s.ID, s.Of, s.After, s.Instance = ids[s.ID], ids[s.Of], ids[s.After], places[s.Instance]
			w.Steps[j] = s
		}
		out[i] = w
	}
	return out
}
