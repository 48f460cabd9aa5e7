package cli

import (
	"github.com/spf13/cobra"

	"lockstep"
)

const backupHelp = `Back up a deployment: lock every job, run every backup script, unlock, bring the
artifacts into the repository, prove that they arrived, and commit the backup.

Whatever happens, what was locked is unlocked. Ctrl-C cancels the run and
unlocks; a second Ctrl-C says what is still locked and keeps unlocking. If this
program is killed, the instances unlock by themselves when their lease runs out,
and ` + "`lockstep recover`" + ` unlocks at once.

With --server it is the server's run: Ctrl-C only stops watching it, and so does
a lost connection.

Only a backup that is "verified" can be restored without further ado: every lock
and backup script ended well, and every artifact was read back and compared. One
that lacks a job that the last one had, or whose artifact is less than a fifth of
what is usual, or that was made of a half restored system, is "suspect": it is
kept, is not the latest, and takes no other's place.

  lockstep backup shop
  lockstep backup shop -o json | jq -r .backup        the new backup's id
  lockstep backup shop --plan sha256:ab12…            only if the plan is still
                                                      the one that I have seen
  lockstep backup shop --accept-change                web/1 was removed: it is meant
  lockstep backup shop --tag before-upgrade           forget --keep-tag keeps it
  lockstep --server https://backup.example.com backup shop --detach

Exit codes are bits: 0 verified · 1 error · 4 a lock failed · 8 an unlock failed ·
16 something was left on an instance · 32 something may still be locked ·
2 usage. See ` + "`lockstep help exit-codes`."

func (i *invocation) backupCommand() *cobra.Command {
	var digest string
	var accept bool
	var tags []string
	var w waiting
	c := &cobra.Command{
		Use: "backup DEPLOYMENT", Short: "Back up a deployment", Long: backupHelp,
		Args: wants("DEPLOYMENT"), ValidArgsFunction: i.completeDeployments,
		RunE: func(c *cobra.Command, args []string) error {
			if err := w.check(i, "backup"); err != nil {
				return err
			}
			svc, err := i.service(c.Context())
			if err != nil {
				return err
			}
			req := lockstep.Request{Operation: lockstep.OperationBackup, Deployment: args[0], PlanDigest: digest, AcceptChange: accept, Tags: tags}
			return i.start(c.Context(), svc, req, w)
		},
	}
	c.Flags().StringVar(&digest, "plan", "", "run only if the plan has this `DIGEST`")
	c.Flags().BoolVar(&accept, "accept-change", false, "the backup counts although something is gone or much smaller than in earlier ones")
	c.Flags().StringArrayVar(&tags, "tag", nil, "mark the backup with this `TAG`; give it again for another one")
	w.register(c)
	return c
}
