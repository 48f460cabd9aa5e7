package scheduler

import (
	"errors"
	"fmt"
	"time"

	"lockstep"
	"lockstep/retention"
	"lockstep/schedule"
)

// Complete fills in the defaults of a schedule and checks it; the error is of
// KindInvalid. Whether its deployment exists is not looked at.
func Complete(d lockstep.Schedule) (lockstep.Schedule, error) {
	if d.Operation == "" {
		d.Operation = lockstep.ScheduledBackup
	}
	if d.Zone == "" {
		d.Zone = "UTC"
	}
	if d.Overlap == "" {
		d.Overlap = lockstep.OverlapSkip
	}
	if d.Missed == "" {
		d.Missed = lockstep.MissedCatchUp
	}
	if err := check(d); err != nil {
		return d, wrong(d.Name, err)
	}
	return d, nil
}

func wrong(name string, err error) error {
	return &lockstep.Error{Kind: lockstep.KindInvalid, Op: fmt.Sprintf("set schedule %q", name), Err: err}
}

// longestJitter bounds how much later than its slot something begins.
const longestJitter = 24 * time.Hour

func check(d lockstep.Schedule) error {
	if err := errors.Join(lockstep.CheckName("schedule", d.Name), lockstep.CheckName("deployment", d.Deployment)); err != nil {
		return err
	}
	if _, err := schedule.Parse(d.Cron, d.Zone); err != nil {
		return err
	}
	switch d.Overlap {
	case lockstep.OverlapSkip, lockstep.OverlapWait:
	default:
		return fmt.Errorf("overlap %q is not skip or wait", d.Overlap)
	}
	switch d.Missed {
	case lockstep.MissedCatchUp, lockstep.MissedSkip:
	default:
		return fmt.Errorf("missed %q is not catch-up or skip", d.Missed)
	}
	if d.Jitter < 0 || d.Jitter > longestJitter {
		return fmt.Errorf("jitter %s is not from 0 to %s", d.Jitter, longestJitter)
	}
	return checkKeep(d)
}

func checkKeep(d lockstep.Schedule) error {
	switch d.Operation {
	case lockstep.ScheduledBackup, lockstep.ScheduledCheck, lockstep.ScheduledVerify:
		if d.Keep != nil {
			return fmt.Errorf("rules that say what to keep are for forget; it is a schedule of %s", d.Operation)
		}
		return nil
	case lockstep.ScheduledForget:
	default:
		return fmt.Errorf("operation %q is not backup, check, verify or forget", d.Operation)
	}
	if d.Keep == nil || *d.Keep == (lockstep.KeepRules{}) {
		return errors.New("a schedule of forget must say what to keep")
	}
	_, err := retention.Keep(nil, retention.Policy(*d.Keep), time.Time{})
	return err
}
