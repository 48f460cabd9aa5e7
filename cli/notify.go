package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"lockstep"
	"lockstep/serve"
	"lockstep/show"
)

const notifyHelp = `Who is told what happens, by ` + "`lockstep serve`" + `, and how that goes. Receivers are in
the configuration, under ` + "`notify`" + `: signed webhooks, mail, chat rooms.

A notice waits until it is delivered, for a week, also when the server is started
anew; one that cannot be delivered never touches a run.`

func (i *invocation) notifyCommand() *cobra.Command {
	return i.groupCommand("notify", "See who is told what happens, and try it", notifyHelp,
		i.notifyListCommand(), i.notifyReceiversCommand(), i.notifyTestCommand())
}

// notifying runs a command that asks about notices.
func (i *invocation) notifying(c *cobra.Command, do func(context.Context, lockstep.Notices) error) error {
	return i.managing(c, func(ctx context.Context, m serve.Management) error {
		if m.Notices == nil {
			return &lockstep.Error{Op: c.CommandPath(), Err: errors.New("this build has no notices")}
		}
		ctx, notices, err := m.Notices(ctx)
		if err != nil {
			return err
		}
		return do(ctx, notices)
	})
}

const notifyListHelp = `List notices on their way to receivers and delivered, newest first.

  lockstep notify list
  lockstep notify list --state pending
  lockstep notify list --receiver ops --limit 100 -o json

Exit codes: 0 · 1 error · 2 usage.`

func (i *invocation) notifyListCommand() *cobra.Command {
	f := lockstep.DeliveryFilter{Limit: 20}
	c := &cobra.Command{
		Use: "list", Short: "List notices on their way and delivered", Long: notifyListHelp, Args: wants(),
		RunE: func(c *cobra.Command, _ []string) error {
			switch f.State {
			case "", lockstep.DeliveryPending, lockstep.DeliveryDelivered, lockstep.DeliveryFailed, lockstep.DeliveryDropped:
			default:
				return usage("pending, delivered, failed or dropped", "notify list: no state %q", f.State)
			}
			if f.Limit < 1 {
				return usage("", "notify list: --limit %d is below 1", f.Limit)
			}
			return i.notifying(c, func(ctx context.Context, n lockstep.Notices) error { return i.listDeliveries(ctx, n, f) })
		},
	}
	c.Flags().StringVar((*string)(&f.State), "state", "", "only this `STATE`: pending, delivered, failed or dropped")
	c.Flags().StringVar(&f.Receiver, "receiver", "", "only this `RECEIVER`")
	c.Flags().IntVar(&f.Limit, "limit", f.Limit, "at most this `MANY`")
	return c
}

func (i *invocation) listDeliveries(ctx context.Context, n lockstep.Notices, f lockstep.DeliveryFilter) error {
	some, err := n.Deliveries(ctx, f)
	if err != nil {
		return err
	}
	if i.JSON() {
		return i.WriteJSON(show.List(some))
	}
	if len(some) == 0 {
		fmt.Fprintln(i.Stdout, "no notices")
		return nil
	}
	t := show.NewTable("MADE", "RECEIVER", "STATE", ">TRIES", "NEXT TRY", "NOTICE", "ERROR")
	for _, d := range some {
		t.Add(show.When(d.Notice.Time), show.Line(d.Receiver), show.Cell{Text: string(d.State), Paint: i.Out.State}, fmt.Sprint(d.Tries),
			show.When(d.NextTry), show.Line(string(d.Notice.Kind)+": "+d.Notice.Title), show.Line(d.Error))
	}
	i.Table(t)
	return nil
}

const notifyReceiversHelp = `List the receivers, and how many notices wait for each.

  lockstep notify receivers

Exit codes: 0 · 1 error · 2 usage.`

func (i *invocation) notifyReceiversCommand() *cobra.Command {
	return &cobra.Command{
		Use: "receivers", Short: "List who is told, and how many notices wait", Long: notifyReceiversHelp, Args: wants(),
		RunE: func(c *cobra.Command, _ []string) error {
			return i.notifying(c, func(ctx context.Context, n lockstep.Notices) error {
				all, err := n.Receivers(ctx)
				if err != nil {
					return err
				}
				if i.JSON() {
					return i.WriteJSON(show.List(all))
				}
				if len(all) == 0 {
					fmt.Fprintln(i.Stdout, "no receivers")
					return nil
				}
				t := show.NewTable("RECEIVER", "TYPE", "TARGET", ">PENDING", ">DELIVERED", ">FAILED", ">DROPPED", "OLDEST PENDING")
				for _, r := range all {
					t.Add(show.Line(r.Name), r.Type, show.Line(r.Target), fmt.Sprint(r.Pending), fmt.Sprint(r.Delivered), fmt.Sprint(r.Failed), fmt.Sprint(r.Dropped), show.When(r.Oldest))
				}
				i.Table(t)
				return nil
			})
		},
	}
}

const notifyTestHelp = `Send a test notice to a receiver, or to all, at once and past the queue, and say
how that went.

  lockstep notify test
  lockstep notify test ops

Exit codes: 0 all have taken it · 1 one has not · 2 usage.`

func (i *invocation) notifyTestCommand() *cobra.Command {
	return &cobra.Command{
		Use: "test [RECEIVER]", Short: "Send a test notice", Long: notifyTestHelp, Args: wantsUpTo("RECEIVER"),
		RunE: func(c *cobra.Command, args []string) error {
			name := ""
			if len(args) > 0 {
				name = args[0]
			}
			return i.notifying(c, func(ctx context.Context, n lockstep.Notices) error {
				results, err := n.Test(ctx, name)
				if err != nil {
					return err
				}
				return i.showTests(results)
			})
		},
	}
}

func (i *invocation) showTests(results []lockstep.TestResult) error {
	failed := 0
	for _, r := range results {
		if !r.OK {
			failed++
		}
	}
	if i.JSON() {
		if err := i.WriteJSON(show.List(results)); err != nil {
			return err
		}
	} else {
		t := show.NewTable("RECEIVER", "RESULT", ">TOOK", "ERROR")
		for _, r := range results {
			word := show.Cell{Text: "delivered", Paint: i.Out.Good}
			if !r.OK {
				word = show.Cell{Text: "failed", Paint: i.Out.Bad}
			}
			t.Add(show.Line(r.Receiver), word, show.SpanOfSeconds(r.Took), show.Line(r.Error))
		}
		i.Table(t)
	}
	if failed > 0 {
		return &lockstep.Error{Kind: lockstep.KindUnavailable, Op: "notify test", Err: fmt.Errorf("%d of %d receivers have not taken it", failed, len(results))}
	}
	return nil
}
