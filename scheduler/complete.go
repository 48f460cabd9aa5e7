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
	return errors.Join(checkOperation(d), checkForeign(d))
}

// checkOperation checks what is of the schedule's operation.
func checkOperation(d lockstep.Schedule) error {
	switch d.Operation {
	case lockstep.ScheduledBackup, lockstep.ScheduledCheck, lockstep.ScheduledPrune:
		return nil
	case lockstep.ScheduledVerify:
		if d.Sample < 0 || d.Sample > 100 {
			return fmt.Errorf("a sample of %d %% is not from 1 to 100 %%", d.Sample)
		}
		return nil
	case lockstep.ScheduledForget:
		return checkKeep(d)
	case lockstep.ScheduledCopy:
		if d.To == "" {
			return errors.New("a schedule of copy must say into which repository: the name of one of copies in the configuration")
		}
		return nil
	}
	return fmt.Errorf("operation %q is not backup, check, verify, forget, copy or prune", d.Operation)
}

// checkForeign refuses what means something to other operations alone.
func checkForeign(d lockstep.Schedule) error {
	var errs []error
	for _, p := range []struct {
		given bool
		what  string
		of    lockstep.ScheduledOperation
	}{
		{d.Keep != nil, "rules that say what to keep are", lockstep.ScheduledForget},
		{d.Sample != 0, "a sample is", lockstep.ScheduledVerify},
		{d.To != "", "a repository to copy into is", lockstep.ScheduledCopy},
	} {
		if p.given && d.Operation != p.of {
			errs = append(errs, fmt.Errorf("%s for %s; it is a schedule of %s", p.what, p.of, d.Operation))
		}
	}
	return errors.Join(errs...)
}

func checkKeep(d lockstep.Schedule) error {
	if d.Keep == nil || d.Keep.Zero() {
		return errors.New("a schedule of forget must say what to keep")
	}
	for _, t := range d.Keep.Tags {
		if err := lockstep.CheckTag(t); err != nil {
			return err
		}
	}
	_, err := retention.Keep(nil, retention.Policy(*d.Keep), time.Time{})
	return err
}
