package source

import (
	"time"

	"lockstep"
)

// Limits change the policy of a face for this deployment. Zero fields change
// nothing.
type Limits struct {
	ScriptTimeout time.Duration `json:"script_timeout_ns,omitempty"`
	MaxLock       time.Duration `json:"max_lock_ns,omitempty"`
	// LockLease is ignored where NoLease is set.
	LockLease         time.Duration `json:"lock_lease_ns,omitempty"`
	NoLease           bool          `json:"no_lease,omitempty"`
	HoldFailedRestore bool          `json:"hold_failed_restore,omitempty"`
	NoHelper          bool          `json:"no_helper,omitempty"`
}

// Apply is the policy with the limits in place of its own.
func (l Limits) Apply(p lockstep.Policy) lockstep.Policy {
	if l.ScriptTimeout > 0 {
		p.ScriptTimeout = l.ScriptTimeout
	}
	if l.MaxLock > 0 {
		p.MaxLock = l.MaxLock
	}
	switch {
	case l.NoLease:
		p.Lease = 0
	case l.LockLease > 0:
		// A renewal must have time to be missed and made up for.
		p.Lease, p.RenewEvery = l.LockLease, min(p.RenewEvery, l.LockLease/4)
	}
	p.HoldFailedRestore = p.HoldFailedRestore || l.HoldFailedRestore
	p.NoHelper = p.NoHelper || l.NoHelper
	return p
}
