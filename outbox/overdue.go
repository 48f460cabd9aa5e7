package outbox

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"lockstep"
	"lockstep/schedule"
)

const watchedName = "outbox.overdue"

// lookAtOverdue says of which deployments there is no good backup that is young
// enough, once per time that it should have been.
func (o *Outbox) lookAtOverdue(ctx context.Context) error {
	limits, err := o.Limits(ctx)
	if err != nil || len(limits) == 0 {
		return err
	}
	now := o.cfg.Now().UTC()
	since, err := o.watchedSince(ctx, limits, now)
	if err != nil {
		return err
	}
	for _, deployment := range slices.Sorted(maps.Keys(limits)) {
		good, err := o.lastGood(ctx, deployment)
		if err != nil {
			return err
		}
		from := good
		if good.IsZero() {
			from = since[deployment]
		}
		after := limits[deployment]
		times := int(now.Sub(from) / after)
		if times < 1 {
			continue
		}
		key := fmt.Sprintf("overdue:%s:%d:%d", deployment, from.UnixNano(), times)
		err = o.add(ctx, key, func() (lockstep.Notice, error) { return overdue(deployment, good, from, after, now), nil })
		if err != nil {
			return err
		}
	}
	return nil
}

// Limits are how old the newest good backup of each deployment may be, as its
// schedules and the configuration have it. A deployment that is not named may
// be of any age.
func (o *Outbox) Limits(ctx context.Context) (map[string]time.Duration, error) {
	limits := map[string]time.Duration{}
	if o.cfg.Schedules != nil {
		list, err := o.cfg.Schedules.List(ctx, "")
		if err != nil {
			return nil, err
		}
		for _, s := range list {
			// One that is paused counts: that nobody resumes it is what must be
			// noticed.
			if s.Operation == lockstep.ScheduledBackup {
				limits[s.Deployment] = shorter(limits[s.Deployment], allowance(s.Schedule, o.cfg.Now()))
			}
		}
	}
	maps.Copy(limits, o.cfg.OverdueAfter)
	maps.DeleteFunc(limits, func(_ string, d time.Duration) bool { return d <= 0 })
	return limits, nil
}

func shorter(a, b time.Duration) time.Duration {
	if a == 0 || b > 0 && b < a {
		return b
	}
	return a
}

// allowance is how old a backup may become that a schedule makes: one may fail.
func allowance(s lockstep.Schedule, now time.Time) time.Duration {
	times, err := schedule.Parse(s.Cron, s.Zone)
	if err != nil {
		return 0
	}
	return 2*(schedule.Rules{Times: times}).LongestGap(now) + s.Jitter
}

// watchedSince is since when each deployment has been looked after: what never
// had a backup is overdue, too.
func (o *Outbox) watchedSince(ctx context.Context, limits map[string]time.Duration, now time.Time) (map[string]time.Time, error) {
	since := map[string]time.Time{}
	if _, err := setting(ctx, o.cfg.Store, watchedName, &since); err != nil {
		return nil, err
	}
	before := maps.Clone(since)
	for deployment := range limits {
		if _, there := since[deployment]; !there {
			since[deployment] = now
		}
	}
	maps.DeleteFunc(since, func(d string, _ time.Time) bool { return limits[d] == 0 })
	if maps.EqualFunc(before, since, time.Time.Equal) {
		return since, nil
	}
	return since, o.setSetting(ctx, watchedName, since)
}

// searched bounds how many backups that failed in a row are looked at.
const searched = 2000

// lastGood is when the newest good backup of a deployment was made, zero if
// there is none.
func (o *Outbox) lastGood(ctx context.Context, deployment string) (time.Time, error) {
	filter := lockstep.RunFilter{Deployment: deployment, Operation: lockstep.OperationBackup, Limit: page}
	for range searched / page {
		runs, err := o.cfg.Service.Runs(ctx, filter)
		if err != nil {
			return time.Time{}, err
		}
		for _, r := range runs {
			if r.Data == lockstep.DataVerified && !r.EndedAt.IsZero() {
				return r.EndedAt.UTC(), nil
			}
		}
		if len(runs) < page {
			break
		}
		filter.Before = runs[len(runs)-1].ID
	}
	return time.Time{}, nil
}

func overdue(deployment string, good, from time.Time, after time.Duration, now time.Time) lockstep.Notice {
	n := lockstep.Notice{
		Kind: lockstep.NoticeOverdue, Deployment: deployment, LastGood: good, Since: from, Operation: string(lockstep.OperationBackup),
		Repetition: int(now.Sub(from)/after) - 1,
		Title:      fmt.Sprintf("no good backup of %s for %s", deployment, now.Sub(from).Round(time.Minute)),
		Text:       fmt.Sprintf("The last one is of %s; there should be one every %s.", good.Format(time.RFC3339), after),
		Hint:       fmt.Sprintf("lockstep runs list %s --operation backup", deployment),
	}
	if good.IsZero() {
		n.Title = fmt.Sprintf("there never was a good backup of %s", deployment)
		n.Text = fmt.Sprintf("It has been looked after since %s; there should be one every %s.", from.Format(time.RFC3339), after)
	}
	return n
}
