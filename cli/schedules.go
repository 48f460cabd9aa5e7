package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"lockstep"
	"lockstep/serve"
	"lockstep/show"
)

const schedulesHelp = `What ` + "`lockstep serve`" + ` does again and again: back up, check, verify the newest
backup, forget old ones. Schedules are in the configuration (` + "`schedule`" + ` of a
deployment, and ` + "`schedules`" + `), or are set here.

Each time that one is due becomes a run, or a recorded skip with its reason. A
server is needed for that to happen; without --server the schedules of this
host's state folder are shown and changed, and a server there follows.`

func (i *invocation) schedulesCommand() *cobra.Command {
	return i.groupCommand("schedules", "List, show, set, pause, resume, delete and run schedules", schedulesHelp,
		i.schedulesListCommand(), i.schedulesShowCommand(), i.schedulesSetCommand(),
		i.changeScheduleCommand("pause", "Have each slot recorded as skipped, until it is resumed", lockstep.Schedules.Pause),
		i.changeScheduleCommand("resume", "Begin with the next slot again; what went by is not caught up with", lockstep.Schedules.Resume),
		i.changeScheduleCommand("delete", "Delete a schedule that was set here", lockstep.Schedules.Delete),
		i.schedulesNextCommand(), i.schedulesRunCommand())
}

// scheduling runs a command that asks about schedules.
func (i *invocation) scheduling(c *cobra.Command, do func(context.Context, lockstep.Schedules) error) error {
	return i.managing(c, func(ctx context.Context, m serve.Management) error {
		if m.Schedules == nil {
			return &lockstep.Error{Op: c.CommandPath(), Err: errors.New("this build has no schedules")}
		}
		ctx, schedules, err := m.Schedules(ctx)
		if err != nil {
			return err
		}
		return do(ctx, schedules)
	})
}

const schedulesListHelp = `List schedules, by name: when each is due next, and what became of the last time.

  lockstep schedules list
  lockstep schedules list shop -o json

Exit codes: 0 · 1 error · 2 usage.`

func (i *invocation) schedulesListCommand() *cobra.Command {
	return &cobra.Command{
		Use: "list [DEPLOYMENT]", Short: "List schedules, by name", Long: schedulesListHelp,
		Args: wantsUpTo("DEPLOYMENT"), ValidArgsFunction: i.completeDeployments,
		RunE: func(c *cobra.Command, args []string) error {
			return i.scheduling(c, func(ctx context.Context, s lockstep.Schedules) error {
				all, err := s.List(ctx, strings.Join(args, ""))
				if err != nil {
					return err
				}
				if i.JSON() {
					return i.WriteJSON(show.List(all))
				}
				if len(all) == 0 {
					fmt.Fprintln(i.Stdout, "no schedules")
					return nil
				}
				t := show.NewTable("SCHEDULE", "DEPLOYMENT", "OPERATION", "CRON", "ZONE", "NEXT", "LAST", "WAS")
				for _, x := range all {
					next := show.When(x.Next)
					if x.Paused {
						next = "paused"
					}
					last, was := "-", "-"
					if x.Latest != nil {
						last, was = show.When(x.Latest.Last), string(x.Latest.State)
					}
					t.Add(x.Name, x.Deployment, x.Operation, x.Cron, x.Zone, next, last, show.Cell{Text: was, Paint: i.Out.State})
				}
				i.Table(t)
				return nil
			})
		},
	}
}

const schedulesShowHelp = `Show a schedule, and what became of its last slots, newest first.

  lockstep schedules show shop
  lockstep schedules show shop --limit 100 -o json

Exit codes: 0 · 1 error · 2 usage.`

// scheduleWithSlots is a schedule as JSON shows it.
type scheduleWithSlots struct {
	lockstep.ScheduleStatus
	Slots []lockstep.SlotRecord `json:"slots"`
}

func (i *invocation) schedulesShowCommand() *cobra.Command {
	limit := 10
	c := &cobra.Command{
		Use: "show SCHEDULE", Short: "Show a schedule and what became of its last slots", Long: schedulesShowHelp, Args: wants("SCHEDULE"),
		RunE: func(c *cobra.Command, args []string) error {
			if limit < 1 {
				return usage("", "schedules show: --limit %d is below 1", limit)
			}
			return i.scheduling(c, func(ctx context.Context, s lockstep.Schedules) error {
				x, err := s.Get(ctx, args[0])
				if err != nil {
					return err
				}
				slots, err := s.History(ctx, args[0], 0, limit)
				if err != nil {
					return err
				}
				if i.JSON() {
					return i.WriteJSON(scheduleWithSlots{x, show.List(slots)})
				}
				i.showSchedule(x, slots)
				return nil
			})
		},
	}
	c.Flags().IntVar(&limit, "limit", limit, "at most this `MANY` records")
	return c
}

func percentText(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("%d%%", n)
}

func (i *invocation) showSchedule(x lockstep.ScheduleStatus, slots []lockstep.SlotRecord) {
	for _, f := range []struct{ name, value string }{
		{"schedule", x.Name}, {"deployment", x.Deployment}, {"operation", string(x.Operation)},
		{"due", x.Cron + " in " + x.Zone}, {"jitter", spanOrNone(x.Jitter)}, {"overlap", string(x.Overlap)}, {"missed", string(x.Missed)},
		{"keep", keepText(x.Keep)}, {"sample", percentText(x.Sample)}, {"to", x.To}, {"of", map[lockstep.ScheduleOrigin]string{lockstep.ScheduleOfConfig: "the configuration", lockstep.ScheduleOfAPI: "lockstep schedules set"}[x.Origin]},
		{"next", show.When(x.Next)}, {"waiting", show.When(x.Waiting)}, {"paused", pausedText(x)},
	} {
		if f.value != "" && f.value != "-" {
			fmt.Fprintf(i.Stdout, "%-11s %s\n", f.name, show.Line(f.value))
		}
	}
	if len(slots) == 0 {
		return
	}
	fmt.Fprintln(i.Stdout)
	t := show.NewTable("SLOT", ">SLOTS", "STATE", "RUN", "REASON")
	for _, r := range slots {
		t.Add(show.When(r.Slot), fmt.Sprint(r.Count), show.Cell{Text: string(r.State), Paint: i.Out.State}, string(r.Run), show.Line(r.Reason))
	}
	i.Table(t)
}

func pausedText(x lockstep.ScheduleStatus) string {
	if !x.Paused {
		return ""
	}
	return fmt.Sprintf("by %s since %s", x.PausedBy, show.When(x.PausedAt))
}

// changeScheduleCommand is a command that does one thing to one schedule.
func (i *invocation) changeScheduleCommand(verb, short string, do func(s lockstep.Schedules, ctx context.Context, name, by string) error) *cobra.Command {
	return &cobra.Command{
		Use: verb + " SCHEDULE", Short: short, Args: wants("SCHEDULE"),
		Long: short + ".\n\n  lockstep schedules " + verb + " shop\n\nExit codes: 0 · 1 error · 2 usage.",
		RunE: func(c *cobra.Command, args []string) error {
			return i.scheduling(c, func(ctx context.Context, s lockstep.Schedules) error {
				if err := do(s, ctx, args[0], whoAmI()); err != nil {
					return err
				}
				done := map[string]string{"pause": "paused", "resume": "resumed", "delete": "deleted"}[verb]
				if i.JSON() {
					return i.WriteJSON(map[string]string{done: args[0]})
				}
				fmt.Fprintf(i.Stdout, "%s %s\n", done, show.Line(args[0]))
				return nil
			})
		},
	}
}

const schedulesNextHelp = `Say when a schedule is due next, in its time zone; --count says how often.

  lockstep schedules next shop
  lockstep schedules next shop --count 30

Exit codes: 0 · 1 error · 2 usage.`

func (i *invocation) schedulesNextCommand() *cobra.Command {
	count := 5
	c := &cobra.Command{
		Use: "next SCHEDULE", Short: "Say when a schedule is due next", Long: schedulesNextHelp, Args: wants("SCHEDULE"),
		RunE: func(c *cobra.Command, args []string) error {
			if count < 1 || count > 500 {
				return usage("", "schedules next: --count %d is not from 1 to 500", count)
			}
			return i.scheduling(c, func(ctx context.Context, s lockstep.Schedules) error {
				x, err := s.Get(ctx, args[0])
				if err != nil {
					return err
				}
				next, err := s.Next(ctx, args[0], count)
				if err != nil {
					return err
				}
				if i.JSON() {
					return i.WriteJSON(show.List(next))
				}
				for _, u := range next {
					fmt.Fprintln(i.Stdout, inZone(u.Due, x.Zone))
				}
				return nil
			})
		},
	}
	c.Flags().IntVar(&count, "count", count, "how `MANY`")
	return c
}

const schedulesRunHelp = `Have a server do now what a schedule does, out of turn, also while it is paused.
It prints what was begun.

  lockstep --server URL schedules run shop

Exit codes: 0 begun · 1 error · 2 usage.`

func (i *invocation) schedulesRunCommand() *cobra.Command {
	return &cobra.Command{
		Use: "run SCHEDULE", Short: "Have a server do it now, out of turn", Long: schedulesRunHelp, Args: wants("SCHEDULE"),
		RunE: func(c *cobra.Command, args []string) error {
			if i.server() == "" {
				return usage("add --server URL; without one, `lockstep backup` and the like do the same", "schedules run: it is a server that runs schedules")
			}
			return i.scheduling(c, func(ctx context.Context, s lockstep.Schedules) error {
				r, err := s.Run(ctx, args[0], whoAmI())
				if err != nil {
					return err
				}
				if i.JSON() {
					return i.WriteJSON(r)
				}
				if r.Run != "" {
					fmt.Fprintln(i.Stdout, r.Run)
					return nil
				}
				fmt.Fprintf(i.Stdout, "%s of %s: %s\n", r.Operation, show.Line(r.Deployment), r.State)
				return nil
			})
		},
	}
}
