package lockstep

import "time"

// Policy holds every choice in which operations may differ: between the
// `lockstep` and the `bbr` face, and between deployments. It is a plain value,
// part of the plan and of its digest.
type Policy struct {
	// Name says which face's policy this is, "lockstep" or "bbr", to people:
	// nothing is decided by it.
	Name string `json:"name"`
	// ScriptTimeout bounds each try of each script whose job does not say.
	ScriptTimeout time.Duration `json:"script_timeout_ns"`
	// KillGrace lies between the polite and the final signal to a script.
	KillGrace time.Duration `json:"kill_grace_ns"`
	// MaxLock, if not 0, is the longest the lock and work stages of a backup
	// may take together; when it is over they are stopped and unlocked.
	MaxLock time.Duration `json:"max_lock_ns,omitempty"`
	// Lease is how long an instance stays locked when nobody renews; 0 means no
	// lease. RenewEvery is how often it is renewed, LeaseWaveGap how much
	// later each later unlock wave fires.
	Lease        time.Duration `json:"lease_ns,omitempty"`
	RenewEvery   time.Duration `json:"renew_every_ns,omitempty"`
	LeaseWaveGap time.Duration `json:"lease_wave_gap_ns,omitempty"`
	// UnlockTries are the times of the tries of one unlock script, counted
	// from the end of the first try; the first is 0.
	UnlockTries []time.Duration `json:"unlock_tries_ns"`
	// AbandonAfter is how long a script on an unreachable instance is sought
	// once the run failed or was canceled, before it is abandoned.
	AbandonAfter time.Duration `json:"abandon_after_ns"`
	// UnlockAll: after a failure every job that ships an unlock script is
	// unlocked, not just those whose lock was attempted.
	UnlockAll bool `json:"unlock_all,omitempty"`
	// AllowEmpty: an empty artifact is a warning, never incomplete data.
	AllowEmpty bool `json:"allow_empty,omitempty"`
	// NoHelper: no program of ours is lent to instances; their shell does all.
	NoHelper bool `json:"no_helper,omitempty"`
	// IgnoreHeld: jobs held by an earlier run do not stop a new one.
	IgnoreHeld bool `json:"ignore_held,omitempty"`
	// SettleInCleanup: only a cleanup settles what dead orchestrators left; a
	// backup or restore finds it and stops.
	SettleInCleanup bool `json:"settle_in_cleanup,omitempty"`
	// BeginLate: the repository is told of a backup when every check ended
	// well, in a step of its own, and not before the plan is made.
	BeginLate bool `json:"begin_late,omitempty"`
	// SpareLockOnly: on instances whose jobs neither back up nor restore, no
	// artifact folder is taken for ours.
	SpareLockOnly bool `json:"spare_lock_only,omitempty"`
	// LockFree: no lock and no unlock script is run.
	LockFree bool `json:"lock_free,omitempty"`
	// HoldFailedRestore: after a failed restore script jobs stay locked.
	HoldFailedRestore bool `json:"hold_failed_restore,omitempty"`
	// RenameCollisions: an artifact name that is taken gets ".2" and a
	// warning; otherwise it is refused.
	RenameCollisions bool `json:"rename_collisions,omitempty"`
	// ConfirmInstances: the source's list of instances is read again just
	// before the first lock, and one that has changed stops the run.
	ConfirmInstances bool `json:"confirm_instances,omitempty"`
	// AnyBackup: a restore judges neither whose the backup is nor whether it
	// is whole; places alone must match.
	AnyBackup bool `json:"any_backup,omitempty"`
	// GuessNoSpace: where no earlier backup tells how much will be needed,
	// nothing is asked for.
	GuessNoSpace bool `json:"guess_no_space,omitempty"`
	// PlainExitCodes: the exit code has the bits 1, 4, 8 and 16 alone, and 1
	// for a restore's lock and for a cleanup that could not clean.
	PlainExitCodes bool `json:"plain_exit_codes,omitempty"`
	// TryNotExecutable: a script that nobody may execute is tried all the same,
	// with a warning.
	TryNotExecutable bool `json:"try_not_executable,omitempty"`
	// ContractWords: people are told what the contract of BOSH Backup and
	// Restore says, in its words, and given no advice beyond it.
	ContractWords bool `json:"contract_words,omitempty"`
}

// LockstepPolicy is the default of the lockstep command.
func LockstepPolicy() Policy {
	return Policy{
		Name:          "lockstep",
		ScriptTimeout: time.Hour,
		KillGrace:     30 * time.Second,
		Lease:         10 * time.Minute,
		RenewEvery:    30 * time.Second,
		LeaseWaveGap:  30 * time.Second,
		UnlockTries:   []time.Duration{0, 10 * time.Second, 60 * time.Second, 300 * time.Second},
		AbandonAfter:  60 * time.Second,

		ConfirmInstances: true,
	}
}

// BBRPolicy is the outward behaviour of BOSH Backup and Restore.
func BBRPolicy() Policy {
	p := LockstepPolicy()
	p.Name = "bbr"
	p.ScriptTimeout = 24 * time.Hour
	p.UnlockTries = []time.Duration{0, 2 * time.Second}
	p.UnlockAll = true
	p.AllowEmpty = true
	p.IgnoreHeld = true
	p.RenameCollisions = true
	p.SettleInCleanup = true
	p.BeginLate = true
	p.SpareLockOnly = true
	p.ConfirmInstances = false // the calls to the director are the contract's, no more
	p.AnyBackup = true
	p.GuessNoSpace = true
	p.PlainExitCodes = true
	p.TryNotExecutable = true
	p.ContractWords = true
	return p
}
