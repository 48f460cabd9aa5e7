package bbr

import (
	"fmt"
	"time"

	"lockstep"
)

// leaseVariable is the environment variable that says how long an instance
// stays locked when no bbr renews that; minLease is the shortest that makes
// sense.
const (
	leaseVariable = "LOCKSTEP_LOCK_LEASE"
	minLease      = 10 * time.Second
)

// leaseFrom is the lease that the environment asks for, else the usual one.
// With an error, which says what is wrong with the variable, it is the usual
// one too.
func leaseFrom(getenv func(string) (string, bool)) (time.Duration, error) {
	usual := lockstep.BBRPolicy().Lease
	text, _ := getenv(leaseVariable)
	if text == "" {
		return usual, nil
	}
	lease, err := time.ParseDuration(text)
	if err != nil || lease < minLease {
		return usual, fmt.Errorf("$%s is %q, which is not a duration of at least %s: the lease is %s", leaseVariable, text, minLease, usual)
	}
	return lease, nil
}

// setLease makes a policy's lease that long. A short one is renewed more often.
func setLease(p *lockstep.Policy, lease time.Duration) {
	p.Lease = lease
	p.RenewEvery, p.LeaseWaveGap = min(p.RenewEvery, lease/4), min(p.LeaseWaveGap, lease/4)
}

// userGrace is how long an SSH user stays on an instance that nobody comes back
// to: longer than the lease.
func userGrace(getenv func(string) (string, bool)) time.Duration {
	lease, _ := leaseFrom(getenv) // whoever makes the policy tells of an error
	return lease + lease/2
}
