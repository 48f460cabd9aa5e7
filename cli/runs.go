package cli

import (
	"github.com/spf13/cobra"
)

const runsHelp = `Look at and after runs. A run is one execution of a backup, restore, check,
cleanup or plan; the journal keeps what happened in it, step by step.`

func (i *invocation) runsCommand() *cobra.Command {
	return i.groupCommand("runs", "List, show, watch, cancel, audit, acknowledge and prune runs", runsHelp,
		i.runsListCommand(), i.runsShowCommand(), i.runsWatchCommand(), i.runsCancelCommand(),
		i.runsAuditCommand(), i.runsAckCommand(), i.runsPruneCommand())
}
