package cli

import "github.com/spf13/cobra"

const exitCodesHelp = `The exit code of a run is a sum of bits. More bits may come: nonzero means failure.

   0   ok: a backup is verified, a restore is complete, and nothing is locked
   1   an error other than the following
   4   a lock script failed
   8   a try of an unlock script failed, even if a later one did not
  16   cleanup failed: something of ours was left on an instance
  32   something may still be locked; the error says which command settles it

So 12 is "a lock failed and an unlock failed", and 41 says moreover that it may
still be locked. With code 32 in it, do not go home:

  lockstep backup shop
  code=$?
  if [ $((code & 32)) -ne 0 ]; then lockstep cleanup shop || page-somebody; fi

The command line itself has one more:

   2   usage: the command line cannot be understood; nothing was done`

// exitCodesTopic is a help topic, not a command: `lockstep help exit-codes`.
func exitCodesTopic() *cobra.Command {
	return &cobra.Command{Use: "exit-codes", Short: "What the exit codes mean", Long: exitCodesHelp}
}
