package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"lockstep"
	"lockstep/show"
)

const statusHelp = `Say how deployments stand, in one screen: what may be locked now, by which run and
since when; the last backup that can be restored and its age; the last verify; what
a schedule does next; what is wrong, and the one command that helps.

  lockstep status
  lockstep status shop -o json
  lockstep status --watch

Exit codes: 0 nothing is locked · 1 error · 2 usage · 32 something may be locked.`

// statusEvery is how often --watch looks again.
const statusEvery = 2 * time.Second

func (i *invocation) statusCommand() *cobra.Command {
	var watch bool
	c := &cobra.Command{
		Use: "status [DEPLOYMENT]", Short: "Say what is locked, what can be restored and what is wrong", Long: statusHelp,
		Args: wantsUpTo("DEPLOYMENT"), ValidArgsFunction: i.completeDeployments,
		RunE: func(c *cobra.Command, args []string) error {
			ctx, stop := i.interruptible(c.Context())
			defer stop()
			svc, err := i.service(ctx)
			if err != nil {
				return err
			}
			for {
				all, err := i.statuses(ctx, c, svc, strings.Join(args, ""))
				if err != nil {
					return err
				}
				if err := i.showStatus(all, watch); err != nil {
					return err
				}
				i.showLeading(ctx, svc)
				code := 0
				for _, s := range all {
					code |= s.ExitCode()
				}
				if !watch {
					return status(code)
				}
				select {
				case <-time.After(statusEvery):
				case <-ctx.Done():
					return status(code)
				}
			}
		},
	}
	c.Flags().BoolVar(&watch, "watch", false, "look again every two seconds, until Ctrl-C")
	return c
}

// statuses are those of all deployments, or of one. A server answers with all in
// one; it knows of no schedule that this one may not see.
func (i *invocation) statuses(ctx context.Context, c *cobra.Command, svc lockstep.Service, only string) ([]lockstep.DeploymentStatus, error) {
	all, err := i.allStatuses(ctx, c, svc)
	if err != nil || only == "" {
		return all, err
	}
	all = slices.DeleteFunc(all, func(s lockstep.DeploymentStatus) bool { return s.Deployment != only })
	if len(all) == 0 {
		known, err := svc.Deployments(ctx)
		return nil, cmp.Or(err, noDeployment(only, known))
	}
	return all, nil
}

// statuser is a Service that gives statuses at once: a server's client.
type statuser interface {
	Status(ctx context.Context) ([]lockstep.DeploymentStatus, error)
}

func (i *invocation) allStatuses(ctx context.Context, c *cobra.Command, svc lockstep.Service) ([]lockstep.DeploymentStatus, error) {
	if s, ok := svc.(statuser); ok {
		return s.Status(ctx)
	}
	facts, err := lockstep.GatherStatus(ctx, svc, i.Now())
	if err != nil {
		return nil, err
	}
	if i.Setup.Manage != nil {
		// Without schedules the rest is as true; that they are not known is said.
		err := i.scheduling(c, func(ctx context.Context, s lockstep.Schedules) (err error) {
			facts.Schedules, err = s.List(ctx, "")
			return err
		})
		if err != nil && ctx.Err() == nil {
			i.Say("schedules are not shown: %v", lockstep.MessageOf(err))
		}
	}
	return lockstep.StatusOf(facts), nil
}

// showLeading says, of a server that may be one of several, whether it leads. The JSON
// is a list of deployments, and has no place for it: GET /api/v1/leading says it there.
func (i *invocation) showLeading(ctx context.Context, svc lockstep.Service) {
	s, ok := svc.(interface {
		Leading(ctx context.Context) (lockstep.Leading, error)
	})
	if !ok || i.JSON() {
		return
	}
	l, err := s.Leading(ctx)
	if err != nil || !l.Shared { // an older server does not know
		return
	}
	switch {
	case l.Leads:
		fmt.Fprintln(i.Stdout, "\nthis server leads: it works through schedules and notices")
	case l.Leader != "":
		fmt.Fprintf(i.Stdout, "\nthis server follows; schedules and notices are worked through by %s\n", show.Line(l.Leader))
	default:
		fmt.Fprintln(i.Stdout, "\nthis server follows; nobody works through schedules and notices now")
	}
}

// knownDeployment is an error where no deployment is configured by that name; ""
// is none.
func knownDeployment(ctx context.Context, svc lockstep.Service, name string) error {
	if name == "" {
		return nil
	}
	known, err := svc.Deployments(ctx)
	if err != nil || slices.ContainsFunc(known, func(d lockstep.DeploymentInfo) bool { return d.Name == name }) {
		return err
	}
	return noDeployment(name, known)
}

// noDeployment is the error of a name that no deployment has.
func noDeployment(name string, known []lockstep.DeploymentInfo) error {
	var names []string
	for _, d := range known {
		names = append(names, d.Name)
	}
	return &lockstep.Error{
		Kind: lockstep.KindNotFound, Op: fmt.Sprintf("find deployment %q", name), Err: errors.New("not in the configuration"),
		Hint: "configured are: " + cmp.Or(strings.Join(names, ", "), "none; see `lockstep config show`"),
	}
}

func (i *invocation) showStatus(all []lockstep.DeploymentStatus, again bool) error {
	if i.JSON() {
		return i.WriteJSON(show.List(all))
	}
	if again && show.IsTerminal(i.Stdout) {
		fmt.Fprint(i.Stdout, "\x1b[H\x1b[2J")
	}
	if len(all) == 0 {
		fmt.Fprintln(i.Stdout, "no deployments")
		return nil
	}
	t := show.NewTable("DEPLOYMENT", "NOW", "LAST GOOD BACKUP", ">AGE", "LAST VERIFY", "NEXT")
	for _, s := range all {
		good, old, verify, next := "none", "", "never", "-"
		if s.Unread {
			good, verify = "unknown", "unknown"
		}
		if s.LastGood != nil {
			good, old = string(s.LastGood.ID), show.Age(time.Duration(s.LastGood.Age*float64(time.Second)))
		}
		if v := s.LastVerify; v != nil {
			verify = show.When(v.At) + map[bool]string{true: " ok", false: " damaged"}[v.OK]
		}
		if s.Next != nil {
			next = fmt.Sprintf("%s %s", show.When(s.Next.At), s.Next.Operation)
		}
		t.Add(s.Deployment, show.Cell{Text: statusNow(s), Paint: i.Out.State}, good, old, verify, next)
	}
	i.Table(t)
	for _, s := range all {
		if l := s.Locked; l != nil && len(l.Jobs) > 0 {
			fmt.Fprintf(i.Stdout, "\n%s: locked since %s by run %s: %s\n", show.Line(s.Deployment), show.When(l.Since), l.Run, show.Line(strings.Join(l.Jobs, ", ")))
			if l.Driven {
				fmt.Fprintf(i.Stdout, "  the run goes on; watch it with: %s\n", show.Line(i.Typed(l.Type)))
			}
		}
		for _, w := range s.Wrong {
			fmt.Fprintf(i.Stdout, "\n%s: %s\n  type: %s\n", show.Line(s.Deployment), show.Line(w.What), show.Line(i.Typed(w.Type)))
		}
	}
	return nil
}

// statusNow is what a deployment is doing, in a word or two.
func statusNow(s lockstep.DeploymentStatus) string {
	switch {
	case s.Locked != nil && !s.Locked.Driven:
		return "held"
	case s.Locked != nil:
		return "locked"
	case s.Running != nil:
		return "running"
	case s.Unclear:
		return "unknown"
	}
	return "unlocked"
}
