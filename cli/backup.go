package cli

import (
	"context"

	"github.com/spf13/cobra"

	"lockstep"
)

const backupHelp = `Back up a deployment: lock every job, run every backup script, unlock, bring the
artifacts into the repository, prove that they arrived, and commit the backup.

Whatever happens, what was locked is unlocked. Ctrl-C cancels the run and
unlocks; a second Ctrl-C says what is still locked and keeps unlocking. If this
program is killed, the instances unlock by themselves when their lease runs out,
and ` + "`lockstep recover`" + ` unlocks at once.

Only a backup that is "verified" can be restored without further ado: every lock
and backup script ended well, and every artifact was read back and compared.

  lockstep backup shop
  lockstep backup shop -o json | jq -r .backup        the new backup's id
  lockstep backup shop --plan sha256:ab12…            only if the plan is still
                                                      the one that I have seen

Exit codes are bits: 0 verified · 1 error · 4 a lock failed · 8 an unlock failed ·
16 something was left on an instance · 32 something may still be locked ·
2 usage. See ` + "`lockstep help exit-codes`."

func (i *invocation) backupCommand() *cobra.Command {
	var digest string
	c := &cobra.Command{
		Use: "backup DEPLOYMENT", Short: "Back up a deployment", Long: backupHelp,
		Args: wants("DEPLOYMENT"), ValidArgsFunction: i.completeDeployments,
		RunE: func(c *cobra.Command, args []string) error {
			svc, err := i.service(c.Context())
			if err != nil {
				return err
			}
			req := lockstep.Request{Operation: lockstep.OperationBackup, Deployment: args[0], PlanDigest: digest}
			return i.start(c.Context(), svc, req)
		},
	}
	c.Flags().StringVar(&digest, "plan", "", "run only if the plan has this `DIGEST`")
	return c
}

// start starts a run, follows it to its end and shows how it ended.
func (i *invocation) start(ctx context.Context, svc lockstep.Service, req lockstep.Request) error {
	req.By = whoAmI()
	i.noticeSettling(ctx, svc, req)
	id, err := svc.Start(context.WithoutCancel(ctx), req)
	if err != nil {
		return err
	}
	run, err := i.follow(ctx, svc, id, cancelRun)
	if err != nil {
		return err
	}
	return i.summarize(run)
}
