package ui

import (
	"time"

	"lockstep"
	"lockstep/access"
	"lockstep/internal/units"
)

// Verdict is how something stands, in a word and as a class for the
// stylesheet. The word alone is enough.
type Verdict struct {
	Word  string
	State string
}

// verdictOf says how a run stands or ended. What is worth knowing first comes
// first: something held, then bad data, then the state.
func verdictOf(r lockstep.RunSummary) Verdict {
	switch {
	case r.Abandoned:
		return Verdict{"its orchestrator died", "failed"}
	case r.State == lockstep.RunRunning:
		return Verdict{"running", "running"}
	case r.Locks == lockstep.LocksHeld:
		return Verdict{string(r.State) + ", locks held", "held"}
	case r.State == lockstep.RunSucceeded:
		return Verdict{"succeeded", "ok"}
	case r.State == lockstep.RunCanceled:
		return Verdict{"canceled", "canceled"}
	}
	return Verdict{string(r.State), "failed"}
}

// dataVerdict says what data is worth.
func dataVerdict(d lockstep.DataState) Verdict {
	switch d {
	case lockstep.DataVerified, lockstep.DataRestored:
		return Verdict{string(d), "ok"}
	case lockstep.DataIncomplete, lockstep.DataPartial, lockstep.DataNone, lockstep.DataDamaged:
		return Verdict{string(d), "failed"}
	case lockstep.DataUnproven, lockstep.DataUntouched, lockstep.DataSuspect:
		return Verdict{string(d), "waiting"}
	}
	return Verdict{"", ""}
}

// Protection says whether a deployment could be brought back today.
type Protection struct {
	Verdict
	// Backup is the newest verified backup, if there is one; Age says how old
	// its data is.
	Backup lockstep.BackupID
	At     time.Time
	Age    string
}

// ProtectionOf looks for the newest verified backup. It is late when its data
// is older than overdue.
func ProtectionOf(backups []lockstep.Backup, now time.Time, overdue time.Duration) Protection {
	for _, b := range backups {
		if b.Data != lockstep.DataVerified {
			continue
		}
		at := b.ConsistentAt
		if at.IsZero() {
			at = b.StartedAt
		}
		p := Protection{Verdict: Verdict{"fine", "ok"}, Backup: b.ID, At: at, Age: units.Age(now.Sub(at))}
		if overdue > 0 && now.Sub(at) > overdue {
			p.Verdict = Verdict{"late", "late"}
		}
		return p
	}
	return Protection{Verdict: Verdict{"never", "failed"}, Age: "no proven backup"}
}

// SlotVerdict says what became of a schedule's slot.
func (Page) SlotVerdict(s lockstep.SlotRecord) Verdict {
	switch s.State {
	case lockstep.SlotDone, lockstep.SlotBegun:
		return Verdict{string(s.State), stateOK}
	case lockstep.SlotFailed:
		return Verdict{string(s.State), stateFailed}
	case lockstep.SlotSkipped:
		return Verdict{string(s.State), "late"}
	case lockstep.SlotClaimed:
	}
	return Verdict{string(s.State), stateRunning}
}

// ApprovalVerdict says how an approval stands.
func (Page) ApprovalVerdict(s access.ApprovalState) Verdict {
	switch s {
	case access.ApprovalApproved, access.ApprovalUsed:
		return Verdict{string(s), stateOK}
	case access.ApprovalDenied:
		return Verdict{string(s), stateFailed}
	case access.ApprovalExpired:
		return Verdict{string(s), "late"}
	case access.ApprovalWaiting:
	}
	return Verdict{string(s), stateRunning}
}
