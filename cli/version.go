package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"lockstep/internal/build"
	"lockstep/serve"
)

const versionHelp = `Print the version, with the commit it was built from, and for which machines
a helper is built in, which runs lend to instances whose artifacts are large.

  lockstep version
  lockstep version -o json

Exit codes: 0 · 2 usage.`

func (i *invocation) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Long: versionHelp, Args: wants(),
		RunE: func(*cobra.Command, []string) error {
			v := versionOf(i.Version)
			if i.JSON() {
				return i.WriteJSON(v)
			}
			fmt.Fprintf(i.Stdout, "%s\n%s\n", v.Info, v.helpers())
			return nil
		},
	}
}

// version is how this program was built, and what was built into it.
type version struct {
	build.Info
	// Helpers are the machines, as `uname -m` calls them, that there is a helper for.
	Helpers []string `json:"helpers"`
}

func versionOf(v string) version { return version{build.Of(v), serve.Helpers()} }

func (v version) helpers() string {
	if len(v.Helpers) == 0 {
		return "no helpers: `make build` builds them in"
	}
	return "helpers for " + strings.Join(v.Helpers, ", ")
}
