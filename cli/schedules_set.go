package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"lockstep"
	"lockstep/internal/units"
	"lockstep/show"
)

const schedulesSetHelp = `Make a schedule, or replace one that was set here. CRON is "MINUTE HOUR DAY MONTH
WEEKDAY", or @hourly, @daily, @weekly, @monthly or @yearly, in the time zone of
--zone. A time that a clock leaves out when it is set forward is done at once; one
that it shows twice is done once; where every hour is meant, every hour is.

  lockstep schedules set night --deployment shop --cron "30 2 * * *" --jitter 1h
  lockstep schedules set proof --deployment shop --operation verify --cron @weekly
  lockstep schedules set tidy --deployment shop --operation forget --cron @daily \
    --keep-daily 7 --keep-weekly 5
  lockstep schedules set second --deployment shop --operation copy --cron @daily \
    --to offsite
  lockstep schedules set space --deployment shop --operation prune --cron @weekly \
    --overlap wait

A prune frees the space of the whole repository, whichever deployment it is under.

Exit codes: 0 · 1 error · 2 usage.`

func (i *invocation) schedulesSetCommand() *cobra.Command {
	var s lockstep.Schedule
	var keep lockstep.KeepRules
	var operation, overlap, missed, within string
	c := &cobra.Command{
		Use: "set SCHEDULE --deployment DEPLOYMENT --cron CRON", Short: "Make or replace a schedule", Long: schedulesSetHelp,
		Args: wants("SCHEDULE"), DisableFlagsInUseLine: true,
		RunE: func(c *cobra.Command, args []string) error {
			if s.Deployment == "" || s.Cron == "" {
				return usage(helpOf(c), "schedules set: --deployment and --cron are wanted")
			}
			if within != "" {
				d, err := units.ParseSpan(within)
				if err != nil {
					return usage("", "schedules set: --keep-within: %w", err)
				}
				keep.Within = d
			}
			if !keep.Zero() {
				s.Keep = &keep
			}
			s.Name, s.Operation = args[0], lockstep.ScheduledOperation(operation)
			s.Overlap, s.Missed = lockstep.Overlap(overlap), lockstep.Missed(missed)
			return i.scheduling(c, func(ctx context.Context, all lockstep.Schedules) error { return i.setSchedule(ctx, all, s) })
		},
	}
	f := c.Flags()
	f.SortFlags = false
	f.StringVar(&s.Deployment, "deployment", "", "the `DEPLOYMENT` that it is about")
	f.StringVar(&operation, "operation", "backup", "`WHAT` it does: backup, check, verify, forget, copy or prune")
	f.StringVar(&s.Cron, "cron", "", "when it is due: a `CRON` expression")
	f.StringVar(&s.Zone, "zone", "UTC", "the time `ZONE` of it, such as Europe/Berlin")
	f.DurationVar(&s.Jitter, "jitter", 0, "begin up to this `DURATION` later, another time for each slot")
	f.StringVar(&overlap, "overlap", "skip", "while a run of the deployment has not ended: skip or `WAIT`")
	f.StringVar(&missed, "missed", "catch-up", "what was due while no server ran: catch-up or `SKIP`")
	f.IntVar(&s.Sample, "sample", 0, "of verify: read `N` percent of all backups, what was never read again first, in place of the newest one")
	f.StringVar(&s.To, "to", "", "of copy: the `NAME` of the repository that is copied into, one of copies in the configuration")
	f.IntVar(&keep.Last, "keep-last", 0, "of forget: keep the `N` newest")
	f.IntVar(&keep.Hourly, "keep-hourly", 0, "… the newest of each of the last `N` hours that have one")
	f.IntVar(&keep.Daily, "keep-daily", 0, "… of the last `N` days")
	f.IntVar(&keep.Weekly, "keep-weekly", 0, "… of the last `N` weeks")
	f.IntVar(&keep.Monthly, "keep-monthly", 0, "… of the last `N` months")
	f.IntVar(&keep.Yearly, "keep-yearly", 0, "… of the last `N` years")
	f.StringVar(&within, "keep-within", "", "… and all that are not older than this `DURATION`, such as 14d")
	f.StringArrayVar(&keep.Tags, "keep-tag", nil, "… and all that were marked with this `TAG`")
	return c
}

func (i *invocation) setSchedule(ctx context.Context, all lockstep.Schedules, s lockstep.Schedule) error {
	if err := all.Set(ctx, s, whoAmI()); err != nil {
		return err
	}
	x, err := all.Get(ctx, s.Name)
	if err != nil {
		return err
	}
	if i.JSON() {
		return i.WriteJSON(x)
	}
	fmt.Fprintf(i.Stdout, "%s is due next at %s\n", show.Line(s.Name), inZone(x.Next, x.Zone))
	return nil
}

// inZone is a time as clocks of that zone show it.
func inZone(t time.Time, zone string) string {
	if loc, err := time.LoadLocation(zone); err == nil {
		t = t.In(loc)
	}
	return t.Format("Mon 2006-01-02 15:04:05 -0700")
}

func spanOrNone(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return show.Span(d)
}

func keepText(k *lockstep.KeepRules) string {
	if k == nil {
		return ""
	}
	var words []string
	for _, r := range []struct {
		name string
		n    int
	}{{"last", k.Last}, {"hourly", k.Hourly}, {"daily", k.Daily}, {"weekly", k.Weekly}, {"monthly", k.Monthly}, {"yearly", k.Yearly}} {
		if r.n > 0 {
			words = append(words, fmt.Sprintf("%s %d", r.name, r.n))
		}
	}
	if k.Within > 0 {
		words = append(words, "within "+show.Span(k.Within))
	}
	for _, t := range k.Tags {
		words = append(words, "tag "+t)
	}
	return strings.Join(words, ", ")
}
