// Package retention decides which backups stay. It is pure: a list of
// manifests, a policy and a time in, one decision per backup out.
//
// Words: a rule is one field of a policy; a period is an hour, day, week (ISO,
// from Monday), month or year of the calendar in the time zone of "now". A
// backup's time is when its run started. Backups are judged by deployment (key
// and name): those of one never make room for those of another.
//
// Rules count verified backups. Incomplete ones newer than the newest verified
// one (all of them while there is none) may hold what no other holds, so the
// same rules count them too, as a series of their own; they never take a
// verified one's place. Older incomplete ones go, unless Within keeps them.
//
// Suspect backups are a series of their own in the same way, of any age. Damaged
// ones are counted by no rule and keep nobody else from being kept.
//
// Whatever the policy says, these stay: the newest verified backup of a
// deployment, the newest incomplete, suspect or damaged one if it is newer still,
// and foreign backups (unproven), which this program did not make.
package retention

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"lockstep"
)

// Policy says what to keep. Each number keeps that many backups: Last the
// newest ones, the others the newest of each of the last periods that have one.
// A zero number keeps nothing by that rule. The zero Policy has no rules and
// keeps everything. Within keeps every backup that is at most that old, Tags every
// one that is marked with one of them.
type Policy lockstep.KeepRules

// Decision is what becomes of one backup.
type Decision struct {
	Backup lockstep.Backup
	Keep   bool
	// Reasons say why, one phrase each; there is always at least one.
	Reasons []string
}

// Keep decides on each of these backups and returns the decisions in their
// order. It must be given all backups of a deployment, from a listing that
// succeeded; of those it was not given it cannot know that they are the newest.
//
// It refuses (KindRefused) to decide when a backup is newer than now: then a
// clock is wrong, and nothing that follows from ages can be trusted. A negative
// number in the policy is KindInvalid.
func Keep(backups []lockstep.Backup, p Policy, now time.Time) ([]Decision, error) {
	if err := p.check(); err != nil {
		return nil, err
	}
	if err := checkClock(backups, now); err != nil {
		return nil, err
	}
	out := make([]Decision, len(backups))
	groups := map[[2]string][]*Decision{}
	for i, b := range backups {
		out[i].Backup = b
		key := [2]string{string(b.Key), b.Deployment}
		groups[key] = append(groups[key], &out[i])
	}
	for _, g := range groups {
		decide(g, p, now)
	}
	return out, nil
}

func (p Policy) check() error {
	for _, n := range []int{p.Last, p.Hourly, p.Daily, p.Weekly, p.Monthly, p.Yearly} {
		if n < 0 || p.Within < 0 {
			return &lockstep.Error{Kind: lockstep.KindInvalid, Op: "apply retention policy", Err: fmt.Errorf("%+v: a negative number", p)}
		}
	}
	return nil
}

func checkClock(backups []lockstep.Backup, now time.Time) error {
	for _, b := range backups {
		for _, at := range []time.Time{b.StartedAt, b.FinishedAt} {
			if at.After(now) {
				return &lockstep.Error{
					Kind: lockstep.KindRefused, Op: "apply retention policy",
					Err:  fmt.Errorf("backup %s is from %s, later than now (%s)", b.ID, at.Format(time.RFC3339), now.Format(time.RFC3339)),
					Hint: "compare the clock of this machine with the one that made the backup",
				}
			}
		}
	}
	return nil
}

// decide judges the backups of one deployment.
func decide(all []*Decision, p Policy, now time.Time) {
	slices.SortStableFunc(all, func(a, b *Decision) int {
		return cmp.Or(b.Backup.StartedAt.Compare(a.Backup.StartedAt), cmp.Compare(b.Backup.ID, a.Backup.ID))
	})
	var verified, incomplete, suspect, damaged []*Decision
	for _, d := range all {
		switch {
		case !d.Backup.Ours():
			d.keep("foreign: not made by this program")
		case d.Backup.Data == lockstep.DataVerified:
			verified = append(verified, d)
		case d.Backup.Data == lockstep.DataSuspect:
			suspect = append(suspect, d)
		case d.Backup.Data == lockstep.DataDamaged:
			damaged = append(damaged, d)
		default:
			incomplete = append(incomplete, d)
		}
	}
	newer := func(d *Decision) bool {
		return len(verified) == 0 || d == verified[0] || d.Backup.StartedAt.After(verified[0].Backup.StartedAt)
	}
	incomplete = slices.DeleteFunc(incomplete, func(d *Decision) bool { return !newer(d) })
	for _, series := range [][]*Decision{verified, incomplete, suspect, damaged} {
		if len(series) > 0 && newer(series[0]) {
			series[0].keep("newest " + string(series[0].Backup.Data))
		}
	}
	for _, series := range [][]*Decision{verified, incomplete, suspect} {
		p.apply(series, now)
	}
	for _, d := range all {
		p.general(d, now)
		if !d.Keep {
			d.Reasons = append(d.Reasons, "no rule keeps it")
		}
	}
}

// general applies the rules that do not count.
func (p Policy) general(d *Decision, now time.Time) {
	if lockstep.KeepRules(p).Zero() {
		d.keep("the policy has no rules")
	}
	if age := now.Sub(d.Backup.StartedAt); p.Within > 0 && age <= p.Within {
		d.keep(fmt.Sprintf("within %s", p.Within))
	}
	for _, t := range d.Backup.Tags {
		if slices.Contains(p.Tags, t) {
			d.keep("tag " + t)
		}
	}
}

func (d *Decision) keep(reason string) {
	d.Keep = true
	d.Reasons = append(d.Reasons, reason)
}

// apply keeps what the counting rules ask for of a series, newest first.
func (p Policy) apply(series []*Decision, now time.Time) {
	for i, d := range series[:min(p.Last, len(series))] {
		d.keep(fmt.Sprintf("last, %d of %d", i+1, p.Last))
	}
	for _, rule := range []struct {
		name   string
		number int
		period func(time.Time) string
	}{
		// The offset tells the two hours apart that have one name when clocks
		// are set back.
		{"hourly", p.Hourly, func(t time.Time) string { return t.Format("2006-01-02 15h -0700") }},
		{"daily", p.Daily, func(t time.Time) string { return t.Format("2006-01-02") }},
		{"weekly", p.Weekly, func(t time.Time) string { y, w := t.ISOWeek(); return fmt.Sprintf("%d week %d", y, w) }},
		{"monthly", p.Monthly, func(t time.Time) string { return t.Format("2006-01") }},
		{"yearly", p.Yearly, func(t time.Time) string { return t.Format("2006") }},
	} {
		left, last := rule.number, ""
		for _, d := range series {
			period := rule.period(d.Backup.StartedAt.In(now.Location()))
			if left == 0 {
				break
			}
			if period != last {
				d.keep(rule.name + " " + period)
				left, last = left-1, period
			}
		}
	}
}
