package cli

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"lockstep"
	"lockstep/serve"
)

// managing runs a command that looks after access.
func (i *invocation) managing(c *cobra.Command, do func(context.Context, serve.Management) error) (err error) {
	if i.Setup.Manage == nil {
		return &lockstep.Error{Op: c.CommandPath(), Err: errors.New("this build looks after no access")}
	}
	ctx, stop := i.interruptible(c.Context())
	defer stop()
	m, err := i.Setup.Manage(ctx, i.options())
	if err != nil {
		return err
	}
	if m.Close != nil {
		defer func() { err = errors.Join(err, m.Close()) }()
	}
	return do(ctx, m)
}

// approving runs a command that needs a server's approvals.
func (i *invocation) approving(c *cobra.Command, do func(context.Context, serve.Approver) error) error {
	return i.managing(c, func(ctx context.Context, m serve.Management) error {
		if m.Approvals == nil {
			return usage("add --server URL, or set LOCKSTEP_SERVER", "%sapprovals are a server's", toSay(c))
		}
		return do(ctx, m.Approvals)
	})
}
