package cli

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"lockstep"
	"lockstep/serve"
	"lockstep/show"
)

const fleetHelp = `Look at the servers and workers that share runs through Temporal; docs/fleet.md
says how to set them up.

  lockstep fleet status`

func (i *invocation) fleetCommand() *cobra.Command {
	return local(i.groupCommand("fleet", "Look at servers and workers of a fleet", fleetHelp, i.fleetStatusCommand()))
}

const fleetStatusHelp = `Say who is in the fleet, and what each drives. It asks Temporal and the
journal, from a host that has their configuration.

A member is listed that asked for work in the last minutes; one that is gone is
so until then. A run without a worker waits for one of its zone, or was begun
outside of the fleet.

  lockstep fleet status
  lockstep fleet status -o json

Exit codes: 0 · 1 error · 2 usage.`

func (i *invocation) fleetStatusCommand() *cobra.Command {
	return &cobra.Command{
		Use: "status", Short: "Say who is in the fleet, and what each drives", Long: fleetStatusHelp, Args: wants(),
		RunE: func(c *cobra.Command, _ []string) error {
			if i.Setup.FleetStatus == nil {
				return &lockstep.Error{Op: "fleet status", Err: errors.New("this build has no fleet")}
			}
			all, err := i.Setup.FleetStatus(c.Context(), i.options())
			if err != nil {
				return err
			}
			if i.JSON() {
				return i.WriteJSON(all)
			}
			i.showFleet(all, time.Now())
			return nil
		},
	}
}

func (i *invocation) showFleet(all serve.FleetStanding, now time.Time) {
	ago := func(t time.Time) string {
		if t.IsZero() {
			return "-"
		}
		return fmt.Sprintf("%s ago", now.Sub(t).Round(time.Second))
	}
	if len(all.Members) == 0 {
		fmt.Fprintln(i.Stdout, "nobody has asked Temporal for work lately")
	} else {
		t := show.NewTable("MEMBER", "ZONE", "HOST", "PROCESS", "VERSION", "ASKED FOR WORK", "DRIVES")
		for _, m := range all.Members {
			var runs []string
			for _, id := range m.Drives {
				runs = append(runs, string(id))
			}
			t.Add(m.Role, dashed(m.Zone), m.Host, m.PID, m.Version, ago(m.Asked), dashed(strings.Join(runs, " ")))
		}
		i.Table(t)
	}
	if len(all.Runs) == 0 {
		return
	}
	fmt.Fprintln(i.Stdout)
	t := show.NewTable("RUN", "OPERATION", "DEPLOYMENT", "ZONE", "STATE", ">ATTEMPT", "WORKER", "HEARTBEAT")
	for _, r := range all.Runs {
		worker := "-"
		if r.Worker != nil {
			worker = fmt.Sprintf("%s, process %d", r.Worker.Host, r.Worker.PID)
		}
		attempt := "-"
		if r.Attempt > 0 {
			attempt = fmt.Sprint(r.Attempt)
		}
		t.Add(r.Run, r.Operation, r.Deployment, r.Zone, dashed(r.State), attempt, worker, ago(r.Heartbeat))
	}
	i.Table(t)
}

// dashed is a cell that is never empty.
func dashed(s string) string { return cmp.Or(s, "-") }
