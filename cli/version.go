package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"lockstep/internal/build"
)

const versionHelp = `Print the version, with the commit it was built from.

  lockstep version
  lockstep version -o json

Exit codes: 0 · 2 usage.`

func (i *invocation) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Long: versionHelp, Args: wants(),
		RunE: func(*cobra.Command, []string) error {
			b := build.Of(i.Version)
			if i.JSON() {
				return i.WriteJSON(b)
			}
			fmt.Fprintln(i.Stdout, b)
			return nil
		},
	}
}
